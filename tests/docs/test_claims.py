"""What the pages on security and privacy promise, each with the test that fails where it is untrue."""

import ast
import re
from functools import cache
from itertools import pairwise

import pytest

from .pages import ROOT, anchors, read

PAGES = ("docs/security.md", "docs/privacy.md", "docs/spec/wire.md", "docs/spec/masked-sum.md")
BOXED = (*PAGES, "docs/spec/private-sum.md")
QUESTIONS = ("What leaves", "Against whom it is hidden", "What it costs", "What to sign")
HEADING = "What holds it"
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+(?:::\w+)?))?`")


def claims(page: str) -> list[list[str]]:
    """Rows of the page's table: where the claim stands, the claim, its tests."""
    table = re.split(rf"^## (?:\d+\. )?{HEADING}$", read(page), flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    assert rows[0] == ["where", "claim", "held by"] and set(rows[1]) == {"---"}
    return rows[2:]


@cache
def names_in(file: str) -> frozenset[str]:
    """Names of the tests that stand in a file, as `pytest FILE::NAME` takes them. Nothing is imported."""
    names = set()
    for node in ast.parse(read(file)).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        before = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        names |= {f"{before}{one.name}" for one in inner if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}
    return frozenset(names)


def named_tests(text: str) -> list[tuple[str, str]]:
    return _TEST.findall(text)


@pytest.mark.parametrize("page", PAGES)
def test_every_claim_names_its_tests(page: str) -> None:
    """A claim that no test holds is a hope; a row with a word in the place of a test would look like one that is held."""
    rows = claims(page)
    assert len(rows) >= 20
    for where, claim, tests in rows:
        assert claim and named_tests(tests), (where, claim)
        assert re.sub(r"`[^`]+`|[,\s]", "", tests) == "", tests
        assert all(name for _, name in named_tests(tests)), tests


@pytest.mark.parametrize("page", BOXED)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    """Tests are renamed; a reader who follows a name must find it."""
    missing = []
    for file, name in named_tests(read(page)):
        if not (ROOT / file).is_file() or (name and name not in names_in(file)):
            missing.append(f"{file}::{name}")
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_claim_says_where_on_the_page_it_stands(page: str) -> None:
    """The table is read beside the text: a section, or a number of the specification."""
    text, headings = read(page), anchors(ROOT / page)
    for where, claim, _ in claims(page):
        link = re.fullmatch(r"\[[^\]]+\]\(#([\w-]+)\)", where)
        numbers = [] if link else where.split(", ")
        assert link is None or link[1] in headings, (where, claim)
        assert all(re.search(rf"^(?:##+ )?{re.escape(number)}\.? ", text, re.MULTILINE) for number in numbers), (where, claim)


@pytest.mark.parametrize("page", BOXED)
def test_a_page_begins_with_half_a_page_for_whoever_signs(page: str) -> None:
    """Who has five minutes reads the head: what leaves, against whom it is hidden, what it costs, what to sign; in this order."""
    box = " ".join(line.strip("> ") for line in read(page).split("\n## ")[0].splitlines() if line.startswith(">"))
    places = [box.find(f"*{question}") for question in QUESTIONS]
    assert -1 not in places and all(before < after for before, after in pairwise(places))
    assert 400 < len(box) < 2600


def test_a_test_that_is_not_there_is_noticed() -> None:
    """Or the rows above prove nothing."""
    assert named_tests("`tests/docs/test_claims.py::test_a`, `tests/a.py`") == [
        ("tests/docs/test_claims.py", "test_a"),
        ("tests/a.py", ""),
    ]
    assert "test_a" not in names_in("tests/docs/test_claims.py")
    assert "test_a_test_that_is_not_there_is_noticed" in names_in("tests/docs/test_claims.py")
