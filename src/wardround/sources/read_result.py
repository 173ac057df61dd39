"""What a reader found in a file, before the contract's splits make records of it.

    reader -> ReadResult -> to_records -> Records        (raises on the first problem that is an error)
                      `-> readiness  -> Readiness      (tells of all problems)

A problem of a single record (a corrupt image, an unknown label) does not stop the reader: the record is left out and the problem
noted, so that a data manager hears of all of them at once. Texts carry no patient, no file name, no value: those stand in the
places of a problem, which never leave.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardround.sources.places import Place
from wardround.sources.splitting import assign_splits
from wardround.study.contract import DataContract, SplitsContract
from wardround.study.label import Target
from wardround.values.errors import DataError
from wardround.values.records import Records

Level = Literal["error", "warning", "note"]
POSITIONS_TOLD = 5

Labels = Literal["required", "optional"]
"""optional: a record may lack its label, as one does that a model is asked about."""


@dataclass(frozen=True)
class Problem:
    """Something the reader met `count` times, at `places` (the first PLACES_KEPT).

    text and hint may be sent on and hold no value, no name; places never leave. counted_in: what a place's position counts.
    """

    level: Level
    code: str
    text: str
    hint: str
    count: int = 1
    places: tuple[Place, ...] = ()
    counted_in: str = ""

    @property
    def positions(self) -> tuple[int, ...]:
        """Of the first few records, from 1."""
        return tuple(place.position for place in self.places[:POSITIONS_TOLD] if place.position)

    def error(self) -> DataError:
        where = f" at position {', '.join(map(str, self.positions))} {self.counted_in}" if self.positions else ""
        return DataError(self.text, found=f"{self.count} of them{where}" if where else f"{self.count} of them", hint=self.hint)


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
class ReadResult:
    """n records in canonical order: sorted by what they hold, so that the order of files or rows does not matter.

    inputs, labels, patients: as in Records. declared: the split the source declares, "" where none. sites: the hospital, "" where
    none. digests: sha256 of each input, hex. originals: (n, 2) height and width before resizing; (0, 2) for tables.
    names: each record as its source calls it, a file or the number of a row. positions: its place in the order of the source.
    labelled: whether it has a label; the label of one that has none is 0 and means nothing.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    patients: NDArray[np.str_]
    declared: NDArray[np.str_]
    sites: NDArray[np.str_]
    digests: NDArray[np.str_]
    originals: NDArray[np.int64]
    names: NDArray[np.str_]
    positions: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    names_patients: bool
    problems: tuple[Problem, ...] = ()
    columns: tuple[ColumnFacts, ...] = ()
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def collect(
    inputs: NDArray[Any],
    labels: Sequence[Target | None],
    *,
    names: Sequence[str],
    patients: Sequence[str] | None,
    declared: Sequence[str] | None = None,
    sites: Sequence[str] | None = None,
    originals: Sequence[tuple[int, int]] = (),
    problems: Sequence[Problem] = (),
    columns: Sequence[ColumnFacts] = (),
    left_out: int = 0,
) -> ReadResult:
    """Put what was read into canonical order and give records without a patient one of their own.

    `labels` holds None for records without one; `names` are in the order of the source.
    `patients` is None, or holds "" for records whose patient is not known. Identical images without a patient share one, so that
    a copy cannot stand in train and in test; identical table rows do not, since two people may well agree in a few rounded
    numbers.
    """
    count = len(labels)
    digests = np.array([hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest() for row in inputs], dtype="<U64")
    labelled = np.array([label is not None for label in labels], dtype=bool).reshape(count)
    outcome = _targets([0 if label is None else label for label in labels])
    named = _text(patients, count)
    split, site = _text(declared, count), _text(sites, count)
    order = np.lexsort((site, split, outcome, digests, named))
    named, digests, outcome = named[order], digests[order], outcome[order]
    unnamed = named == ""
    if np.any(unnamed):
        named = np.where(unnamed, _own_patients(digests, outcome, shared=inputs.ndim > 2), named)
    sizes = np.asarray(originals, np.int64).reshape(-1, 2)
    return ReadResult(
        inputs=inputs[order],
        labels=outcome,
        patients=named,
        declared=split[order],
        sites=site[order],
        digests=digests,
        originals=sizes[order] if len(sizes) else sizes,
        names=_text(names, count)[order],
        positions=order.astype(np.int64),
        labelled=labelled[order],
        names_patients=not np.any(unnamed),
        problems=tuple(problems),
        columns=tuple(columns),
        left_out=left_out,
    )


def part_of(read_result: ReadResult, index: NDArray[Any], *, declared: bool = True) -> ReadResult:
    """The records that `index` (booleans or positions) names, with their declared splits kept or forgotten."""
    splits = read_result.declared[index]
    return replace(
        read_result,
        inputs=read_result.inputs[index],
        labels=read_result.labels[index],
        patients=read_result.patients[index],
        declared=splits if declared else np.full(len(splits), "", dtype="<U1"),
        sites=read_result.sites[index],
        digests=read_result.digests[index],
        originals=read_result.originals[index] if len(read_result.originals) else read_result.originals,
        names=read_result.names[index],
        positions=read_result.positions[index],
        labelled=read_result.labelled[index],
    )


