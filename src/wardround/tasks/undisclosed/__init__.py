"""The question of a study that says nothing of its hospitals' questions: no label, no sum, no figure.

`task.py` is what the hub and the shared record ask. What each hospital asks stands in its own task file, where it is of
another kind (`study/own_task.py`).
"""

from wardround.tasks.undisclosed.label import UNDISCLOSED_KIND
from wardround.tasks.undisclosed.task import UndisclosedTask

__all__ = ["UNDISCLOSED_KIND", "UndisclosedTask"]
