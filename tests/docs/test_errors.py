"""Every way in which the program says no is documented."""

import ast
import re
from collections.abc import Iterator

import pytest

from wardround.cli.main import OUR_FAULT
from wardround.site.refusals import ENDING, PUBLIC, word_of
from wardround.summation.masked.attempt import OTHER_SEED
from wardround.summation.plain import NO_ANSWER
from wardround.values import errors
from wardround.values.errors import WardroundError

from .pages import ROOT, read, sections

PAGE = read("docs/errors.md")
AT_A_SITE_ONLY = {"data", "data-changed", "diverged", "engine", "error", "refused", "registry", "run"}
"""Words of errors whose place a word of the closed list takes when something leaves."""
OF_THE_COORDINATOR = {
    "audit",
    "busy",
    "no-answer",
    "other-seed",
    "share-unreadable",
    "not-awaited",
    "too-many-bodies",
    "wrong-answer",
    "wrong-shape",
    "wrong-share",
    "wrong-shares",
    "wrong-signature",
}
WORDS = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| (?:site|coordinator|site or coordinator) \|", PAGE, re.MULTILINE)


def error_classes() -> list[type[WardroundError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, WardroundError)]
    return sorted(found, key=lambda kind: kind.exit_code)


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_class_has_its_row_and_its_section(kind: type[WardroundError]) -> None:
    """A number that a script gets back must be found on a page."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {kind.exit_code} |"))
    assert f"`{kind.__name__}`" in row
    assert f"`{kind.code}`" in row or kind is errors.RefusedError
    assert kind is WardroundError or f"{kind.exit_code} {kind.__name__}" in sections(PAGE)


def test_exit_codes_are_different_and_all_in_the_commands_page() -> None:
    """Two kinds of error with one number could not be told apart."""
    codes = [kind.exit_code for kind in error_classes()]
    assert len(set(codes)) == len(codes)
    table = sections(read("docs/commands.md"))["Exit codes"]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {0, OUR_FAULT, 130, *codes}


@pytest.mark.slow
def test_the_documented_words_of_a_refusal_are_those_the_program_uses() -> None:
    """The word is all that leaves a site: its reader has nothing else to go by."""
    documented = {word.strip("`") for group in WORDS for word in group.split(", ")}
    assert documented == set(refusal_words()) - AT_A_SITE_ONLY | PUBLIC | ENDING


@pytest.mark.slow
def test_a_site_refuses_with_words_of_the_closed_list_alone() -> None:
    """A word that an error brings along, and that nobody looked at, could depend on a record."""
    outside = set(refusal_words()) - AT_A_SITE_ONLY - PUBLIC - ENDING
    assert outside == OF_THE_COORDINATOR
    assert {word_of(kind("x")) for kind in error_classes() if kind.code in AT_A_SITE_ONLY} <= ENDING
    assert not PUBLIC & ENDING


def refusal_words() -> Iterator[str]:
    yield from (kind.code for kind in error_classes())
    yield from (NO_ANSWER, OTHER_SEED)
    for path in sorted((ROOT / "src" / "wardround").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield from _words_in(node)


def _words_in(node: ast.AST) -> Iterator[str]:
    """`RefusedError(..., code="x")`, `_refusal(order, "x")`, `refused[site] = "x"`, `lost[site] = "x"`."""
    match node:
        case ast.Call(func=ast.Name(id="RefusedError"), keywords=keywords):
            yield from (k.value.value for k in keywords if k.arg == "code" and isinstance(k.value, ast.Constant))
        case ast.Call(func=ast.Attribute(attr="_refusal"), args=[_, ast.Constant(value=str(word))]):
            yield word
        case ast.Assign(
            targets=[ast.Subscript(value=ast.Name(id="refused" | "lost" | "blamed")), *_], value=ast.Constant(value=str(word))
        ):
            yield word
        case ast.Assign(targets=[ast.Subscript(value=ast.Attribute(attr="wrong_owner"))], value=ast.Constant(value=str(word))):
            yield word
