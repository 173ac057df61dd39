"""The page of databases tells of every finding, every kind of event and every value of a feature."""

import re
from pathlib import Path
from typing import get_args

from wardround.sources.databases.fhir.values import RESOURCE_KINDS
from wardround.sources.databases.omop.cdm import EVENT_TABLES
from wardround.study.code_systems import FHIR_SYSTEMS
from wardround.study.sections.cohort import Summary

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "databases.md").read_text()
ROOM = ROOT / "src" / "wardround" / "sources" / "databases"
_CODE = re.compile(r'"(?:note|warning|error)",\s*f?"([a-z][a-z-]+)')


def test_every_finding_is_explained() -> None:
    """A manager who reads a code in a report looks for it on this page."""
    codes = {code for path in ROOM.rglob("*.py") for code in _CODE.findall(path.read_text())}
    assert len(codes) > 20  # a pattern that matches nothing would find nothing missing
    assert sorted(code for code in codes if f"`{code}" not in PAGE) == []


def test_every_table_resource_and_value_is_named() -> None:
    """What is read must be on the page, or nobody can say what is not."""
    tables = [table.name for kind in EVENT_TABLES.values() for table in kind]
    values = get_args(Summary)
    assert [name for name in (*tables, *RESOURCE_KINDS, *values) if f"`{name}`" not in PAGE] == []


def test_the_systems_of_codes_that_the_page_names_are_known() -> None:
    """A name on the page is copied into a study."""
    named = set(re.findall(r"`(\w+)\\\|", PAGE)) - {"OMOP", "Visit", "http", "urn"}
    assert named and named <= set(FHIR_SYSTEMS)
