"""Tables: every row becomes a record by `columns`, whatever file the cells came from.

CSV, CSV.gz, Parquet, Excel --table_frame, frame_rows--> cells --columns--> features, problems
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.files.damage import DAMAGE
from wardround.sources.places import RowPlaces
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.progress import tell
from wardround.sources.read_result import ColumnFacts, Labels, Problem, ReadResult, Values, collect
from wardround.sources.reader import Reader
from wardround.sources.readiness.units import likely_factor, may_be_dates, mostly_outside, written_dates
from wardround.sources.reading_threads import in_threads, spare_threads
from wardround.sources.splitting import split_named
from wardround.sources.tables.cells import Cells
from wardround.sources.tables.column_looks import FEWEST_OF_CLASS, ColumnCopies, TableSpots, look_at
from wardround.sources.tables.column_names import absent_columns
from wardround.sources.tables.columns import PreparedColumn, measured_values, prepare_column, words_that
from wardround.sources.tables.csv_text import GZIP, PARQUET, looks_like_text
from wardround.study.cell_codes import is_left_out, left_out_codes
from wardround.study.contract import ColumnContract, DataContract
from wardround.study.label import JOINT, Target
from wardround.study.missing_words import is_spreadsheet_error

if TYPE_CHECKING:
    import polars as pl

ROWS = "of the rows in the order of the file"
_MANY_ROWS = 20_000
"""Of fewer, a column is judged sooner than a thread is started."""
LineOf = Callable[[int], int]
"""The line of the file that a row, counted from 0, stands on."""


def _kept_by_others(name: str) -> None:
    """Lets go of nothing: the cells are somebody else's."""


@dataclass(frozen=True)
class TableRows:
    """A table by its columns, whatever it came from.

    names: of its columns. cells_of: a column's cells, asked for by several threads at once; words_of: one of names (patient,
    split, site) as written and trimmed; both None where there is no such column. line_of: None where a row stands on no line.
    problems: what was met while it was read. spellings_settled: the hospital has said which identifiers are one patient.
    release: lets go of a column's cells, for which nobody asks any more: of a large table they take four times the memory of what
    is made of them.
    """

    count: int
    names: tuple[str, ...]
    cells_of: Callable[[str], "Cells | Sequence[str] | None"]
    words_of: Callable[[str], Sequence[str] | None]
    line_of: LineOf | None = None
    problems: tuple[Problem, ...] = ()
    spellings_settled: bool = False
    release: Callable[[str], object] = _kept_by_others


def read_table(path: Path, contract: DataContract, labels: Labels = "required", values: Values = "prepared") -> ReadResult:
    """Every row of the table; raises DataError where the file is damaged or lacks a column."""
    from wardround.sources.tables.frame_rows import read_rows

    return records_of(read_rows(path, contract), contract, labels, values)


def table_result(
    frame: "pl.DataFrame", contract: DataContract, labels: Labels = "required", values: Values = "prepared"
) -> ReadResult:
    """The rows of a table already read."""
    from wardround.sources.tables.frame_rows import rows_of_frame

    return records_of(rows_of_frame(frame, contract), contract, labels, values)


def rows_result(
    count: int,
    cells_of: Callable[[str], Cells | Sequence[str] | None],
    words_of: Callable[[str], Sequence[str] | None],
    contract: DataContract,
    labels: Labels,
    values: Values = "prepared",
) -> ReadResult:
    """`count` rows whose columns `cells_of` gives as `cell_of` spells them, and `words_of` (patient, split, site) as written."""
    return records_of(TableRows(count, (), cells_of, words_of), contract, labels, values)


def records_of(table: TableRows, contract: DataContract, labels: Labels, values: Values = "prepared") -> ReadResult:
    """The records of a table: column by column, so that no row is ever held as a list of cells."""
    require_columns(table, contract, labels)
    if contract.kind == "molecule":
        from wardround.sources.molecules.reading import molecules_of

        return molecules_of(table, contract, labels)
    counter = ProblemCounter(ROWS)
    kept = _kept_rows(table, contract)
    label_column = label_cells(table, contract)
    targets, has_target = targets_of(label_column, kept, table, contract, counter, labels)
    rows = np.flatnonzero(kept & (has_target | (labels == "optional")))
    outcomes = np.where(has_target, targets, 0)[rows]
    measured = _measured(table, contract, rows, outcomes, has_target) if values == "measured" else None
    features, facts, problems = _features(table, contract, rows, outcomes, "required" if measured else labels)
    words, splits, sites = (table.words_of(name) for name in (contract.patient.column, "split", contract.site.column))
    return collect(
        features,
        listed(outcomes, has_target[rows]),
        patients=None if words is None else words_at(words, rows),
        declared=None if splits is None else declared_splits(words_at(splits, rows), rows, table, counter),
        sites=None if sites is None else ["" if is_spreadsheet_error(word) else word for word in words_at(sites, rows)],
        problems=(*table.problems, *counter.problems(), *problems),
        columns=facts,
        left_out=int(np.sum(~kept)),
        names=[str(row + 1) for row in rows.tolist()],
        places=RowPlaces(rows, "", table.line_of),
        spellings_settled=table.spellings_settled,
        measured=measured,
    )


