"""benchmarks/reading/omop.py measures what the page says it does."""

from pathlib import Path
from types import ModuleType

import pytest

from ..benchmark_modules import load_benchmark


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_benchmark("omop")


@pytest.mark.slow
def test_every_row_that_the_cohort_names_is_read(benchmark: ModuleType, tmp_path: Path) -> None:
    """A benchmark that reads nothing is the fastest."""
    from wardround.sources.databases.csv_tables import open_csv_tables
    from wardround.sources.databases.omop.cdm import omop_events

    figures = benchmark.omop_10m(tmp_path, rows=20_000)
    assert figures["records"] == benchmark.PERSONS and 0 < figures["positive"] < benchmark.PERSONS
    with open_csv_tables(tmp_path) as tables:
        events = omop_events(tables, tables, benchmark.contract().cohort).events
    measured = (events["number"].is_not_null()).sum()
    assert abs(measured - 20_000 * benchmark.USED / benchmark.KINDS) < 500
