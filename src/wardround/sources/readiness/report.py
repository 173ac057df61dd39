"""The readiness report: tells a data manager in plain language whether the data of a hospital can take part, and what to mend.

Two forms of one report. The form that may be sent on (`to_json`) holds counts only: no patient, no file name, no value of a
record. A count from 1 to 4 is told as "fewer than 5", and where it could be worked out from a total and its other parts, the next
smallest part is hidden too. The form for this machine tells every count exactly, with places and values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardround.sources.places import Place
from wardround.sources.read_result import Level
from wardround.values.errors import DataError

SMALL_CELL = 5
"""Counts below it, except 0, are not told."""

HIDDEN = "hidden, so that a small count cannot be worked out"
_SENT_OF_FINDING = ("level", "code", "text", "hint")
_SENT_OF_COUNT = ("name", "value")


@dataclass(frozen=True)
class Finding:
    """level: error (must be mended), warning (look at it) or note. code: stable, for programs.

    where: places and values in words, for the person at this machine. places: all that were kept. exact: the text with its counts
    as they are, or with names, "" where the text holds none. exact_hint: the hint with names, likewise. These four are left out
    of everything that may be sent on.
    """

    level: Level
    code: str
    text: str
    hint: str = ""
    exact: str = field(default="", kw_only=True)
    exact_hint: str = field(default="", kw_only=True)
    where: str = ""
    places: Sequence[Place] = ()


@dataclass(frozen=True)
class Count:
    """A line of the counts, already in words. exact: the number as it is, which stays on this machine."""

    name: str
    value: str
    exact: str = ""


@dataclass(frozen=True)
class Readiness:
    """What the report says. kind: of the reader, as images or table. mapping_sha256: of the hospital's mapping, "" without."""

    kind: str
    counts: tuple[Count, ...]
    findings: tuple[Finding, ...]
    mapping_sha256: str = ""

    def ready(self) -> bool:
        """Whether the data can take part: no finding is an error."""
        return all(finding.level != "error" for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 for ready, 3 (the exit code of DataError) for not ready."""
        return 0 if self.ready() else DataError.exit_code

    def to_json(self) -> dict[str, Any]:
        """Without `where`, `places`, `exact` and `exact_hint`: this form may be sent on."""
        findings = [{key: getattr(finding, key) for key in _SENT_OF_FINDING} for finding in self.findings]
        return {
            "ready": self.ready(),
            "kind": self.kind,
            "counts": [{key: getattr(count, key) for key in _SENT_OF_COUNT} for count in self.counts],
            "findings": findings,
            **({"mapping_sha256": self.mapping_sha256} if self.mapping_sha256 else {}),
        }


def count_text(count: int) -> str:
    """
    >>> count_text(0), count_text(3), count_text(12)
    ('0', 'fewer than 5', '12')
    """
    return f"fewer than {SMALL_CELL}" if 0 < count < SMALL_CELL else str(count)


def part_text(count: int, whole: int) -> str:
    """A part of a known whole, such that neither it nor the rest is told where small.

    >>> part_text(44, 46), part_text(46, 46), part_text(2, 46)
    ('all but fewer than 5', '46', 'fewer than 5')
    """
    return f"all but {count_text(whole - count)}" if 0 < whole - count < SMALL_CELL <= count else count_text(count)


def suppressed(cells: Mapping[str, int]) -> dict[str, str]:
    """The parts of a known total, in words. One small part alone would be the total less the others, so a second is hidden.

    >>> suppressed({"train": 40, "test": 3})["train"] == HIDDEN
    True
    """
    told = {name: count_text(count) for name, count in cells.items()}
    small = [name for name, count in cells.items() if 0 < count < SMALL_CELL]
    others = sorted((count, name) for name, count in cells.items() if count >= SMALL_CELL)
    if len(small) == 1 and others:
        told[others[0][1]] = HIDDEN
    return told


def refused(kind: str, error: DataError, *, quotes: bool = False) -> Readiness:
    """The report on a source that cannot be read at all. quotes: the error may name what is the hospital's own, such as a column
    of its mapping, so that its words stay on this machine."""
    parts = (("expected", error.expected), ("found", error.found))
    where = "; ".join(f"{name} {text}" for name, text in parts if text)
    if not quotes:
        return Readiness(kind, (), (Finding("error", "unreadable", error.what, error.hint, where),))
    text, hint = "The source cannot be read as it is", "run data check at the hospital without --json: it says what, and where"
    return Readiness(
        kind, (), (Finding("error", "unreadable", text, hint, where, exact=error.what, exact_hint=error.hint or hint),)
    )


def counted(level: Level, code: str, text: str, hint: str, count: int, where: str = "", places: Sequence[Place] = ()) -> Finding:
    """A finding of `count` things, in both forms: "text: fewer than 5" to send on, "text: 3" for this machine."""
    return Finding(level, code, f"{text}: {count_text(count)}", hint, where, places, exact=f"{text}: {count}")
