"""Where in a hospital's data something was met: a file, a line, a column, the value as it is written.

It is for the person at this machine, and is shown on the terminal and in `data check --list FILE`. Nothing of it leaves: the
form of a report that may be sent on (`Readiness.to_json`) has no places.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

PLACES_KEPT = 100_000
"""Of one problem; more are counted and not listed, so that a million wrong cells do not fill the memory."""

SHOWN_PLACES, SHOWN_VALUES = 3, 5


@dataclass(frozen=True)
class Place:
    """position: of the record, from 1 in the reader's order, 0 where it has none. file: its name within the source, "" for the
    source itself. line: of the file, from 1 with the header counted, 0 where it has none. column: its name, "" where the whole
    record is meant. value: as it is written, None where no value is meant."""

    position: int = 0
    file: str = ""
    line: int = 0
    column: str = ""
    value: str | None = None

    def words(self) -> str:
        """
        >>> Place(16, line=17, column="chol", value="9,5").words(), Place(3, file="a/b.png").words()
        ("line 17, column 'chol'", 'a/b.png')
        """
        parts = [self.file] if self.file else []
        if self.line:
            parts.append(f"line {self.line}")
        elif self.position and not self.file:
            parts.append(f"record {self.position}")
        if self.column:
            parts.append(f"column {shortened(self.column)!r}")
        return ", ".join(parts)


LONGEST_VALUE = 60


def shortened(text: str, longest: int = LONGEST_VALUE) -> str:
    """A value as it is shown: a cell may hold megabytes.

    >>> shortened("abcdef", 4), shortened("abcd", 4)
    ('abcd… (6 signs)', 'abcd')
    """
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} signs)"


def kept(places: Sequence[Place]) -> Sequence[Place]:
    """The first PLACES_KEPT."""
    return tuple(places[:PLACES_KEPT]) if isinstance(places, list) else places[:PLACES_KEPT]


@dataclass(frozen=True)
class Chosen(Sequence[Place]):
    """Some of the places of a source, each with its word where there are words."""

    places: Sequence[Place]
    rows: NDArray[np.int64]
    words: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> Place: ...
    @overload
    def __getitem__(self, at: slice) -> "Chosen": ...
    def __getitem__(self, at: int | slice) -> "Place | Chosen":
        if isinstance(at, slice):
            return replace(self, rows=self.rows[at])
        row = int(self.rows[at])
        return self.places[row] if self.words is None else replace(self.places[row], value=self.words[row])


@dataclass(frozen=True)
class RowPlaces(Sequence[Place]):
    """Rows of a table, each made into a Place when somebody looks: a million wrong cells take the memory of a million numbers.

    rows: from 0. line_of: the line of the file that a row stands on, 0 where that is not known. value_of: what stands there, None
    where no value is meant.
    """

    rows: NDArray[np.int64]
    column: str = ""
    line_of: Callable[[int], int] | None = None
    value_of: Callable[[int], str] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> Place: ...
    @overload
    def __getitem__(self, at: slice) -> "RowPlaces": ...
    def __getitem__(self, at: int | slice) -> "Place | RowPlaces":
        if isinstance(at, slice):
            return replace(self, rows=self.rows[at])
        row = int(self.rows[at])
        line = 0 if self.line_of is None else self.line_of(row)
        return Place(row + 1, line=line, column=self.column, value=None if self.value_of is None else self.value_of(row))


def places_text(places: Sequence[Place], count: int) -> str:
    """The first places, and the commonest values with how often each stands there; "" where nothing is said of them.

    >>> places_text([Place(1, line=2, value="117"), Place(4, line=5, value="117")], 2)
    "line 2; line 5; values: '117' (2)"
    """
    words = list(dict.fromkeys(text for spot in places[: 10 * SHOWN_PLACES] if (text := spot.words())))
    parts = words[:SHOWN_PLACES]
    if parts and count > len(parts):
        parts[-1] += f" and {count - len(parts)} more"
    values = Counter(spot.value for spot in places if spot.value is not None)
    if values:
        commonest = [f"{shortened(value)!r} ({times})" for value, times in values.most_common(SHOWN_VALUES)]
        rest = len(values) - len(commonest)
        parts.append(f"values: {', '.join(commonest)}" + (f" and {rest} others" if rest > 0 else ""))
    return "; ".join(parts)
