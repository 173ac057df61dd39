"""Words that stand where a patient should be named, and name nobody: an export writes them for "not known" or "taken out".

Every reader asks `names_nobody`, so that twenty rows of "NA" are twenty people whose name is not known, and not one patient.
"""

import re
import unicodedata

MISSING_WORDS = frozenset({
    # not there
    "na", "n/a", "n.a.", "n. a.", "n.a", "nan", "null", "none", "nil", "nul", "\\n", "undefined", "empty", "blank", "missing",
    "not available", "not applicable", "not known", "not recorded", "not specified", "no id", "no name", "noname", "no patient",
    "unspecified", "unassigned", "unnamed", "nobody", "leer", "fehlt", "ohne", "ohne angabe", "keine", "keine angabe", "k.a.",
    "k. a.", "k.a", "n.b.", "entfällt", "sans", "aucun", "s/o", "nd", "n.d.", "n/d", "n.v.t.",
    # not known
    "unknown", "unknow", "unk", "unkn", "unbekannt", "unbek.", "unbek", "inconnu", "inconnue", "non connu", "desconocido",
    "desconocida", "desconhecido", "desconhecida", "sconosciuto", "sconosciuta", "ignoto", "onbekend", "ukendt", "ukjent",
    "okänd", "tuntematon", "nieznany", "nieznana", "neznámý", "ismeretlen", "bilinmiyor", "неизвестно", "неизвестный", "不明",
    "未知",
    # taken out
    "anonymous", "anonym", "anonymus", "anonyme", "anonimo", "anónimo", "anônimo", "anoniem", "anonymized", "anonymised",
    "anonymize", "anonymise", "anonymisiert", "anonymisé", "anonymisée", "anonymizado", "anonimizado", "anonimizzato",
    "geanonimiseerd", "anon", "anonymouspatient", "anonymous patient", "anonymized patient", "anonymised patient",
    "pseudonym", "pseudonymized", "pseudonymised", "pseudonymisiert", "deidentified", "de-identified", "de identified",
    "deid", "redacted", "removed", "deleted", "hidden", "masked", "gelöscht", "entfernt", "supprimé", "匿名",
})  # fmt: skip
"""In lower case, without brackets around them. Numbers are not among them: 0 and 999 are the first and a later patient of many
a numbered list, and a code that means "unknown" shows by how often it stands."""

_DIGIT = re.compile("[0-9]")
_ERROR = re.compile(r"#(?:N/A|NAME\?|REF!|VALUE!|NULL!|NUM!|DIV/0!|SPILL!|CALC!|GETTING_DATA|ERROR|FORMULA .*)", re.IGNORECASE)
_AROUND = "\"'`´<>()[]{}#*^=_,;: "


def is_spreadsheet_error(text: str) -> bool:
    """Whether a cell holds an error of a spreadsheet, or a formula without a value, in place of anything.

    >>> is_spreadsheet_error("#REF!"), is_spreadsheet_error("#12")
    (True, False)
    """
    return _ERROR.fullmatch(text.strip()) is not None


def names_nobody(text: str) -> bool:
    """Whether a patient's cell names nobody: it is empty, has no letter and no digit, is xxx or an error of a spreadsheet, or is
    one of MISSING_WORDS.

    >>> [names_nobody(word) for word in ("", " N/A ", "<NULL>", "ANONYMIZED^", "--", "?", "xxx", "#N/A", "#DIV/0!")]
    [True, True, True, True, True, True, True, True, True]
    >>> [names_nobody(word) for word in ("0", "0000", "999", "P001", "Nanette", "X1")]
    [False, False, False, False, False, False]
    """
    if is_spreadsheet_error(text):
        return True
    if _DIGIT.search(text) is not None:
        return False  # no word of the list has a digit
    word = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_AROUND)
    if not any(character.isalnum() for character in word):
        return True
    return word in MISSING_WORDS or (len(word) >= 3 and set(word) == {"x"})
