"""`results.json` and `tables.csv`: every digit, for programs and spreadsheets."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from wardround.analysis.result import Cell, Result, Table


def results_json(result: Result, facts: dict[str, Any]) -> str:
    """The result as one JSON object. facts: of the run, such as its study's hash and its hospitals."""
    body = {
        **facts,
        "kind": result.kind,
        "title": result.title,
        "notes": list(result.notes),
        "error": result.error,
        "figures": dict(result.figures),
        "tables": {table.name: _table_json(table) for table in result.tables},
        "charts": {chart.name: asdict(chart) for chart in result.charts},
    }
    return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _table_json(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "columns": [column.name for column in table.columns],
        "rows": [list(row) for row in table.rows],
        "notes": list(table.notes),
    }


def tables_csv(tables: Iterable[Table]) -> str:
    """Every table under a line with its title, one blank line between them, numbers with all their digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for number, table in enumerate(tables):
        if number:
            buffer.write("\n")
        writer.writerow([_harmless(table.title)])
        writer.writerow([_harmless(column.name) for column in table.columns])
        writer.writerows([_harmless(cell) for cell in row] for row in table.rows)
    return buffer.getvalue()


def _harmless(cell: Cell) -> Cell:
    """A name that a spreadsheet would take for a formula is set in a leading apostrophe; a number is none."""
    if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell:
        return f"'{cell}"
    return cell
