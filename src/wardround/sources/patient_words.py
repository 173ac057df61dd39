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
_LARGE_FLOAT = re.compile(r"(\d{16,})\.0+", re.ASCII)
_EXACT_FLOATS = 2**53
_SPREADSHEET_DIGITS = 15
"""More a spreadsheet does not keep: the digits behind them become zeros."""
_FEWEST_ROUNDED = 5
ROUNDED_TEXT = "Patients' identifiers were rounded by a spreadsheet or a program, so that several may be one"
ROUNDED_HINT = "in the spreadsheet, or in the query, make the identifiers text before they are read, and export them again"


def is_rounded(identifier: str) -> bool:
    """Whether an identifier is a long number that a program rounded: what it stood for cannot be told any more.

    >>> is_rounded("1.23457E+11"), is_rounded("1,23457E+11"), is_rounded("3E12"), is_rounded("123456789012")
    (True, True, False, False)
    >>> is_rounded("9007199254741000.0"), is_rounded("9007199254741000")
    (True, False)
    """
    large = _LARGE_FLOAT.fullmatch(identifier)
    return _ROUNDED.fullmatch(identifier) is not None or (large is not None and int(large[1]) >= _EXACT_FLOATS)


def rounded_among(identifiers: NDArray[np.str_]) -> set[str]:
    """The identifiers that a program rounded. Without a letter E none is, which is seen of a million in one step.

    >>> rounded_among(np.array(["1.23457E+11", "E7", "8"]))
    {'1.23457E+11'}
    >>> len(rounded_among(np.array([f"1234567890123{number}0" for number in range(10, 20)])))
    10
    """
    letters = _letters(identifiers)
    suspects = ((letters == ord("e")) | (letters == ord("E"))).any(axis=1)
    if letters.shape[1] > _SPREADSHEET_DIGITS:
        suspects |= letters[:, _SPREADSHEET_DIGITS] != 0
    words = set(identifiers[suspects].tolist()) if suspects.any() else set()
    return {word for word in words if is_rounded(word)} | _cut_to_zeros(words)


def _cut_to_zeros(words: set[str]) -> set[str]:
    """The numbers of more digits than a spreadsheet keeps, where every one of them ends with the zeros that it puts there."""
    long = {word for word in words if word.isdigit() and len(word) > _SPREADSHEET_DIGITS}
    cut = all(set(word[_SPREADSHEET_DIGITS:]) == {"0"} for word in long)
    return long if cut and len(long) >= _FEWEST_ROUNDED else set()


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
    ascii_only = bool(np.all((letters == 0) | ((letters > 32) & (letters < 127)))) and not bool(np.any(letters[:, 0] == ord("#")))
    return letters if ascii_only and bool(np.all(((letters >= 48) & (letters <= 57)).any(axis=1))) else None


def _one_shape(letters: NDArray[np.uint32]) -> bool:
    """Whether words are of one length, of letters and digits, each place of one case: then no two are one folded identifier."""
    upper, lower = (letters >= 65) & (letters <= 90), (letters >= 97) & (letters <= 122)
    if not bool(np.all(upper | lower | ((letters >= 48) & (letters <= 57)))):
        return False
    return not bool(np.any(upper.any(axis=0) & lower.any(axis=0)))


_ALIKE = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0406\u0456"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
    "ABEKMHOPCTXaeopcyxIiABEZHIKMNOPTYXo",
)
"""Cyrillic and Greek letters that look like Latin ones: on a keyboard of two alphabets one is typed for the other."""
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")


def one_form(identifier: str) -> str:
    """An identifier without what nobody sees: signs of no width, and letters, dashes and spaces that look like others.

    >>> one_form("p\\u200b4") == one_form("p4"), one_form("\\u04204") == "P4", one_form("p\\u20114") == "p-4"
    (True, True, True)
    """
    if identifier.isascii() and identifier.isprintable():
        return identifier
    word = _DASHES.sub("-", unicodedata.normalize("NFKC", identifier))
    if any("A" <= sign.upper() <= "Z" or sign.isdigit() for sign in word):
        word = word.translate(_ALIKE)
    return "".join(sign for sign in word if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cf"))


def folded(identifier: str) -> str:
    """Equal for identifiers that may be one patient written in two ways.

    >>> folded("P001") == folded("p1"), folded("0007") == folded("7.0"), folded("7") == folded("70")
    (True, True, False)
    """
    word = one_form(identifier).casefold()
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
