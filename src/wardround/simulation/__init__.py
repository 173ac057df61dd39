"""A whole study on one machine: hospitals from folders or from one divided data set, the run, and what it leaves behind."""
