"""Sentences as lines of 80 columns, for a terminal."""

import textwrap
from collections.abc import Iterator

from wardround.values.printable import printable

WIDTH = 80


def wrapped(text: str, *, indent: int = 0, hanging: int = 0) -> Iterator[str]:
    """Lines of at most WIDTH columns, but for a word that is longer. What others chose in them does nothing to the terminal."""
    first, rest = " " * indent, " " * max(indent, hanging)
    yield from textwrap.wrap(
        printable(text.replace("\n", " ")),
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )
