"""A number on a public scale. `task.py` is what the rest of the house asks; the others know one part of it each."""

from wardround.tasks.number.label import NUMBER
from wardround.tasks.number.task import NumberTask

__all__ = ["NUMBER", "NumberTask"]
