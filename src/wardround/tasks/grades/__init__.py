"""One of several grades in order. `task.py` is what the rest of the house asks; the others know one part of it each."""

from wardround.tasks.grades.label import GRADES
from wardround.tasks.grades.task import GradesTask

__all__ = ["GRADES", "GradesTask"]
