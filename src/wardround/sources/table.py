"""Tables: every row becomes a record by `columns`, whatever file the cells came from.

CSV, CSV.gz, Parquet --table_frame--> cells --columns--> features, problems
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wardround.sources.columns import Cells, prepare_column
from wardround.sources.damage import DAMAGE
from wardround.sources.places import Place
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import ColumnFacts, Labels, Problem, ReadResult, collect
from wardround.sources.reader import Reader
from wardround.sources.readiness.units import likely_factor
from wardround.study.cell_codes import left_out_codes
from wardround.study.contract import ColumnContract, DataContract
from wardround.study.label import Target
from wardround.values.errors import DataError

if TYPE_CHECKING:
    import polars as pl

ROWS = "of the rows in the order of the file"
CellsOf = Callable[[str], Cells | None]
"""A column by its name, as cells or as words; None where there is none."""


def read_table(path: Path, contract: DataContract, labels: Labels = "required") -> ReadResult:
    """Every row of the table; raises DataError where the file is damaged or lacks a column."""
    from wardround.sources.table_frame import read_frame

    return table_result(read_frame(path, contract), contract, labels)


def table_result(frame: "pl.DataFrame", contract: DataContract, labels: Labels = "required") -> ReadResult:
    """The rows of a table already read."""
    from wardround.sources.table_frame import cells_in, words_in

    return rows_result(frame.height, lambda name: cells_in(frame, name), lambda name: words_in(frame, name), contract, labels)


def rows_result(count: int, cells_of: CellsOf, words_of: CellsOf, contract: DataContract, labels: Labels) -> ReadResult:
    """`count` rows whose columns `cells_of` gives in canonical spelling, and `words_of` (patient, split, site) as written."""
    columns = {column.name: _needed(cells_of(column.name), column.name) for column in contract.columns}
    counter = ProblemCounter(ROWS)
    kept = np.ones(count, bool)
    for column in contract.columns:
        codes = left_out_codes(column)
        kept &= np.array([cell not in codes for cell in columns[column.name]], dtype=bool)
    left_out = int(np.sum(~kept))
    targets = _targets(_label_cells(cells_of, contract, count, labels), kept, contract, counter, labels)
    rows = np.array(sorted(targets), dtype=np.int64)
    features, facts, problems = _features(contract, columns, rows, labels)
    splits, sites = (_at(words_of(name), rows) for name in ("split", contract.site.column))
    return collect(
        features,
        [targets[row] for row in rows.tolist()],
        patients=_patients(words_of(contract.patient.column), rows, counter),
        declared=[counter.split(word, _row_place(row, "split", word)) for word, row in zip(splits, rows.tolist(), strict=True)],
        sites=sites,
        problems=(*counter.problems(), *problems),
        columns=facts,
        left_out=left_out,
        names=[str(row + 1) for row in rows.tolist()],
    )


def _needed(cells: Cells | None, name: str) -> Cells:
    if cells is None:
        raise DataError(f"The table lacks the column {name!r}", hint="add it, or correct its name in the contract")
    return cells


def _label_cells(cells_of: CellsOf, contract: DataContract, count: int, labels: Labels) -> Cells:
    cells = cells_of(contract.label.column)
    return [""] * count if cells is None and labels == "optional" else _needed(cells, contract.label.column)


def _targets(
    cells: Cells, kept: NDArray[np.bool_], contract: DataContract, counter: ProblemCounter, labels: Labels
) -> dict[int, Target | None]:
    """The target of each row that becomes a record; None where it has no label and needs none."""
    judged = {cell: contract.label.judge(cell) for cell in set(cells)}
    targets: dict[int, Target | None] = {}
    for row in np.flatnonzero(kept).tolist():
        target = judged[cells[row]]
        if target is not None or labels == "optional":
            targets[row] = target
        if target is None and (cells[row] or labels == "required"):
            counter.unknown_label(_row_place(row, contract.label.column, cells[row]), labels)
    return targets


def _at(words: list[str] | None, rows: NDArray[np.int64]) -> list[str]:
    return [""] * len(rows) if words is None else [words[row] for row in rows]


def _patients(words: list[str] | None, rows: NDArray[np.int64], counter: ProblemCounter) -> list[str] | None:
    if words is None:
        return None
    names = _at(words, rows)
    for row, patient in zip(rows.tolist(), names, strict=True):
        if not patient:
            counter.error("patient-absent", "Rows name no patient", "name the patient of every row", _row_place(row))
    return names


def _features(
    contract: DataContract, columns: dict[str, Cells], rows: NDArray[np.int64], labels: Labels
) -> tuple[NDArray[np.float32], list[ColumnFacts], list[Problem]]:
    parts: list[NDArray[np.float32]] = []
    facts: list[ColumnFacts] = []
    problems: list[Problem] = []
    for column in contract.columns:
        counter = ProblemCounter(ROWS)
        part, fact = _column_features(column, [columns[column.name][row] for row in rows], rows, counter, labels)
        parts.append(part)
        facts.append(fact)
        problems.extend(counter.problems())
    return np.concatenate(parts, axis=1), facts, problems


def _column_features(
    column: ColumnContract, cells: Cells, rows: NDArray[np.int64], counter: ProblemCounter, labels: Labels
) -> tuple[NDArray[np.float32], ColumnFacts]:
    """The prepared features (n, f) of one column, f = len(column.features), and what it held."""
    prepared = prepare_column(column, cells)
    for fault in prepared.faults:
        for at in fault.rows.tolist():
            counter.error(fault.code, fault.text, fault.hint, _row_place(int(rows[at]), column.name, cells[at]))
    share = float(prepared.missing.mean()) if len(cells) else 0.0
    # Of records to be answered, each is judged by itself: the share is a rule for a whole hospital.
    if share > (column.max_missing if labels == "required" or column.max_missing == 0 else 1.0):
        text = f"Column {column.name!r} has more missing values than the contract allows ({column.max_missing:.0%} of the rows)"
        hint = "fill them at the source, or raise max_missing for everyone"
        for row in rows[prepared.missing]:
            counter.error(f"missing:{column.name}", text, hint, _row_place(int(row), column.name))
    factor = None if column.range is None else likely_factor(prepared.measured, *column.range, column.name)
    missing, outside = int(prepared.missing.sum()), int(prepared.outside.sum())
    return prepared.features, ColumnFacts(column.name, column.unit, len(cells), missing, outside, factor)


def _row_place(row: int, column: str = "", value: str | None = None) -> Place:
    """Of a row counted from 0."""
    return Place(row + 1, column=column, value=value)


def is_table(path: Path) -> bool:
    """Parquet, gzip, or text: a file without a zero byte in its first bytes."""
    if path.is_dir():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except DAMAGE:
        return False
    return head.startswith((b"PAR1", b"\x1f\x8b")) or b"\0" not in head


READER = Reader(
    kind="table",
    data="table",
    title="CSV or Parquet",
    suffixes=frozenset({".csv", ".gz", ".parquet", ".data"}),
    recognises=is_table,
    read=read_table,
)
