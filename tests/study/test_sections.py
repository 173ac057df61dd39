"""Sections are values that were checked: also those made from another."""

import re

import pytest
from pydantic import ValidationError

from wardround.study.sections.training import TrainingSection

from ..docs.pages import ROOT


def test_a_changed_section_is_checked_like_any_other() -> None:
    """An unchecked copy made a study that `study check` refuses, and every hospital too, with exit code 0."""
    section = TrainingSection(learning_rate=0.5)
    assert section.changed(seed=3) == TrainingSection(learning_rate=0.5, seed=3)
    for wrong in ({"learning_rate": -1.0}, {"momentum": 0.5}, {"no_such": 1}, {"seed": "3"}):
        with pytest.raises(ValidationError):
            section.changed(**wrong)


def test_nobody_copies_a_checked_value_without_checking_the_copy() -> None:
    """`model_copy` takes any value for any field. Attacks forge messages with it, on purpose; nothing else may."""
    forgers = ("tests/summation/", "tests/hub/test_masked_")
    copies = [
        path.relative_to(ROOT).as_posix()
        for room in ("src", "tests", "benchmarks", "docs")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\.model_copy\(", path.read_text("utf-8"))
    ]
    assert [name for name in copies if not name.startswith(forgers) and not name.endswith("test_sections.py")] == []
