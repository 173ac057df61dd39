"""What a reader found in a file, before the contract's splits make records of it.

    reader -> Gathered -> to_records -> Records        (raises on the first trouble that is an error)
                      `-> readiness  -> Readiness      (tells of all troubles)

A trouble of a single record (a corrupt image, an unknown label) does not stop the reader: the record is left out and the trouble
noted, so that a data manager hears of all of them at once. Texts carry counts and positions only, never a patient, a file name
or a value.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardround.sources.splitting import assign_splits
from wardround.study.contract import DataContract, SplitsContract
from wardround.values.errors import DataError
from wardround.values.records import Records

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Trouble:
    """Something the reader met `count` times; `positions` are the first few, from 1, in the reader's order (`counted_in`)."""

    level: Level
    code: str
    text: str
    mend: str
    count: int = 1
    positions: tuple[int, ...] = ()
    counted_in: str = ""

    def error(self) -> DataError:
        where = f" at position {', '.join(map(str, self.positions))} {self.counted_in}" if self.positions else ""
        return DataError(self.text, found=f"{self.count} of them{where}" if where else f"{self.count} of them", mend=self.mend)


@dataclass(frozen=True)
class ColumnFacts:
    """What a column of a table held. Counts of rows; `factor` is the unit change that would bring most values into range."""

    name: str
    unit: str
    rows: int
    missing: int
    outside: int
    factor: float | None = None


@dataclass(frozen=True)
class Gathered:
    """n records in canonical order: sorted by what they hold, so that the order of files or rows does not matter.

    inputs, labels, patients: as in Records. declared: the split the source declares, "" where none. sites: the hospital, "" where
    none. digests: sha256 of each input, hex. originals: (n, 2) height and width before resizing; (0, 2) for tables.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int8]
    patients: NDArray[np.str_]
    declared: NDArray[np.str_]
    sites: NDArray[np.str_]
    digests: NDArray[np.str_]
    originals: NDArray[np.int64]
    names_patients: bool
    troubles: tuple[Trouble, ...] = ()
    columns: tuple[ColumnFacts, ...] = ()
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def gather(
    inputs: NDArray[Any],
    labels: Sequence[int] | NDArray[Any],
    *,
    patients: Sequence[str] | None,
    declared: Sequence[str] | None = None,
    sites: Sequence[str] | None = None,
    originals: Sequence[tuple[int, int]] = (),
    troubles: Sequence[Trouble] = (),
    columns: Sequence[ColumnFacts] = (),
    left_out: int = 0,
) -> Gathered:
    """Put what was read into canonical order and give records without a patient one of their own.

    `patients` is None, or holds "" for records whose patient is not known. Identical images without a patient share one, so that
    a copy cannot stand in train and in test; identical table rows do not, since two people may well agree in a few rounded
    numbers.
    """
    count = len(labels)
    digests = np.array([hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest() for row in inputs], dtype="<U64")
    outcome = np.asarray(labels, np.int8).reshape(count)
    named = _text(patients, count)
    split, site = _text(declared, count), _text(sites, count)
    order = np.lexsort((site, split, outcome, digests, named))
    named, digests, outcome = named[order], digests[order], outcome[order]
    unnamed = named == ""
    if np.any(unnamed):
        named = np.where(unnamed, _own_patients(digests, outcome, shared=inputs.ndim > 2), named)
    sizes = np.asarray(originals, np.int64).reshape(-1, 2)
    return Gathered(
        inputs=inputs[order],
        labels=outcome,
        patients=named,
        declared=split[order],
        sites=site[order],
        digests=digests,
        originals=sizes[order] if len(sizes) else sizes,
        names_patients=not np.any(unnamed),
        troubles=tuple(troubles),
        columns=tuple(columns),
        left_out=left_out,
    )


def part_of(gathered: Gathered, index: NDArray[Any], *, declared: bool = True) -> Gathered:
    """The records that `index` (booleans or positions) names, with their declared splits kept or forgotten."""
    splits = gathered.declared[index]
    return replace(
        gathered,
        inputs=gathered.inputs[index],
        labels=gathered.labels[index],
        patients=gathered.patients[index],
        declared=splits if declared else np.full(len(splits), "", dtype="<U1"),
        sites=gathered.sites[index],
        digests=gathered.digests[index],
        originals=gathered.originals[index] if len(gathered.originals) else gathered.originals,
    )


def joined(parts: Mapping[str, Gathered]) -> Gathered:
    """Several sources as one, each the hospital of its name; patients of different hospitals are different people."""
    every = list(parts.items())
    return Gathered(
        inputs=np.concatenate([part.inputs for _, part in every]),
        labels=np.concatenate([part.labels for _, part in every]),
        patients=np.concatenate([np.char.add(f"{name}/", part.patients) for name, part in every]),
        declared=np.concatenate([part.declared for _, part in every]),
        sites=np.concatenate([np.full(len(part), name) for name, part in every]),
        digests=np.concatenate([part.digests for _, part in every]),
        originals=np.concatenate([part.originals for _, part in every]),
        names_patients=all(part.names_patients for _, part in every),
        troubles=tuple(trouble for _, part in every for trouble in part.troubles),
        columns=tuple(facts for _, part in every for facts in part.columns),
        left_out=sum(part.left_out for _, part in every),
    )


def _text(values: Sequence[str] | None, count: int) -> NDArray[np.str_]:
    return np.full(count, "", dtype="<U1") if values is None else np.array(list(values), dtype=np.str_).reshape(count)


def _own_patients(digests: NDArray[np.str_], labels: NDArray[np.int8], *, shared: bool) -> NDArray[np.str_]:
    names: list[str] = []
    seen: dict[str, int] = {}
    for digest, label in zip(digests.tolist(), labels.tolist(), strict=True):
        key = f"unnamed-{digest[:20]}" if shared else f"unnamed-{digest[:20]}-{label}"
        seen[key] = seen.get(key, 0) + 1
        names.append(key if shared else f"{key}-{seen[key]}")
    return np.array(names, dtype=np.str_)


def to_records(gathered: Gathered, contract: DataContract, splits: SplitsContract | None = None) -> Records:
    """Records with their splits, or a DataError for the first thing that breaks the contract."""
    rules = splits or contract.splits
    for trouble in gathered.troubles:
        if trouble.level == "error":
            raise trouble.error()
    if not len(gathered):
        raise DataError("The source holds no record", mend="name a folder or file with data in it")
    if contract.patient.required and not gathered.names_patients:
        raise DataError(
            "The source does not say which patient a record belongs to",
            expected=f"a column or array named {contract.patient.column!r}",
            mend="add it, or set required = false under [data.patient] so that each record counts as a patient",
        )
    patients = len(np.unique(gathered.patients))
    if patients < rules.minimum_patients:
        raise DataError(
            "The source holds too few patients",
            expected=f"at least {rules.minimum_patients} (minimum_patients under [data.splits])",
            mend="leave this hospital out, or join its data with another's",
        )
    assigned = assign_splits(gathered.patients, gathered.declared, rules)
    if not np.any(assigned == "train"):
        raise DataError("No patient is left to train on", mend="lower validation and test under [data.splits], or add patients")
    return Records(gathered.inputs, gathered.labels, gathered.patients, assigned)
