"""A hospital's account of what was released about its patients."""
