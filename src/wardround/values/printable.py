"""Texts of others on this person's terminal: names of files, values, keys of a message, whatever somebody else chose; and what
may stand in no message at all, a password."""

import re

_PASSWORDS = (
    re.compile(r"((?:\w[\w+.\-]*:/{1,3}|\w+//|\b(?:postgres|postgresql|mysql|mariadb|mssql|oracle)/)[^\s/:@]*:)[^\s'\"]+(?=@)"),
    re.compile(r"(\b(?:password|passwd|pwd)\s*=\s*)(?:'[^']*'|[^\s;&'\"]+)", re.IGNORECASE),
)
"""In an address, also one that lost a slash or is mistyped, and in the settings of a driver."""


def without_passwords(text: str) -> str:
    """The text with the password of every address and connection in it as ***.

    >>> without_passwords("mysql://me:secret@host/db"), without_passwords("host=h password=secret user=me")
    ('mysql://me:***@host/db', 'host=h password=*** user=me')
    """
    for pattern in _PASSWORDS:
        text = pattern.sub(r"\1***", text)
    return text


def printable(text: str) -> str:
    r"""The text with every sign written out that a terminal would obey, that turns the direction of reading, or that is no text.

    >>> printable("a\x1b[2Jb"), printable("x\u202ey"), printable("a/\udcff.png"), printable("Übersicht\n2")
    ('a\\x1b[2Jb', 'x\\u202ey', 'a/\\xff.png', 'Übersicht\\n2')
    """
    return "".join(sign if sign.isprintable() else _written_out(sign) for sign in text)


def printable_lines(text: str) -> str:
    r"""`printable` line by line: the line breaks are those of the one who prints.

    >>> printable_lines("a\x1b\nb")
    'a\\x1b\nb'
    """
    return "\n".join(map(printable, text.split("\n")))


def _written_out(sign: str) -> str:
    """Python keeps a byte of a name that is not UTF-8 as a lone surrogate: what is meant is the byte."""
    code = ord(sign)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(sign)[1:-1]
