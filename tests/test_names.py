"""A name has a noun: what a parameter or a local holds is said by its name, and can be searched."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("src", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
NOUNLESS = frozenset({"found", "given", "how", "of", "wanted", "place", "known"})
EXCEPTIONS = {
    "src/wardround/values/errors.py": {"found"},  # the keyword of every error: expected=, found=, hint=
}


def nounless(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every parameter and assigned variable without a noun. Fields and methods are read behind their owner's
    name, which says what they are of."""
    nodes = list(ast.walk(ast.parse(source)))
    fields = {
        id(statement.target)
        for body in nodes
        if isinstance(body, ast.ClassDef)
        for statement in body.body
        if isinstance(statement, ast.AnnAssign)
    }
    for node in nodes:
        name = _bound(node)
        if name in NOUNLESS and id(node) not in fields:
            yield node.lineno, name  # type: ignore[attr-defined]


def _bound(node: ast.AST) -> str | None:
    """The name that this node gives to a value."""
    match node:
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            return name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return name
        case _:
            return None


@pytest.mark.slow
def test_every_parameter_and_local_has_a_noun() -> None:
    """`found` meant a ledger, a digest, a list of rows and a bool: a reader had to look up what it was each time."""
    broken = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in SOURCES
        for line, name in nounless(path.read_text("utf-8"))
        if name not in EXCEPTIONS.get(path.relative_to(ROOT).as_posix(), ())
    ]
    assert len(SOURCES) > 200  # an empty list of files would pass
    assert broken == []


def test_no_exception_is_left_over() -> None:
    """An exception that nothing needs would let the name back in."""
    for name, allowed in EXCEPTIONS.items():
        assert {used for _, used in nounless((ROOT / name).read_text("utf-8"))} == allowed


@pytest.mark.parametrize(
    "source",
    [
        "def f(found): ...",
        "def f(*, of=1): ...",
        "def f(*how): ...",
        "f = lambda place: place",
        "known = 1",
        "found, other = 1, 2",
        "wanted: int = 1",
        "for place in (): ...",
        "[given for given in ()]",
        "if (found := 1): ...",
        "with open('a') as found: ...",
        "try: ...\nexcept OSError as found: ...",
        "match 1:\n    case found: ...",
    ],
)
def test_every_way_to_bind_a_name_is_seen(source: str) -> None:
    """A way that the walk above misses would be a way around the rule."""
    assert len(list(nounless(source))) == 1


@pytest.mark.parametrize("source", ["class A:\n    found: int", "raise Error(found='b')", "a.of(b)", "place_of = 1"])
def test_fields_keywords_and_longer_names_are_left_alone(source: str) -> None:
    """`counts.found`, `found=` of our errors and `place_of` say what they are."""
    assert list(nounless(source)) == []
