"""Units of a study, which are words, as codes of UCUM, which other systems calculate with. A word that is not here has no code.

UCUM, https://ucum.org, case-sensitive codes.
"""

_CODES = {
    "d": ("day", "days", "d"),
    "h": ("hour", "hours", "h"),
    "min": ("minute", "minutes", "min"),
    "wk": ("week", "weeks"),
    "mo": ("month", "months"),
    "a": ("year", "years"),
    "%": ("%", "percent"),
    "1": ("1",),
    "kg": ("kg",),
    "g": ("g",),
    "mg": ("mg",),
    "cm": ("cm",),
    "mm": ("mm",),
    "m": ("m",),
    "L": ("l", "litre", "litres", "liter", "liters"),
    "mL": ("ml",),
    "mL/min": ("ml/min",),
    "mm[Hg]": ("mmhg", "mm[hg]"),
    "mg/dL": ("mg/dl",),
    "g/dL": ("g/dl",),
    "g/L": ("g/l",),
    "mg/L": ("mg/l",),
    "mmol/L": ("mmol/l",),
    "umol/L": ("umol/l", "µmol/l", "μmol/l"),
    "/min": ("per minute", "1/min", "beats per minute", "bpm"),
    "Cel": ("degrees c", "°c", "celsius"),
    "10*3/uL": ("1000/ul", "1000/µl", "1000/μl"),
}
_BY_WORD = {word: code for code, words in _CODES.items() for word in words}


def ucum_code(unit: str) -> str:
    """The code of a unit as a study writes it; "" of one that has none here.

    >>> ucum_code("days"), ucum_code("mmHg"), ucum_code("log mol/l")
    ('d', 'mm[Hg]', '')
    """
    return _BY_WORD.get(unit.strip().lower(), "")
