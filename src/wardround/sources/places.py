"""Where in a hospital's data something was met: a file, a line, a column, the value as it is written.

It is for the person at this machine, and is shown on the terminal and in `data check --list FILE`. Nothing of it leaves: the
form of a report that may be sent on (`Readiness.to_json`) has no places.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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
            parts.append(f"column {self.column!r}")
        return ", ".join(parts)


def places_text(places: Sequence[Place], count: int) -> str:
    """The first places, and the commonest values with how often each stands there; "" where nothing is said of them.

    >>> places_text([Place(1, line=2, value="117"), Place(4, line=5, value="117")], 2)
    "line 2; line 5; values: '117' (2)"
    """
    words = list(dict.fromkeys(text for place in places[: 10 * SHOWN_PLACES] if (text := place.words())))
    parts = words[:SHOWN_PLACES]
    if parts and count > len(parts):
        parts[-1] += f" and {count - len(parts)} more"
    values = Counter(place.value for place in places if place.value is not None)
    if values:
        commonest = [f"{value!r} ({times})" for value, times in values.most_common(SHOWN_VALUES)]
        rest = len(values) - len(commonest)
        parts.append(f"values: {', '.join(commonest)}" + (f" and {rest} others" if rest > 0 else ""))
    return "; ".join(parts)
