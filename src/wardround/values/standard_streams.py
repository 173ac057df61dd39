"""A process that was started with a standard stream closed (`2>&-`, some schedulers) gets one that leads nowhere.

Else the next file or socket that is opened takes the stream's number, and whatever a library prints is written into it: into a
checkpoint, or among the messages between a run and its hospitals.
"""

import os
import sys

STREAMS = ("stdin", "stdout", "stderr")
"""By their numbers, 0 to 2."""


def open_closed_streams() -> None:
    """To be called before anything is opened."""
    for number, name in enumerate(STREAMS):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: the stream's own, unless something has it
            os.set_inheritable(nothing, nothing == number)
            setattr(sys, name, os.fdopen(nothing, "r" if number == 0 else "w", encoding="utf-8"))
