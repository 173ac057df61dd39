"""The steps that `dp_step.py` compares, each in a process of its own."""
