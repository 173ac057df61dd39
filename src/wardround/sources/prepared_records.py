"""Prepared records as `values/records_file.py` writes them: what a simulation divides a data set into, `data/NAME.npz`.

They were prepared under the contract of their study. Another contract may want another shape, which is refused here.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wardround.sources.files.candidate import Candidate
from wardround.sources.images.pixels import empty_stack
from wardround.sources.places import Place
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels, ReadResult, Values, collect
from wardround.sources.reader import Reader
from wardround.study.contract import DataContract
from wardround.study.label import Target
from wardround.values.errors import DataError
from wardround.values.records import Records
from wardround.values.records_file import read_records

MEMBERS = frozenset({"inputs.npy", "labels.npy", "patients.npy", "splits.npy"})


def read_prepared(
    path: Path, contract: DataContract, _labels: Labels = "required", _values: Values = "prepared", /
) -> ReadResult:
    """Every record of the file, its splits declared; DataError where it is damaged or was prepared for another contract.

    Such a file holds a label for each record, whether labels are required or not.
    """
    try:
        records = read_records(path)
    except DataError as error:
        raise DataError(error.what, found=error.found, hint="copy the file again, or name the data it was made from") from error
    _require_contract(records, contract)
    counter = ProblemCounter("in the order of the file")
    judged = [value if contract.label.knows(value) else None for value in records.labels.tolist()]  # no longer words
    rows = _usable(records, judged, contract, counter)
    return collect(
        records.inputs[rows],
        [judged[row] for row in rows],
        patients=[str(patient) for patient in records.patients[rows]],
        declared=[counter.split(str(records.splits[row]), Place(row + 1, value=str(records.splits[row]))) for row in rows],
        originals=[contract.image.size] * len(rows) if contract.kind == "image" else (),
        problems=counter.problems(),
        names=[str(row + 1) for row in rows],
    )


def _require_contract(records: Records, contract: DataContract) -> None:
    """DataError unless one input has the shape and type that the contract gives it."""
    if contract.kind == "image":
        blank = empty_stack(0, contract.image)
        shape, dtype = blank.shape[1:], blank.dtype
    else:
        shape, dtype = contract.input_shape, np.dtype(contract.row_type)
    if records.inputs.shape[1:] != shape or records.inputs.dtype != dtype:
        raise DataError(
            "The file holds records that were prepared for another contract",
            expected=f"{dtype} of shape {shape} for each record",
            found=f"{records.inputs.dtype} of shape {records.inputs.shape[1:]}",
            hint="name the data they were made from, or use the contract of the study that made them",
        )


def _usable(records: Records, judged: Sequence[Target | None], contract: DataContract, counter: ProblemCounter) -> list[int]:
    """The rows that hold numbers, a patient and a known label; the others are problems."""
    rows: list[int] = []
    for row, label in enumerate(judged):
        if contract.kind != "image" and not np.isfinite(records.inputs[row]).all():
            text = "Records hold values that are not numbers"
            counter.error("not-a-number", text, "name the data they were made from", Place(row + 1))
        elif not records.patients[row]:
            counter.error("patient-absent", "Rows name no patient", "name the patient of every row", Place(row + 1))
        elif label is None:
            counter.unknown_label(Place(row + 1, value=str(records.labels[row])))
        else:
            rows.append(row)
    return rows


def is_prepared(candidate: Candidate) -> bool:
    """An npz whose arrays are exactly those of a records file."""
    return candidate.members == MEMBERS


READER = Reader("records", "any", "prepared records", frozenset({".npz"}), is_prepared, read_prepared)
