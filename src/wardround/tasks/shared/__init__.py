"""What several kinds of question have in common: usable outputs, score histograms side by side, tables of what was said."""
