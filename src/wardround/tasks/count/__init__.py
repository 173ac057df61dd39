"""How many: a count with a public largest one. `task.py` is what the rest of the house asks; the others know one part of it."""

from wardround.tasks.count.label import COUNT
from wardround.tasks.count.task import CountTask

__all__ = ["COUNT", "CountTask"]
