"""What the format of a cell shows beside its number: a share as a percentage, thousands, leading zeros, a unit, nothing at all.

A spreadsheet keeps 0.45 and shows 45 %; the person who made the table means what she sees.

    0.0%        0.45    is shown as 45.0%         #,##0,      1234567   as 1,235
    00000       117     as 00117                  0.0" mg"    5.2       as 5.2 mg       ;;;         0   as nothing

Source: ECMA-376, part 1, 18.8.30 and 18.8.31 (number formats).
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

BUILT_IN = {9: "0%", 10: "0.00%"}
"""Of the formats that every program knows by number alone, those that say something here."""

_TOKEN = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|(\[[^\]]*\])|([_*].)|(.)', re.DOTALL)
_DIGITS, _LITERAL = "0", '"'


@dataclass(frozen=True)
class NumberFormat:
    """percent: the number times a hundred is shown, with a sign. thousandths: it is shown divided by a thousand, or a million.
    zeros: digits up to which it is filled up. unit: the words around it. hidden: nothing of it is shown."""

    percent: bool = False
    thousandths: bool = False
    zeros: int = 0
    unit: str = ""
    hidden: bool = False

    def shown(self, number: str) -> str:
        """A number as text, with its sign of percent and its leading zeros.

        >>> NumberFormat(percent=True).shown("0.45"), NumberFormat(zeros=5).shown("117"), NumberFormat().shown("1.5")
        ('45%', '00117', '1.5')
        """
        if self.percent:
            return f"{format((Decimal(number) * 100).normalize(), 'f')}%"
        return number.zfill(self.zeros) if number.isdigit() else number


PLAIN = NumberFormat()


@lru_cache(maxsize=4096)
def format_of(code: str) -> NumberFormat:
    """What a format's code says.

    >>> format_of("0.0%").percent, format_of('0.0"%"').percent, format_of("#,##0,").thousandths, format_of("#,##0").thousandths
    (True, False, True, False)
    >>> format_of("00000").zeros, format_of('0.0\\\\ "mmol/l"').unit, format_of("#,##0.00 [$€-407]").unit, format_of(";;;").hidden
    (5, 'mmol/l', '€', True)
    >>> format_of("General") == format_of("@") == format_of("0.00E+00") == PLAIN
    True
    """
    sections = [_tokens(section) for section in _sections(code)]
    marks = ["".join(kind for kind, _ in section) for section in sections]
    if code.strip().casefold() in ("general", "@", "") or not any(_DIGITS in mark for mark in marks):
        return NumberFormat(hidden=bool(code.strip()) and not re.search(r"[a-z@]", "".join(marks), re.IGNORECASE))
    unit = "".join(text for kind, text in sections[0] if kind == _LITERAL).strip()
    return NumberFormat(
        percent=any("%" in mark for mark in marks),
        thousandths=any(re.search(r"0,+(?:[^0,]|$)", mark) is not None for mark in marks),
        zeros=len(code) if re.fullmatch("0{2,}", code) else 0,
        unit=unit if re.search(r"[^\W\d_]|[$€£¥%‰]", unit) else "",
    )


def _sections(code: str) -> list[str]:
    """The parts for positive and negative numbers, zero and text."""
    parts, quoted = [""], False
    for sign in code:
        quoted = quoted != (sign == '"')
        if sign == ";" and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _tokens(section: str) -> list[tuple[str, str]]:
    """Kind and text of each part of a section; a kind is one sign, itself where it is none of those named above."""
    tokens = []
    for quoted, escaped, money, _, space, sign in _TOKEN.findall(section):
        if literal := quoted or escaped or money:
            tokens.append((_LITERAL if literal.strip() else " ", literal))
        elif sign and not space:
            tokens.append((_DIGITS if sign in "0#?" else sign, sign))
    return tokens
