"""Texts of others on this person's terminal: names of files, values, keys of a message, whatever somebody else chose."""


def printable(text: str) -> str:
    r"""The text with every character that a terminal would obey, or that turns the direction of reading, in its escaped form.

    Line breaks stay: the one who prints decides about lines.

    >>> printable("a\x1b[2Jb"), printable("x\u202ey"), printable("Übersicht\n2")
    ('a\\x1b[2Jb', 'x\\u202ey', 'Übersicht\n2')
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
