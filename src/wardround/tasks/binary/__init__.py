"""Yes or no. `task.py` is what the rest of the house asks; the others know one part of it each."""

from wardround.tasks.binary.task import BinaryTask

__all__ = ["BinaryTask"]
