"""Study files that somebody made to cost memory or time: a hospital reads what its hub offers before a person has looked."""

import subprocess
import sys

import pytest

from wardround.study.reading import parse_study
from wardround.study.toml_reading import DEEPEST_KEY, MOST_PROBLEMS, toml_value
from wardround.values.errors import StudyError

LONG = "a." * 20_000 + "a"
BOMBS = {
    "a dotted key": f"{LONG} = 1",
    "a table's header": f"[{LONG}]",
    "a key in a list": f"x = [{{{LONG} = 1}}]",
    "quoted parts": '"a."."b" . ' * 20_000 + "a = 1",
    "after a text that ends in quotes": f'x = ["""a"""", {{{LONG} = 1}}]',
    "after a text over lines": f'x = ["""\n""", {{{LONG} = 1}}]',
    "after a comment": f'# """\n{LONG} = 1',
    "lists in lists": "x = " + "[" * 100_000,
    "tables in tables": "x = " + "{a=" * 100_000,
    "a number without end": "x = " + "9" * 500_000,
    "a hexadecimal number without end": "x = 0x" + "f" * 500_000,
    "a hundred thousand tables": "".join(f"[a{number}]\n" for number in range(100_000)),
    "a text without an end": '\\"""\n' * 100_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_was_made_to_be_costly_is_refused_cheaply(bomb: str) -> None:
    """40 kB of dots took 1.6 GB and 18 seconds of a hospital's service, for every offer of them."""
    code = (
        "import resource, sys, time; from wardround.study.reading import parse_study; "
        "from wardround.values.errors import StudyError; text = sys.stdin.read(); "
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 29)); began = time.process_time()\n"
        "try: parse_study(text)\n"
        "except StudyError: print(time.process_time() - began)"
    )
    ran = subprocess.run([sys.executable, "-c", code], input=BOMBS[bomb], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-500:]
    assert float(ran.stdout) < 10


def test_a_key_of_as_many_parts_as_are_allowed_is_read() -> None:
    """The limit counts parts of a key: numbers and texts with points are none."""
    assert toml_value(".".join("a" * DEEPEST_KEY) + " = 1", "x")
    assert toml_value("x = [" + "0.5, " * 1000 + "]", "x")
    assert toml_value(f'x = "{"and so on. " * 1000}"', "x")
    with pytest.raises(StudyError, match="too many parts"):
        toml_value(".".join("a" * (DEEPEST_KEY + 2)) + " = 1", "x")


def test_of_very_many_problems_the_first_are_told() -> None:
    """A sentence of megabytes helps nobody, and would be written to the log."""
    with pytest.raises(StudyError) as refusal:
        parse_study("".join(f"k{number} = 1\n" for number in range(2000)))
    assert len(str(refusal.value).splitlines()) <= MOST_PROBLEMS + 3
