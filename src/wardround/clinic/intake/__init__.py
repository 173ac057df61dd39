"""Bytes from outside become a record: decoded in a process of its own, so that a hostile file ends that process alone."""
