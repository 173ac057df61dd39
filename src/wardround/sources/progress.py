"""How far a reader has come, for whoever waits: said by readers, heard by the command that asked."""

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Listener = Callable[[str, int, int], None]
"""A step in words, how much of it is done, and of how much; 0 of 0 where that is not known."""

_Batch = TypeVar("_Batch", bound=Sized)

_LISTENER: ContextVar[Listener | None] = ContextVar("wardround.sources.progress", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Every step that a reader takes inside is told to `listener`."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(step: str, done: int = 0, total: int = 0) -> None:
    """Say how far a step has come; nothing happens where nobody listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(step, done, total)


def counting_rows(title: str, batches: Iterable[_Batch]) -> Iterator[_Batch]:
    """The same batches; with each it is told how many rows of `title` have come. How many will come, no database says."""
    tell(title)
    rows = 0
    for batch in batches:
        rows += len(batch)
        tell(f"{title}: {rows:,} rows")
        yield batch
