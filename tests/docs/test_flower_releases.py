"""The releases of Flower that an installation may bring are those that were tried."""

import re

from .pages import read


def test_every_minor_of_the_pin_was_run_and_the_page_says_so() -> None:
    """Flower's wire has no promise of its own: a minor in the pin that nobody has run is a guess."""
    first, end = map(int, re.findall(r'"flwr>=1\.(\d+),<1\.(\d+)"', read("pyproject.toml"))[0])
    said = read("docs/deploy.md")
    assert f"flwr>=1.{first},<1.{end}" in said
    tried = re.findall(r"were run on \d{4}-\d\d-\d\d with flwr ([\d., and\n]+)", said)[0]
    assert {int(minor) for minor in re.findall(r"\b1\.(\d+)\.\d+", tried)} == set(range(first, end))
