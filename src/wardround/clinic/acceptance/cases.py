"""The hospital's own labelled cases, as a model's contract reads them.

path or name of a data set --readers, mapping--> records --without a label, byte for byte again: counted, not used--> Cases
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.kinds.registry import kind_of
from wardround.clinic.place.acceptance_record import CasesRecord
from wardround.sources import network_input, open_source
from wardround.sources.excluded_patients import ExcludedPatients
from wardround.study.contract import DataContract
from wardround.tasks.registry import task_of_label
from wardround.values.errors import DataError
from wardround.values.records import Records

FOLDS = 10


@dataclass(frozen=True)
class Cases:
    """n labelled cases of one hospital.

    contract: by which they were read. names: as the source calls them. inputs: network inputs. labels: targets of the question,
    0 or 1 of a yes or no. patients: of each case; where the source names none, each case is a patient of its own. facts: what is
    said of them in the record. sizes (n, 2): of films as they came, (0, 2) where nobody knows.
    """

    contract: DataContract
    names: NDArray[np.str_]
    inputs: NDArray[np.float32]
    labels: NDArray[Any]
    patients: NDArray[np.str_]
    facts: CasesRecord
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def folds(self, seed: int) -> NDArray[np.intp]:
        """The fold of each case, 0 to FOLDS - 1: whole patients, and alike shares of both classes, or of the
        question's groups, in each fold."""
        people, owner = np.unique(self.patients, return_inverse=True)
        ill = np.zeros(len(people))
        np.maximum.at(ill, owner, task_of_label(self.contract.label).strata(self.labels))
        keys = [hashlib.sha256(f"{seed}\0{person}".encode()).digest() for person in people.tolist()]
        order = sorted(range(len(people)), key=lambda person: (ill[person], keys[person]))
        fold = np.zeros(len(people), np.intp)
        fold[order] = np.arange(len(people)) % FOLDS
        return np.asarray(fold[owner])


def read_cases(contract: DataContract, source: str, mapping: Path | None = None) -> Cases:
    """The cases at a path, or of a public data set by its name: of that the split that its publisher set apart for tests.

    DataError where nothing can be read, or one class has no case; of another question than yes or no, where the cases can test
    nothing.
    """
    if Path(source).exists() or "://" in source:
        return _of_path(contract, source, mapping)
    from wardround.sources.datasets.catalogue import entries
    from wardround.sources.datasets.named import load_dataset

    if source not in entries():
        raise DataError(
            f"There is nothing at {source}, and no data set of that name",
            expected="a path, a data set of this hospital's site, or one of: wardround data list",
            hint="check the path",
        )
    dataset = load_dataset(source, contract)
    return cases_of(contract, source, dataset.records if dataset.external is None else dataset.external)


def _of_path(contract: DataContract, source: str, mapping: Path | None) -> Cases:
    excluded = ExcludedPatients.of_user()
    if mapping is None:
        records = open_source(source, contract, excluded=excluded).named()
    else:
        from wardround.sources.mapping.sections import load_mapping

        records = open_source(source, contract, mapping=load_mapping(mapping), excluded=excluded).named()
    kept = records.labelled
    return _cases(
        contract,
        Path(source).name or "data",
        records.names[kept],
        records.inputs[kept],
        records.labels[kept],
        records.patients[kept],
        unlabelled=int((~kept).sum()),
        left_out=records.left_out,
        sizes=records.originals[kept] if len(records.originals) else records.originals,
    )


def cases_of(contract: DataContract, source: str, records: Records) -> Cases:
    """Records that were read before."""
    names = np.array([str(row) for row in range(len(records))])
    return _cases(contract, source, names, records.inputs, records.labels, records.patients)


def _cases(
    contract: DataContract,
    source: str,
    names: NDArray[np.str_],
    raw: NDArray[np.generic],
    labels: NDArray[np.generic],
    patients: NDArray[np.str_],
    *,
    unlabelled: int = 0,
    left_out: int = 0,
    sizes: NDArray[np.int64] | None = None,
) -> Cases:
    people = np.array([person or f"\0{row}" for row, person in enumerate(patients.tolist())], dtype=object).astype(str)
    digests = [_digest(row, label) for row, label in zip(raw, labels.tolist(), strict=True)]
    first = _first_of_each(contract, digests, people)
    kind, blank = kind_of(contract.label), 0
    if kind is not None:
        answered = kind.known(labels[first])
        first, blank = first[answered], int((~answered).sum())
    inputs = network_input(contract, raw[first])
    own = labels[first].astype(np.int8) if kind is None else kind.judged(labels[first])
    _require_both(own) if kind is None else kind.require(own)
    if len(np.unique(people[first])) < FOLDS:
        raise DataError(
            "A model is tested on more patients: what is made from some is judged by others",
            expected=f"cases of at least {FOLDS} patients",
            found=f"{len(np.unique(people[first]))}, with {len(first)} cases",
            hint="add cases of other patients, or look which column or element names the patient",
        )
    facts = CasesRecord(
        source=source,
        sha256=hashlib.sha256("".join(sorted(digests[row] for row in first)).encode()).hexdigest(),
        cases=len(first),
        patients=len(np.unique(people[first])),
        positives=int(own.sum()) if kind is None else None,
        counted={} if kind is None else kind.counted(own),
        unlabelled=unlabelled + blank,
        left_out=left_out,
        repeated=len(digests) - len(first) - blank,
    )
    originals = np.zeros((0, 2), np.int64) if sizes is None or not len(sizes) else sizes[first]
    return Cases(contract, names[first], inputs, own, people[first], facts, originals)


def _require_both(labels: NDArray[np.int8]) -> None:
    if len(np.unique(labels)) < 2:
        raise DataError(
            "A model is tested on cases of both kinds",
            expected="labelled cases with the finding and without it",
            found=f"{int(labels.sum())} with it, {int((labels == 0).sum())} without",
            hint="add cases, or look how [data.label] of the model reads your labels",
        )


def _first_of_each(contract: DataContract, digests: list[str], people: NDArray[np.str_]) -> NDArray[np.intp]:
    """Films that are equal pixel for pixel are one; rows of a table may well agree, unless they are of one patient."""
    keys = digests if contract.kind == "image" else [f"{one} {person}" for one, person in zip(digests, people, strict=True)]
    seen: dict[str, int] = {}
    for row, key in enumerate(keys):
        seen.setdefault(key, row)
    return np.array(sorted(seen.values()), np.intp)


def _digest(row: NDArray[np.generic], label: object) -> str:
    return hashlib.sha256(np.ascontiguousarray(row).tobytes() + str(label).encode()).hexdigest()