def _measured(
    table: TableRows, contract: DataContract, rows: NDArray[np.int64], outcomes: NDArray[Any], has_target: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """The columns as in `Rows`, before their cells are let go of."""
    columns = {column.name: measured_values(column, cells_named(table, column.name).take(rows)) for column in contract.columns}
    return {**columns, contract.label.column: np.where(has_target[rows], outcomes, np.nan).astype(np.float64)}


def require_columns(table: TableRows, contract: DataContract, labels: Labels) -> None:
    """DataError that names every column which the contract wants and the table lacks."""
    needed = [*contract.read_columns, *(contract.label.columns if labels == "required" else ())]
    there = set(table.names) or {name for name in needed if table.cells_of(name) is not None}
    if absent := [name for name in needed if name not in there]:
        hint = "correct its name, or say under [data.molecule] which column is meant" if contract.kind == "molecule" else ""
        raise absent_columns(absent, table.names, hint=hint)


def cells_named(table: TableRows, name: str) -> Cells:
    """A column's cells, all empty where there is no such column."""
    cells = table.cells_of(name)
    if cells is None:
        cells = [""] * table.count
    return cells if isinstance(cells, Cells) else Cells.of_list(cells)


def label_cells(table: TableRows, contract: DataContract) -> Cells:
    """The label's cells; of a label in several columns their words joined."""
    each = [cells_named(table, name) for name in contract.label.columns]
    if len(each) == 1:
        return each[0]
    rows = (JOINT.join(words) for words in zip(*(cells.to_list() for cells in each), strict=True))
    return Cells.of_list(list(rows))


def _kept_rows(table: TableRows, contract: DataContract) -> NDArray[np.bool_]:
    """Rows that no code of any column leaves out."""
    kept = np.ones(table.count, bool)
    for column in contract.columns:
        codes = left_out_codes(column)
        if column.left_out:
            cells = cells_named(table, column.name)
            kept &= ~cells.by_row(words_that(is_left_out, codes, cells))
    return kept


def targets_of(
    cells: Cells, kept: NDArray[np.bool_], table: TableRows, contract: DataContract, counter: ProblemCounter, labels: Labels
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The target of every row, and whether it has one. A word that is no target is told, an empty one where it is required."""
    judged = [contract.label.judge(word) for word in cells.words]
    known_words = np.array([target is not None for target in judged], bool).reshape(len(judged))
    values = np.array([0 if target is None else target for target in judged]).reshape(len(judged))
    has_target = cells.by_row(known_words)
    empty = cells.by_row(np.array([word.strip(JOINT) == "" for word in cells.words], bool).reshape(len(judged)))
    if labels == "required":
        counter.absent_labels(RowPlaces(np.flatnonzero(kept & ~has_target & empty), contract.label.column, table.line_of))
    told = kept & ~has_target & ~empty
    places = RowPlaces(np.flatnonzero(told), contract.label.column, table.line_of, cells.word)
    counter.unknown_labels(places, labels)
    return cells.by_row(values if len(values) else np.zeros(0)), has_target


def listed(outcomes: NDArray[Any], has_target: NDArray[np.bool_]) -> "Sequence[Target | None] | NDArray[Any]":
    if has_target.all():
        return outcomes
    return [target if there else None for target, there in zip(outcomes.tolist(), has_target.tolist(), strict=True)]


def words_at(words: Sequence[str], rows: NDArray[np.int64]) -> list[str]:
    return list(words) if len(rows) == len(words) else [words[row] for row in rows.tolist()]


def declared_splits(splits: list[str], rows: NDArray[np.int64], table: TableRows, counter: ProblemCounter) -> list[str]:
    """The split that each row declares; a word that names none is an error."""
    meant = {word: split_named(word) or "" for word in set(splits)}
    strange = np.array([bool(word.strip()) and not meant[word] for word in splits], bool).reshape(len(splits))
    word_of = dict(zip(rows[strange].tolist(), [word for word, odd in zip(splits, strange, strict=True) if odd], strict=True))
    counter.unknown_splits(RowPlaces(rows[strange], "split", table.line_of, word_of.__getitem__))
    return [meant[word] for word in splits]


def _features(
    table: TableRows, contract: DataContract, rows: NDArray[np.int64], outcomes: NDArray[Any], labels: Labels
) -> tuple[NDArray[np.float32], list[ColumnFacts], list[Problem]]:
    """Columns are judged a few at once, each by itself, and told in the contract's order."""
    # Column by column in memory: rows would take all of it at once, while the text of every column is still there.
    features = np.empty((len(rows), len(contract.feature_names)), np.float32, order="F")
    ends = np.cumsum([len(column.features) for column in contract.columns]).tolist()
    named_again = {contract.patient.column, "split", contract.site.column}

    def judged(job: tuple[ColumnContract, int]) -> _JudgedColumn:
        column, end = job
        done = _judged_column(column, table, rows, outcomes, labels, features[:, end - len(column.features) : end])
        if column.name not in named_again:
            table.release(column.name)
        return done

    threads = spare_threads() if len(rows) >= _MANY_ROWS else 1
    facts: list[ColumnFacts] = []
    problems: list[Problem] = []
    copies = ColumnCopies()
    for number, done in enumerate(in_threads(judged, zip(contract.columns, ends, strict=True), threads), 1):
        tell("columns", number, len(contract.columns))
        copies.note(done.facts.name, done.fingerprint, done.counter)
        facts.append(done.facts)
        problems.extend(done.counter.problems())
    return features, facts, problems


@dataclass(frozen=True)
class _JudgedColumn:
    """What was seen of a column. fingerprint: equal for columns of equal cells, None where they say nothing."""

    facts: ColumnFacts
    fingerprint: int | None
    counter: ProblemCounter


def _judged_column(
    column: ColumnContract,
    table: TableRows,
    rows: NDArray[np.int64],
    outcomes: NDArray[Any],
    labels: Labels,
    features: NDArray[np.float32],
) -> _JudgedColumn:
    """Writes a column's features (n, f), and tells what is wrong or strange about its cells."""
    counter = ProblemCounter(ROWS)
    cells = cells_named(table, column.name).take(rows)
    spots = TableSpots(rows, cells, table.line_of)
    prepared, facts = _column_features(column, cells, spots, counter, labels)
    features[:] = prepared.features
    return _JudgedColumn(facts, look_at(column, cells, prepared, outcomes, spots, counter), counter)


def _column_features(
    column: ColumnContract, cells: Cells, spots: TableSpots, counter: ProblemCounter, labels: Labels
) -> tuple[PreparedColumn, ColumnFacts]:
    prepared = prepare_column(column, cells)
    for fault in prepared.faults:
        counter.rows("error", fault.code, fault.text, fault.hint, spots.places(fault.rows, column.name))
    share = float(prepared.missing.mean()) if len(cells) else 0.0
    # Of records to be answered, each is judged by itself: the share is a rule for a whole hospital.
    if share > (column.max_missing if labels == "required" or column.max_missing == 0 else 1.0):
        text = f"Column {column.name!r} has more missing values than the contract allows ({column.max_missing:.0%} of the rows)"
        hint = "fill them at the source, or raise max_missing for everyone"
        where = spots.places(np.flatnonzero(prepared.missing), column.name)
        counter.rows("error", f"missing:{column.name}", text, hint, where)
    factor = None if column.range is None else likely_factor(prepared.measured, *column.range, column.name)
    missing, outside = int(prepared.missing.sum()), int(prepared.outside.sum())
    outlying = column.range is not None and mostly_outside(prepared.measured, *column.range)
    dated = (outlying and may_be_dates(prepared.measured)) or (
        len(prepared.measured) >= FEWEST_OF_CLASS and written_dates(prepared.measured)
    )
    return prepared, ColumnFacts(column.name, column.unit, len(cells), missing, outside, factor, dated)


def is_table(path: Path) -> bool:
    """Parquet, gzip, or text, by its first bytes."""
    if path.is_dir():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except DAMAGE:
        return False
    return head.startswith((PARQUET, GZIP)) or looks_like_text(head)


READER = Reader(
    kind="table",
    data="table",
    title="CSV or Parquet",
    suffixes=frozenset({".csv", ".gz", ".parquet", ".data"}),
    recognises=lambda candidate: is_table(candidate.path),
    read=read_table,
)
