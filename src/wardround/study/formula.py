"""A formula of a regression as the terms of a study: the small part of R's language that says what it means at once.

    death ~ age/10 + sex + C(ward, "b") + age:sex

`age/10` is per 10 units; `C(ward, "b")` compares a category with b; `age:sex` is the product of two, and `age*sex` that and both
of them. A name with other signs than letters, digits, `_` and `.` stands between backticks. Nothing else is understood, and it is
refused: a formula that is read in two ways is two models.
"""

import re
from dataclasses import dataclass

from wardround.study.sections.analysis.term import Missing, TermSection
from wardround.values.errors import StudyError

_NAME = r"(?:`[^`]+`|[^\W\d][\w.]*)"
_COLUMN = re.compile(rf"({_NAME})(?:\s*/\s*([0-9.]+(?:e[+-]?[0-9]+)?))?", re.UNICODE)
_CATEGORY = re.compile(rf"C\(\s*({_NAME})\s*(?:,\s*(?:\"([^\"]*)\"|'([^']*)'|(-?[0-9]+))\s*)?\)")
_PRODUCT = re.compile(rf"({_NAME})\s*([:*])\s*({_NAME})")
FORMS = '`outcome ~ age + sex`, with age/10 (per 10 units), C(ward, "b") (compared with b), age:sex or age*sex (a product)'


@dataclass(frozen=True)
class Formula:
    """outcome: its column. terms: in the order of the formula, each once."""

    outcome: str
    terms: tuple[TermSection, ...]


def parse_formula(text: str, missing: Missing = "leave_out") -> Formula:
    """What a formula says. missing: what becomes of rows without a value, for every term. StudyError for anything else.

    >>> [term.column for term in parse_formula("death ~ age/10 + sex").terms]
    ['age', 'sex']
    """
    outcome, tilde, rest = text.partition("~")
    if not tilde or not re.fullmatch(_NAME, outcome.strip()) or not rest.strip():
        raise _unreadable(text, "an outcome, ~ and terms")
    terms: dict[tuple[str, str | None], TermSection] = {}
    for part in _parts(rest):
        try:
            for term in _terms(part.strip(), text, missing):
                terms.setdefault((term.column, term.times), term)
        except ValueError as error:  # a product with itself, a step of 0
            raise _unreadable(text, part.strip()) from error
    return Formula(_bare(outcome.strip()), tuple(terms.values()))


def _parts(text: str) -> list[str]:
    """The terms between plus signs; a plus sign in a name or a code is none."""
    pieces = re.split(r"(`[^`]*`|\"[^\"]*\"|'[^']*')", text)
    marked = "".join(piece if number % 2 else piece.replace("+", "\0") for number, piece in enumerate(pieces))
    return marked.split("\0")


def _terms(part: str, text: str, missing: Missing) -> list[TermSection]:
    if product := _PRODUCT.fullmatch(part):
        left, right = _bare(product[1]), _bare(product[3])
        alone = [TermSection(column=name, missing=missing) for name in (left, right)] if product[2] == "*" else []
        return [*alone, TermSection(column=left, times=right, missing=missing)]
    if category := _CATEGORY.fullmatch(part):
        words = [word for word in category.groups()[1:] if word is not None]
        reference: str | int | None = words[0] if words else None
        return [TermSection(column=_bare(category[1]), reference=reference, missing=missing)]
    column = _COLUMN.fullmatch(part)
    if column is None:
        raise _unreadable(text, part or "nothing between two plus signs")
    return [TermSection(column=_bare(column[1]), per=float(column[2] or 1.0), missing=missing)]


def _bare(name: str) -> str:
    return name.strip("`")


def _unreadable(text: str, part: str) -> StudyError:
    return StudyError("The formula cannot be read", expected=FORMS, found=f"{part[:80]!r} in {text[:120]!r}", hint="write it so")
