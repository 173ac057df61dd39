"""Who is a patient: what names nobody, and identifiers that may be one patient written in two ways.

Nothing is merged here. Two spellings stay two patients until the hospital says in its mapping that they are one.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardround.study.missing_words import names_nobody

_ZEROS = re.compile(r"^(\D*)0+(?=\d)", re.ASCII)
_POINT_ZERO = re.compile(r"^(\d+)\.0+$", re.ASCII)

SPELLINGS = "patient-spellings"
SPELLINGS_TEXT = "Patients whose identifiers differ only by case, leading zeros, a trailing .0, spaces or the form of letters"
SPELLINGS_HINT = (
    "correct them at the source: one patient with one spelling, and two with names that differ by more; of a table, a mapping "
    '(wardround data map) can say it instead, with same under [patient]: "ignore case", "ignore zeros", "ignore case and zeros", '
    'or "as written" where they are different people'
)


_ROUNDED = re.compile(r"\d(?:[.,]\d+E\+?|E\+)\d{1,3}", re.ASCII | re.IGNORECASE)
ROUNDED_TEXT = "Patients' identifiers were rounded by a spreadsheet or a program, so that several may be one"
ROUNDED_HINT = "in the spreadsheet, or in the query, make the identifiers text before they are read, and export them again"


def is_rounded(identifier: str) -> bool:
    """Whether an identifier is a long number that a program rounded: what it stood for cannot be told any more.

    >>> is_rounded("1.23457E+11"), is_rounded("1,23457E+11"), is_rounded("3E12"), is_rounded("123456789012")
    (True, True, False, False)
    """
    return _ROUNDED.fullmatch(identifier) is not None


def rounded_among(identifiers: NDArray[np.str_]) -> set[str]:
    """The identifiers that a program rounded. Without a letter E none is, which is seen of a million in one step.

    >>> rounded_among(np.array(["1.23457E+11", "E7", "8"]))
    {'1.23457E+11'}
    """
    letters = _letters(identifiers)
    suspects = ((letters == ord("e")) | (letters == ord("E"))).any(axis=1)
    return {word for word in set(identifiers[suspects].tolist()) if is_rounded(word)}


def _letters(words: NDArray[np.str_]) -> NDArray[np.uint32]:
    """The letters of words (n, length), 0 behind the end."""
    return words.view(np.uint32).reshape(len(words), words.dtype.itemsize // 4)


def without_nobody(words: Sequence[str]) -> list[str]:
    """The identifiers, trimmed; "" where a word names nobody.

    >>> without_nobody([" p1 ", "NA", "?"])
    ['p1', '', '']
    """
    if _plain(words) is not None:
        return list(words)
    meant = {word: "" if names_nobody(word) else word.strip() for word in set(words)}
    return [meant[word] for word in words]


def _plain(words: Sequence[str] | NDArray[np.str_]) -> NDArray[np.uint32] | None:
    """The letters of words where each is ASCII without spaces and has a digit; else None.

    Such words name somebody, and are most tables' identifiers: a million of them are looked at in one step.
    """
    if not len(words) or "" in words[:1]:
        return None
    letters = _letters(np.asarray(words, dtype=np.str_))
    ascii_only = bool(np.all((letters == 0) | ((letters > 32) & (letters < 127))))
    return letters if ascii_only and bool(np.all(((letters >= 48) & (letters <= 57)).any(axis=1))) else None


def _one_shape(letters: NDArray[np.uint32]) -> bool:
    """Whether words are of one length, of letters and digits, each place of one case: then no two are one folded identifier."""
    upper, lower = (letters >= 65) & (letters <= 90), (letters >= 97) & (letters <= 122)
    if not bool(np.all(upper | lower | ((letters >= 48) & (letters <= 57)))):
        return False
    return not bool(np.any(upper.any(axis=0) & lower.any(axis=0)))


def folded(identifier: str) -> str:
    """Equal for identifiers that may be one patient written in two ways.

    >>> folded("P001") == folded("p1"), folded("0007") == folded("7.0"), folded("7") == folded("70")
    (True, True, False)
    """
    word = identifier.casefold() if identifier.isascii() else unicodedata.normalize("NFKC", identifier).casefold()
    if not word.isalnum():
        word = _POINT_ZERO.sub(r"\1", "".join(word.split()))
    return _ZEROS.sub(r"\1", word) if "0" in word else word


def spelled_alike(identifiers: Sequence[str] | NDArray[np.str_]) -> set[str]:
    """Every identifier that is not the only one of its kind; none where no two may be one patient.

    >>> sorted(spelled_alike(["0007", "7", "8", ""]))
    ['0007', '7']
    """
    letters = _plain(identifiers)
    if letters is not None and _one_shape(letters):
        return set()
    distinct = set(identifiers.tolist() if isinstance(identifiers, np.ndarray) else identifiers) - {""}
    keys = {identifier: folded(identifier) for identifier in distinct}
    if len(set(keys.values())) == len(distinct):
        return set()
    first: dict[str, str] = {}
    alike: set[str] = set()
    for identifier, key in keys.items():
        other = first.setdefault(key, identifier)
        if other != identifier:
            alike |= {identifier, other}
    return alike
