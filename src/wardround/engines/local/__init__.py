"""One machine: hospitals in order within this process, or each in a process of its own, side by side."""
