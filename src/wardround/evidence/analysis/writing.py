"""A result into the three files of its run's folder."""

from pathlib import Path
from typing import Any

from wardround.analysis.result import Result
from wardround.evidence.analysis.files import results_json, tables_csv
from wardround.evidence.analysis.page import facts_of, render_page
from wardround.values.durable import write_atomic

RESULTS, TABLES, PAGE = "results.json", "tables.csv", "report.html"


def write_result(result: Result, facts: dict[str, Any], study_toml: str, folder: Path) -> None:
    """The page, the tables and the figures, each whole or not at all. facts: of the run (`AnalysisCoordinator.facts`)."""
    write_atomic(folder / RESULTS, results_json(result, facts).encode())
    write_atomic(folder / TABLES, tables_csv(result.tables).encode())
    page = render_page(result, facts_of(facts, result), study_toml, synthetic=bool(facts["synthetic"]))
    write_atomic(folder / PAGE, page.encode())
