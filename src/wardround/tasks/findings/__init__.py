"""Several findings, each with yes, no or blank. `task.py` is what the rest of the house asks; the others know one part of it."""

from wardround.tasks.findings.label import FINDINGS
from wardround.tasks.findings.task import FindingsTask

__all__ = ["FINDINGS", "FindingsTask"]
