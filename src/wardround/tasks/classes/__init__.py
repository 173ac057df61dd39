"""One of several classes without an order. `task.py` is what the rest of the house asks; the others know one part of it each."""

from wardround.tasks.classes.label import CLASSES
from wardround.tasks.classes.task import ClassesTask

__all__ = ["CLASSES", "ClassesTask"]
