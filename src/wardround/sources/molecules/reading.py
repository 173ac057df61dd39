"""A table whose rows are molecules: the column of SMILES becomes inputs, compounds and scaffolds, whatever file it came from.

    cells --each distinct one once, bench--> values, compound, scaffold --> ReadResult

The compound is the unit that splits and privacy are counted in, by its structure: what a table calls it plays no part, so that
salts, stereo isomers and second measurements of one compound are one unit, at every hospital. A row that is no molecule is told
with its place, whether the contract leaves it out or refuses it.
"""

import numpy as np
from numpy.typing import NDArray

from wardround.sources.molecules import bench
from wardround.sources.places import RowPlaces
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels, Level, ReadResult, collect
from wardround.sources.tables.cells import Cells
from wardround.sources.tables.table import (
    ROWS,
    TableRows,
    cells_named,
    declared_splits,
    label_cells,
    listed,
    targets_of,
    words_at,
)
from wardround.study.contract import DataContract
from wardround.study.missing_words import is_spreadsheet_error

_LEFT_OUT = 'or agree on unreadable = "leave_out" under [data.molecule]'
_FAULTS = {
    bench.ABSENT: ("smiles-absent", "Rows hold no SMILES", "fill them in"),
    bench.UNREADABLE: ("smiles-unreadable", "SMILES are no molecule that RDKit can read", "correct them at the source"),
    bench.TOO_LONG: (
        "smiles-too-long",
        f"SMILES are longer than {bench.LONGEST_SMILES:,} characters",
        "take these rows out: a fingerprint says little of so large a molecule",
    ),
    bench.BROKE_OFF: ("smiles-broke-off", "RDKit ended or took too long over a SMILES", "correct them at the source"),
}


def molecules_of(table: TableRows, contract: DataContract, labels: Labels) -> ReadResult:
    """The records of a table of molecules. MissingExtraError without RDKit."""
    rules = contract.molecule_rules
    counter = ProblemCounter(ROWS)
    cells = cells_named(table, rules.column)
    molecules = bench.read_molecules(cells.words, rules)
    outcome = cells.by_row(molecules.outcome)
    readable = outcome == bench.READ
    _tell_faults(outcome, cells, table, rules.column, counter, "error" if rules.unreadable == "refuse" else "warning")
    targets, has_target = targets_of(label_cells(table, contract), readable, table, contract, counter, labels)
    rows = np.flatnonzero(readable & (has_target | (labels == "optional")))
    outcomes = np.where(has_target, targets, 0)[rows]
    index = cells.index[rows]
    if len(mended := rows[molecules.mended[index]]):
        text = "Rows name a salt or a charged form, and are read as the parent compound"
        counter.rows("note", "salts", text, "nothing: it is what the study means", RowPlaces(mended, rules.column, table.line_of))
    splits, sites = (table.words_of(name) for name in ("split", contract.site.column))
    return collect(
        molecules.values[index],
        listed(outcomes, has_target[rows]),
        patients=molecules.keys[index].tolist(),
        groups=(molecules.groups if rules.folds == "scaffold" else molecules.keys)[index],
        declared=None if splits is None else declared_splits(words_at(splits, rows), rows, table, counter),
        sites=None if sites is None else ["" if is_spreadsheet_error(word) else word for word in words_at(sites, rows)],
        problems=(*table.problems, *counter.problems()),
        left_out=int(np.sum(~readable)),
        names=[str(row + 1) for row in rows.tolist()],
        places=RowPlaces(rows, "", table.line_of),
    )


def _tell_faults(
    outcome: NDArray[np.int8], cells: Cells, table: TableRows, column: str, counter: ProblemCounter, level: Level
) -> None:
    """A finding for each sort of row that is no molecule, with the line of each."""
    for fault, (code, text, hint) in _FAULTS.items():
        places = RowPlaces(np.flatnonzero(outcome == fault), column, table.line_of, cells.word)
        counter.rows(level, code, text, f"{hint}, {_LEFT_OUT}" if level == "error" else hint, places)
