"""The mapping on the data page is one that the program reads, and every setting of a mapping is on the page."""

import re

from wardround.sources.mapping.sections import CellsSection, ColumnSection, HospitalMapping, PatientMapping, SourceSection
from wardround.study.toml_reading import read_as

from .pages import read

PAGE = read("docs/data.md")


def test_the_mapping_on_the_page_is_sound() -> None:
    """It is copied and edited."""
    block = re.search(r"```toml\n(# mapping.toml\n.*?)```", PAGE, re.DOTALL)
    assert block is not None
    mapping = read_as(HospitalMapping, block[1], "mapping.toml")
    assert [column.name for column in mapping.columns] == ["chol", "sex", "stay"]
    assert mapping.patient is not None and mapping.patient.same == "ignore zeros"


def test_every_setting_of_a_mapping_is_on_the_page() -> None:
    """What is not written down is found by nobody."""
    section = PAGE.split("## A hospital's own mapping")[1].split("\n## ")[0]
    named = {field.alias or name for kind in (SourceSection, CellsSection, ColumnSection, PatientMapping)
             for name, field in kind.model_fields.items()} | set(HospitalMapping.model_fields)  # fmt: skip
    assert [name for name in sorted(named) if name not in section] == []
