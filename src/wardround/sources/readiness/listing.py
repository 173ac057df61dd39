"""Every place of every finding as a CSV, for the person who mends the data. It holds values, and stays at the hospital."""

import csv
import io
from pathlib import Path

from wardround.sources.places import shortened
from wardround.sources.readiness.report import Readiness
from wardround.values.durable import sweep, write_atomic

LONGEST = 1000
"""Letters of a value that are written: a spreadsheet takes 32,767 in a cell."""
COLUMNS = ("level", "code", "finding", "file", "line", "record", "column", "value", "what to do")


def write_listing(readiness: Readiness, path: Path) -> int:
    """Write the list, readable by this user alone; returns how many places it holds.

    A cell that a spreadsheet would take for a formula is written with an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    rows = 0
    for finding in readiness.findings:
        for spot in finding.places:
            row = (
                finding.level,
                finding.code,
                finding.exact or finding.text,
                spot.file,
                spot.line or "",
                spot.position or "",
                spot.column,
            )
            writer.writerow([*map(_plain, row), _plain(shortened(spot.value or "", LONGEST)), finding.exact_hint or finding.hint])
            rows += 1
    sweep(path.parent, path.name)  # what a killed process left would hold values too
    write_atomic(path, text.getvalue().encode("utf-8-sig", "backslashreplace"), private=True)
    return rows


def _plain(cell: object) -> str:
    words = str(cell)
    return f"'{words}" if words.startswith(("=", "+", "-", "@", "\t", "\r")) else words
