"""The job as a Flower app, run by Flower's simulation runtime on Ray."""
