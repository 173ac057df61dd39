"""The time to an event, seen or not. `task.py` is what the rest of the house asks; the others know one part of it each."""

from wardround.tasks.time.label import TIME
from wardround.tasks.time.task import TimeTask

__all__ = ["TIME", "TimeTask"]
