"""Counts problems while a reader goes through the records of a source, so that all are told at once."""

from wardround.sources.read_result import Labels, Level, Problem
from wardround.sources.splitting import split_named

POSITIONS_TOLD = 5


class ProblemCounter:
    """Troubles by code. Only positions are kept: no name, no value."""

    def __init__(self, counted_in: str) -> None:
        self._counted_in = counted_in
        self._met: dict[str, tuple[Level, str, str, list[int]]] = {}

    def error(self, code: str, text: str, hint: str, position: int) -> None:
        self._note("error", code, text, hint, position)

    def warning(self, code: str, text: str, hint: str, position: int) -> None:
        self._note("warning", code, text, hint, position)

    def _note(self, level: Level, code: str, text: str, hint: str, position: int) -> None:
        self._met.setdefault(code, (level, text, hint, []))[3].append(position)

    def unknown_label(self, position: int, labels: Labels = "required") -> None:
        """An error where labels are required; a warning where they are not, since the record then counts as one without."""
        text = "Labels are outside the contract"
        level: Level = "error" if labels == "required" else "warning"
        self._note(level, "label-outside", text, "correct them, or name their values under [data.label]", position)

    def unreadable(self, position: int) -> None:
        self.error("corrupt-image", "Images cannot be decoded", "export these images again, or take them out", position)

    def manifest(self, name: str, *, absent: int, unlisted: int) -> None:
        """Where the list and the files disagree: lines without a file, and files without a line."""
        for line in range(absent):
            self.error(
                "file-absent", f"{name} names images that are not there", "add the images, or take out their lines", line + 1
            )
        for _ in range(unlisted):
            self.warning("unlisted", f"Images are not in {name} and were left out", "list them if they belong to the study", 0)

    def split(self, word: str, position: int) -> str:
        """The split a word names; "" where it is empty or, with an error noted, unknown."""
        split_name = split_named(word)
        if split_name is None and word.strip():
            self.error("unknown-split", "Declared splits have unknown names", "use train, validation and test", position)
        return split_name or ""

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(level, code, text, hint, len(positions), tuple(positions[:POSITIONS_TOLD]), self._counted_in)
            for code, (level, text, hint, positions) in sorted(self._met.items())
        )
