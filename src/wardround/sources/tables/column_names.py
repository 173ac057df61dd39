"""Names of columns: each must mean one column, and a name that is absent is told with those that come near."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from wardround.sources.places import shortened
from wardround.study.contract import DataContract
from wardround.values.errors import DataError

_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))
_SUFFIX = re.compile(r"([ _.\-]?\d{1,2}|[ _.\-]?\(\d{1,2}\)|_duplicated_\d+|[ _.\-](copy|kopie|new|neu|old|alt|x|y))$")
SHOWN = 30


def clean_name(name: str) -> str:
    """A name without what nobody sees: spaces around it, a byte order mark, spaces of no width.

    >>> clean_name("\\ufeff age\\u00a0")
    'age'
    """
    return unicodedata.normalize("NFC", name.translate(_UNSEEN)).strip()


def used_names(contract: DataContract) -> tuple[str, ...]:
    """Every name that a table's reader asks for."""
    return tuple(
        dict.fromkeys([*contract.read_columns, *contract.label.columns, contract.patient.column, contract.site.column, "split"])
    )


def require_single(names: Sequence[str], used: Iterable[str], table: str = "The table") -> None:
    """DataError where a name that is used stands over two columns, or over two that differ by case or spaces around it alone."""
    key_of = [clean_name(name).casefold() for name in names]
    for name in used:
        columns = [str(position) for position, key in enumerate(key_of, 1) if key == clean_name(name).casefold()]
        if len(columns) > 1:
            written = ", ".join(repr(names[int(position) - 1]) for position in columns)
            raise DataError(
                f"{table} has more than one column called {name!r}, so it is not clear which is meant",
                expected="one column of a name, also without regard to case and spaces",
                found=f"columns {', '.join(columns)} ({written})",
                hint=f"keep the right one as {name}, and give the others another name or take them out",
            )


def near_twins(names: Sequence[str], used: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (used name, another column of nearly that name): chol_1, chol.1 and "chol (2)" beside chol.

    >>> near_twins(["chol", "chol_1", "age", "Choles"], ["chol", "age"])
    [('chol', 'chol_1')]
    """
    declared = list(used)
    keys = {_bare(name): name for name in declared if name in set(names)}
    return [(keys[_bare(_cut(name))], name) for name in names if name not in declared and _bare(_cut(name)) in keys]


def _cut(name: str) -> str:
    return _SUFFIX.sub("", clean_name(name).casefold())


def _bare(name: str) -> str:
    return re.sub(r"[\s_.\-]", "", clean_name(name).casefold())


def absent_columns(absent: Sequence[str], names: Sequence[str], *, hint: str = "") -> DataError:
    """The error that names absent columns, and on the screen what is there instead."""
    near = [f"{name!r} may be {' or '.join(map(repr, close))}" for name in absent if (close := nearest(name, names))]
    there = ", ".join(map(shortened, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    words = "column" if len(absent) == 1 else "columns"
    return DataError(
        f"The table lacks the {words} {', '.join(map(repr, absent))}",
        found="; ".join([*near, f"its columns are {there}"]),
        hint=hint or "say in a mapping which column is meant (wardround data map), or correct its name",
    )


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """Up to three names that come near, the nearest first."""
    by_key: dict[str, str] = {}
    for other in names:
        by_key.setdefault(_bare(other), other)
    return [by_key[key] for key in get_close_matches(_bare(name), list(by_key), n=3, cutoff=0.6)]
