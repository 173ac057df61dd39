"""Counts problems while a reader goes through the records of a source, so that all are told at once."""

from dataclasses import dataclass, field

from wardround.sources.places import PLACES_KEPT, Place
from wardround.sources.read_result import Labels, Level, Problem
from wardround.sources.splitting import split_named


@dataclass
class _Met:
    level: Level
    text: str
    hint: str
    count: int = 0
    places: list[Place] = field(default_factory=list)


class ProblemCounter:
    """Problems by code, each with its count and its places. A text or a hint may be sent on, and holds no name and no value."""

    def __init__(self, counted_in: str) -> None:
        self._counted_in = counted_in
        self._met: dict[str, _Met] = {}

    def error(self, code: str, text: str, hint: str, place: Place) -> None:
        self._note("error", code, text, hint, place)

    def warning(self, code: str, text: str, hint: str, place: Place) -> None:
        self._note("warning", code, text, hint, place)

    def note(self, level: Level, code: str, text: str, hint: str, spot: Place) -> None:
        """A problem of any level."""
        self._note(level, code, text, hint, spot)

    def _note(self, level: Level, code: str, text: str, hint: str, place: Place) -> None:
        met = self._met.setdefault(code, _Met(level, text, hint))
        met.count += 1
        if len(met.places) < PLACES_KEPT:
            met.places.append(place)

    def unknown_label(self, place: Place, labels: Labels = "required") -> None:
        """An error where labels are required; a warning where they are not, since the record then counts as one without."""
        text = "Labels are outside the contract"
        level: Level = "error" if labels == "required" else "warning"
        self._note(level, "label-outside", text, "correct them, or name their values under [data.label]", place)

    def unreadable(self, place: Place) -> None:
        self.error("corrupt-image", "Images cannot be decoded", "export these images again, or take them out", place)

    def split(self, word: str, place: Place) -> str:
        """The split a word names; "" where it is empty or, with an error noted, unknown."""
        split_name = split_named(word)
        if split_name is None and word.strip():
            self.error("unknown-split", "Declared splits have unknown names", "use train, validation and test", place)
        return split_name or ""

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(met.level, code, met.text, met.hint, met.count, tuple(met.places), self._counted_in)
            for code, met in sorted(self._met.items())
        )
