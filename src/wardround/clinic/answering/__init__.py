"""One answer, the same on every page and every line: nothing else in the clinic makes one. No torch."""
