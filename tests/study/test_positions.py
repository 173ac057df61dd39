"""Line numbers in a study file: a wrong one sends the user to the wrong place."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.study.positions import key_lines, line_of

TEXT = """\
format = 1
# [not.a.table]
[ question ]   # a comment
title = "x = 1"
'single' = 2
"quo ted" = 2
a.b.c = 3

[[data.columns]]
name = "age"
[data.columns.deep]
x = 1
[[data.columns]]
name = "bp"
range = [
  1,
  2,
]
[data.columns.deep]
x = 2
[data."quoted.part"]
y = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("format",), 1),
        (("question",), 3),
        (("question", "title"), 4),
        (("question", "single"), 5),
        (("question", "quo ted"), 6),
        (("question", "a"), 7),
        (("question", "a", "b"), 7),
        (("question", "a", "b", "c"), 7),
        (("data", "columns", 0), 9),
        (("data", "columns", 0, "name"), 10),
        (("data", "columns", 0, "deep"), 11),
        (("data", "columns", 0, "deep", "x"), 12),
        (("data", "columns", 1), 13),
        (("data", "columns", 1, "name"), 14),
        (("data", "columns", 1, "range"), 15),
        (("data", "columns", 1, "deep", "x"), 20),
        (("data", "quoted.part", "y"), 22),
    ],
)
def test_every_way_to_write_a_key_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    """Tables, arrays of tables, dotted and quoted keys, comments."""
    assert key_lines(TEXT)[path] == line


def test_a_place_inside_a_value_has_the_line_of_its_key() -> None:
    """Elements of lists and keys that are missing have no line of their own."""
    lines = key_lines(TEXT)
    assert line_of(("data", "columns", 1, "range", 0), lines) == 15
    assert line_of(("question", "absent"), lines) == 3
    assert line_of(("absent",), lines) is None
    assert line_of((), lines) is None


def test_what_stands_inside_a_text_of_several_lines_is_no_key() -> None:
    """A description may hold '[table]' and 'x = 1' as words."""
    text = "a = \"\"\"\n[fake]\nrounds = 7\n\"\"\"\nb = '''\n[other]\nx = 1\n'''\n[algorithm]\nrounds = 3\n"
    assert key_lines(text) == {("a",): 1, ("b",): 5, ("algorithm",): 9, ("algorithm", "rounds"): 10}


names = st.sampled_from(["a", "b", "c-d", "e_1"])
tables = st.dictionaries(names, st.dictionaries(names, st.integers(0, 9), min_size=1), min_size=1)


@given(tables)
def test_every_key_of_a_plain_file_is_found(value: dict[str, dict[str, int]]) -> None:
    """Nothing that tomllib reads may lack a line, and the line must hold that key."""
    rows = [line for table, keys in value.items() for line in (f"[{table}]", *(f"{key} = {x}" for key, x in keys.items()))]
    text = "\n".join(rows)
    parsed: dict[str, Any] = tomllib.loads(text)
    lines = key_lines(text)
    for table, keys in parsed.items():
        assert rows[lines[(table,)] - 1] == f"[{table}]"
        for key, x in keys.items():
            assert rows[lines[(table, key)] - 1] == f"{key} = {x}"
    assert len(lines) == len(rows)


@given(st.text(max_size=80))
def test_any_text_has_lines(text: str) -> None:
    """It runs while an error is being explained: it must not raise another."""
    assert all(1 <= line <= text.count("\n") + len(text.splitlines()) + 1 for line in key_lines(text).values())
