"""Counts problems while a reader goes through the records of a source, so that all are told at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wardround.sources.places import PLACES_KEPT, Place, kept
from wardround.sources.read_result import Labels, Level, Problem
from wardround.sources.splitting import split_named

_UNKNOWN_LABEL = (
    "label-outside",
    "Labels are outside the contract",
    "correct them, or name their values under [data.label]; a table's can be translated in a mapping (wardround data map)",
)
_NO_LABEL = (
    "label-absent",
    "Records have no label",
    "label them at the source, or take their rows out; an empty cell is never taken for an outcome",
)
_UNKNOWN_SPLIT = ("unknown-split", "Declared splits have unknown names", "use train, validation and test")


def _level_of_labels(labels: Labels) -> Level:
    return "error" if labels == "required" else "warning"


@dataclass
class _Met:
    level: Level
    text: str
    hint: str
    count: int = 0
    places: Sequence[Place] = field(default_factory=list)


class ProblemCounter:
    """Problems by code, each with its count and its places. A text or a hint may be sent on, and holds no name and no value."""

    def __init__(self, counted_in: str) -> None:
        self._counted_in = counted_in
        self._met: dict[str, _Met] = {}

    def error(self, code: str, text: str, hint: str, spot: Place) -> None:
        self.problem("error", code, text, hint, spot)

    def warning(self, code: str, text: str, hint: str, spot: Place) -> None:
        self.problem("warning", code, text, hint, spot)

    def problem(self, level: Level, code: str, text: str, hint: str, spot: Place) -> None:
        """A problem of any level."""
        met = self._met.setdefault(code, _Met(level, text, hint))
        met.count += 1
        if isinstance(met.places, list) and len(met.places) < PLACES_KEPT:
            met.places.append(spot)

    def rows(self, level: Level, code: str, text: str, hint: str, places: Sequence[Place]) -> None:
        """As many as there are places, told at once and made only where somebody looks at them."""
        if len(places):
            self._met[code] = _Met(level, text, hint, len(places), places)

    def unknown_label(self, spot: Place, labels: Labels = "required") -> None:
        """An error where labels are required; a warning where they are not, since the record then counts as one without."""
        self.problem(_level_of_labels(labels), *_UNKNOWN_LABEL, spot)

    def unknown_labels(self, places: Sequence[Place], labels: Labels) -> None:
        """`unknown_label` of many rows at once."""
        self.rows(_level_of_labels(labels), *_UNKNOWN_LABEL, places)

    def absent_labels(self, places: Sequence[Place]) -> None:
        """An error of rows whose cell is empty: no list of values mends them."""
        self.rows("error", *_NO_LABEL, places)

    def unknown_splits(self, places: Sequence[Place]) -> None:
        self.rows("error", *_UNKNOWN_SPLIT, places)

    def unreadable(self, spot: Place) -> None:
        self.error("corrupt-image", "Images cannot be decoded", "export these images again, or take them out", spot)

    def split(self, word: str, spot: Place) -> str:
        """The split a word names; "" where it is empty or, with an error noted, unknown."""
        split_name = split_named(word)
        if split_name is None and word.strip():
            self.error(*_UNKNOWN_SPLIT, spot)
        return split_name or ""

    def told_files(self) -> dict[str, str]:
        """The files that a problem names so far, each with the code of the first."""
        told: dict[str, str] = {}
        for code, met in self._met.items():
            for spot in met.places:
                told.setdefault(spot.file, code)
        return told

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(met.level, code, met.text, met.hint, met.count, kept(met.places), self._counted_in)
            for code, met in sorted(self._met.items())
        )
