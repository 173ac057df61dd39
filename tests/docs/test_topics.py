"""Pages that help to choose name every choice there is."""

import re
from typing import get_args

import pytest

from wardround.algorithms import ALGORITHMS
from wardround.sources.datasets.catalogue import entries
from wardround.study.sections.algorithm import AlgorithmSection
from wardround.study.sections.analysis.effect import EffectSection
from wardround.study.sections.evaluation import EvaluationSection

from .pages import read, sections


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_has_its_section(name: str) -> None:
    """An algorithm without its limits written down is chosen for its name."""
    body = sections(read("docs/algorithms.md"))[name]
    assert "Hurts:" in body and "Helps:" in body


def test_every_setting_of_the_algorithm_section_is_explained() -> None:
    """The reference says what a setting is; this page, what it does."""
    page = read("docs/algorithms.md")
    assert [key for key in AlgorithmSection.model_fields if key != "name" and f"`{key}`" not in page] == []


def test_every_rule_for_the_threshold_is_explained() -> None:
    """The threshold decides who is called ill."""
    rules = get_args(EvaluationSection.model_fields["threshold"].annotation)
    assert [rule for rule in rules if f"| `{rule}` |" not in read("docs/evaluation.md")] == []


def test_every_public_data_set_is_listed() -> None:
    """Each has a licence and warnings that its users should meet."""
    assert [name for name in entries() if f"| `{name}` |" not in read("docs/data.md")] == []


def test_the_table_of_data_sets_says_which_can_be_fetched() -> None:
    """Somebody without the files learns here that no command will bring them."""
    rows = {line.split("`")[1]: line for line in read("docs/data.md").splitlines() if line.startswith("| `")}
    for name, entry in entries().items():
        assert rows[name].rstrip(" |").split("| ")[-1].startswith("yes" if entry.downloadable else "no"), name
        assert ("not read by name" in rows[name]) is not entry.readable, name


def test_the_tutorial_explains_every_part_of_the_report() -> None:
    """Whoever opens the report for the first time has the tutorial beside it."""
    template = read("src/wardround/evidence/report.html.j2")
    headings = re.findall(r"<h2>([^<{]+)</h2>", template)
    page = read("docs/tutorial.md")
    assert headings and [heading for heading in headings if f"| {heading} |" not in page] == []


def test_every_setting_of_an_effect_is_explained() -> None:
    """The reference says what a setting is; this page, what it does."""
    page = read("docs/effects.md")
    assert [key for key in EffectSection.model_fields if f"`{key}`" not in page] == []
