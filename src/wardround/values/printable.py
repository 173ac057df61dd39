"""Texts of others on this person's terminal: names of files, values, keys of a message, whatever somebody else chose."""


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
