"""Which line of a TOML file a key stands on, so that an error can name it. tomllib does not tell."""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_PART = r"(?:[A-Za-z0-9_\-]+|\"[^\"\n]*\"|'[^'\n]*')"
_NAME = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_NAME})\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(rf"^\s*({_NAME})\s*=")
_TEXT = re.compile(r"""#[^\n]*|"{3}(?:\\.|.)*?"{3}|'{3}.*?'{3}|"(?:\\.|[^"\n\\])*"|'[^'\n]*'""", re.DOTALL)  # comments too


def key_lines(text: str) -> dict[Path, int]:
    """Line numbers, from 1, of every table header and key in `text`. Keys inside inline tables have their table's line.

    >>> key_lines('[a]\\nb = 1\\n[[c]]\\nd = 2\\n')[("c", 0, "d")]
    4
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, line in enumerate(_TEXT.sub(_emptied, text).split("\n"), 1):
        if header := _HEADER.match(line):
            table = _resolve(_parts(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            dotted = _parts(key[1])
            for depth in range(1, len(dotted) + 1):
                lines.setdefault((*table, *dotted[:depth]), number)
    return lines


def _emptied(string: re.Match[str]) -> str:
    """A text over several lines keeps its lines only: what stands in it is no key."""
    return string[0] if not string[0].startswith(('"""', "'''")) else '""' + "\n" * string[0].count("\n")


def _parts(name: str) -> Path:
    """a."b.c" -> a and b.c."""
    return tuple(part.strip("\"'") for part in re.findall(_PART, name))


def _resolve(name: Path, counts: dict[Path, int]) -> Path:
    """[a.b] after [[a]] belongs to the last element of a."""
    path: Path = ()
    for index, part in enumerate(name):
        path = (*path, part)
        if path in counts and index < len(name) - 1:
            path = (*path, counts[path])
    return path


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of the longest known beginning of `path`."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return None
