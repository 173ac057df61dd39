"""Every sentence of the pages, by language: one catalogue each. What a person wrote (names, comments) is never in one.

Errors are written in English where they arise. A catalogue translates them by their English sentence; one that it does not hold
is shown as it is, since a sentence in another language is better than none.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from wardround.values.errors import WardroundError

LANGUAGES = {"en": "English", "zh": "中文"}


class Words:
    """The catalogue of one language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._texts = catalogue(self.language)
        self._errors = errors(self.language)

    def __call__(self, name: str, **values: Any) -> str:
        return self._texts[name].format(**values) if values else self._texts[name]

    def known(self, name: str, text: str) -> str:
        """The sentence of that name, or `text` where the catalogue has none: what a study names is in no catalogue."""
        return self._texts.get(name, text)

    def error(self, error: WardroundError) -> str:
        """What went wrong, and what to do, as one paragraph."""
        return " ".join(part for part in (self._parts(error)) if part)

    def _parts(self, error: WardroundError) -> list[str]:
        stop = "。" if self.language == "zh" else "."
        said = self.sentence(error.what).rstrip(".。") + stop
        parts = [said]
        for name, text in (("expected", error.expected), ("found", error.found), ("hint", error.hint)):
            if text and (self.language == "en" or name != "expected"):
                parts.append(self(f"error.{name}", text=self.sentence(text).rstrip(".。") + stop))
        return parts

    def sentence(self, text: str) -> str:
        """A sentence of the program in this language; as it is where the catalogue does not hold it."""
        text = text.rstrip(".")
        if text in self._errors or not self._errors:
            return self._errors.get(text, text)
        for parts, translated in patterns(self.language):
            if (held := gaps(parts, text)) is not None:
                return translated.format(*held)
        return text


def gaps(parts: Sequence[str], text: str) -> list[str] | None:
    """What stands between the parts of a sentence, each at least a letter; None where the text is not made of them. In time that
    grows with the text alone, whatever somebody wrote into it.

    >>> gaps(("", " of ", " is gone"), "film 3 of case 7 is gone")
    ['film 3', 'case 7']
    """
    first, *between, last = parts
    at, end, held = len(first), len(text) - len(last), []
    if not (text.startswith(first) and text.endswith(last)):
        return None
    for part in between:
        stop = text.find(part, at + 1, end)
        if stop < 0:
            return None
        held.append(text[at:stop])
        at = stop + len(part)
    return [*held, text[at:end]] if at < end else None


@cache
def catalogue(language: str) -> dict[str, str]:
    """Dotted name -> text."""
    return _flat(_toml(f"{language}.toml"))


@cache
def errors(language: str) -> dict[str, str]:
    """English sentence -> text; empty for English."""
    return {} if language == "en" else {str(english): str(text) for english, text in _toml(f"errors.{language}.toml").items()}


@cache
def patterns(language: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Sentences that hold a name or a number, which stays as it is: their parts around it."""
    return tuple((tuple(english.split("{}")), text) for english, text in errors(language).items() if "{}" in english)


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(files("wardround.clinic.web").joinpath("catalogue", name).read_text("utf-8"))


def _flat(table: dict[str, Any], before: str = "") -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in table.items():
        texts |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": str(value)}
    return texts
