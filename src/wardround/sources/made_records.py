"""What a reader found becomes the records of a run, or of a question to a model: the first error in it is raised.

ReadResult --to_records--> Records, splits assigned        ReadResult --to_named--> NamedRecords, in the order of the source
           --to_rows--> Rows, as measured
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.read_result import ReadResult, row_by_row
from wardround.sources.splitting import assign_splits, distinct
from wardround.study.contract import DataContract, SplitsContract
from wardround.values.errors import DataError
from wardround.values.records import Records
from wardround.values.rows import Rows


def stricter(read_result: ReadResult) -> ReadResult:
    """The same for a private study: problems that leave open who is one patient are errors."""
    problems = [replace(problem, level="error") if problem.private_error else problem for problem in read_result.problems]
    return replace(read_result, problems=tuple(problems))


def to_records(read_result: ReadResult, contract: DataContract, splits: SplitsContract | None = None) -> Records:
    """Records with their splits, or a DataError for the first thing that breaks the contract."""
    rules = splits or contract.splits
    _require_sound(read_result, contract, rules)
    if bare := int(np.sum(~read_result.labelled)):
        raise DataError("Records have no label to learn from", found=f"{bare} of {len(read_result)}", hint="label every record")
    assigned = assign_splits(read_result.patients, read_result.declared, rules, read_result.split_units)
    if rules.leaves_training and not np.any(assigned == "train"):
        raise DataError("No patient is left to train on", hint="lower validation and test under [data.splits], or add patients")
    return Records(row_by_row(read_result.inputs), read_result.labels, read_result.patients, assigned)


def to_rows(read_result: ReadResult, contract: DataContract, hospital: str = "") -> Rows:
    """The rows as they were measured, or a DataError for the first thing that breaks the contract. A row may lack its label."""
    _require_sound(read_result, contract, contract.splits)
    assigned = assign_splits(read_result.patients, read_result.declared, contract.splits, read_result.split_units)
    return Rows(dict(read_result.measured), read_result.patients, assigned, hospital)


def _require_sound(read_result: ReadResult, contract: DataContract, rules: SplitsContract) -> None:
    for problem in read_result.problems:
        if problem.level == "error":
            raise problem.error()
    if not len(read_result):
        raise DataError("The source holds no record", hint="name a folder or file with data in it")
    if contract.patient.required and not read_result.names_patients:
        unnamed = int(np.sum(~read_result.identified))
        raise DataError(
            "The source does not say which patient a record belongs to",
            found=f"{unnamed} of {len(read_result)} records name no patient",
            expected=f"a column or array named {contract.patient.column!r}",
            hint="name the patient of each record; a word such as NA or unknown names nobody",
        )
    patients = len(distinct(read_result.patients)[0])
    if patients < rules.minimum_patients:
        raise DataError(
            "The source holds too few patients",
            expected=f"at least {rules.minimum_patients} (minimum_patients under [data.splits])",
            hint=too_few_hint(read_result),
        )


def too_few_hint(read_result: ReadResult) -> str:
    """What to do where there are too few patients: an export that calls everybody by one word has them, and hides them."""
    if len(distinct(read_result.patients)[0]) == 1 and len(read_result) > 1:
        return (
            "every record names the same patient: if the export was anonymised with one word, export it again with a pseudonym "
            "for each patient"
        )
    return "leave this hospital out, or join its data with another's"


@dataclass(frozen=True)
class NamedRecords:
    """n records that a model is asked about, in the order of their source.

    names: as the source calls them. inputs: as in Records. patients: "" where the source names none. labels: as in Records,
    where `labelled`. left_out: records that the contract leaves out, and that get no answer. originals (n, 2): height
    and width of images before resizing, (0, 2) where none are known.
    """

    names: NDArray[np.str_]
    inputs: NDArray[Any]
    patients: NDArray[np.str_]
    labels: NDArray[Any]
    labelled: NDArray[np.bool_]
    left_out: int = 0
    originals: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return len(self.names)


def to_named(read_result: ReadResult) -> NamedRecords:
    """The records in the order of their source, or a DataError for the first thing that breaks the contract."""
    for problem in read_result.problems:
        if problem.level == "error":
            raise problem.error()
    if not len(read_result):
        raise DataError("The source holds no record", hint="name a folder or file with data in it")
    order = np.argsort(read_result.positions, kind="stable")
    patients = np.where(read_result.identified, read_result.patients, "")
    return NamedRecords(
        names=read_result.names[order],
        inputs=row_by_row(read_result.inputs)[order],
        patients=patients[order],
        labels=read_result.labels[order],
        labelled=read_result.labelled[order],
        left_out=read_result.left_out,
        originals=read_result.originals[order] if len(read_result.originals) else read_result.originals,
    )