def joined(parts: Mapping[str, ReadResult]) -> ReadResult:
    """Several sources as one, each the hospital of its name; patients of different hospitals are different people."""
    every = list(parts.items())
    starts = np.cumsum([0, *(len(part) for _, part in every)])[:-1]
    return ReadResult(
        inputs=np.concatenate([part.inputs for _, part in every]),
        labels=np.concatenate([part.labels for _, part in every]),
        patients=np.concatenate([np.char.add(f"{name}/", part.patients) for name, part in every]),
        declared=np.concatenate([part.declared for _, part in every]),
        sites=np.concatenate([np.full(len(part), name) for name, part in every]),
        digests=np.concatenate([part.digests for _, part in every]),
        originals=np.concatenate([part.originals for _, part in every]),
        names=np.concatenate([np.char.add(f"{name}/", part.names) for name, part in every]),
        positions=np.concatenate([part.positions + before for before, (_, part) in zip(starts, every, strict=True)]),
        labelled=np.concatenate([part.labelled for _, part in every]),
        names_patients=all(part.names_patients for _, part in every),
        problems=tuple(problem for _, part in every for problem in part.problems),
        columns=tuple(facts for _, part in every for facts in part.columns),
        left_out=sum(part.left_out for _, part in every),
    )


def _targets(labels: Sequence[Target]) -> NDArray[Any]:
    """Whole targets as int8, others as float32: by their type, never by their values."""
    targets = np.asarray(labels)
    return targets.astype(np.float32 if targets.dtype.kind == "f" and len(targets) else np.int8)


def _text(values: Sequence[str] | None, count: int) -> NDArray[np.str_]:
    return np.full(count, "", dtype="<U1") if values is None else np.array(list(values), dtype=np.str_).reshape(count)


def _own_patients(digests: NDArray[np.str_], labels: NDArray[Any], *, shared: bool) -> NDArray[np.str_]:
    names: list[str] = []
    seen: dict[str, int] = {}
    for digest, label in zip(digests.tolist(), labels.tolist(), strict=True):
        key = f"unnamed-{digest[:20]}" if shared else f"unnamed-{digest[:20]}-{label}"
        seen[key] = seen.get(key, 0) + 1
        names.append(key if shared else f"{key}-{seen[key]}")
    return np.array(names, dtype=np.str_)


def to_records(read_result: ReadResult, contract: DataContract, splits: SplitsContract | None = None) -> Records:
    """Records with their splits, or a DataError for the first thing that breaks the contract."""
    rules = splits or contract.splits
    for problem in read_result.problems:
        if problem.level == "error":
            raise problem.error()
    if not len(read_result):
        raise DataError("The source holds no record", hint="name a folder or file with data in it")
    if contract.patient.required and not read_result.names_patients:
        raise DataError(
            "The source does not say which patient a record belongs to",
            expected=f"a column or array named {contract.patient.column!r}",
            hint="add it, or set required = false under [data.patient] so that each record counts as a patient",
        )
    if bare := int(np.sum(~read_result.labelled)):
        raise DataError("Records have no label to learn from", found=f"{bare} of {len(read_result)}", hint="label every record")
    patients = len(np.unique(read_result.patients))
    if patients < rules.minimum_patients:
        raise DataError(
            "The source holds too few patients",
            expected=f"at least {rules.minimum_patients} (minimum_patients under [data.splits])",
            hint="leave this hospital out, or join its data with another's",
        )
    assigned = assign_splits(read_result.patients, read_result.declared, rules)
    if not np.any(assigned == "train"):
        raise DataError("No patient is left to train on", hint="lower validation and test under [data.splits], or add patients")
    return Records(read_result.inputs, read_result.labels, read_result.patients, assigned)


@dataclass(frozen=True)
class NamedRecords:
    """n records that a model is asked about, in the order of their source.

    names: as the source calls them. inputs: as in Records. patients: "" where the source names none. labels: as in Records,
    where `labelled`. left_out: records that the contract leaves out, and that get no answer.
    """

    names: NDArray[np.str_]
    inputs: NDArray[Any]
    patients: NDArray[np.str_]
    labels: NDArray[Any]
    labelled: NDArray[np.bool_]
    left_out: int = 0

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
    patients = read_result.patients if read_result.names_patients else np.full(len(read_result), "", dtype="<U1")
    return NamedRecords(
        names=read_result.names[order],
        inputs=read_result.inputs[order],
        patients=patients[order],
        labels=read_result.labels[order],
        labelled=read_result.labelled[order],
        left_out=read_result.left_out,
    )
