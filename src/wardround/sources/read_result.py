"""What a reader found in a file, before the contract's splits make records of it.

    reader -> ReadResult -> made_records -> Records      (raises on the first problem that is an error)
                      `-> readiness  -> Readiness      (tells of all problems)

A problem of a single record (a corrupt image, an unknown label) does not stop the reader: the record is left out and the problem
noted, so that a data manager hears of all of them at once. Texts carry no patient, no file name, no value: those stand in the
places of a problem, which never leave.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardround.sources.files.set_aside import FileAccount
from wardround.sources.patient_words import (
    ROUNDED_HINT,
    ROUNDED_TEXT,
    SPELLINGS,
    SPELLINGS_HINT,
    SPELLINGS_TEXT,
    rounded_among,
    spelled_alike,
    without_nobody,
)
from wardround.sources.places import PLACES_KEPT, Chosen, Place
from wardround.sources.splitting import distinct
from wardround.study.label import Target
from wardround.values.errors import DataError

Level = Literal["error", "warning", "note"]
POSITIONS_TOLD = 5

Labels = Literal["required", "optional"]
"""optional: a record may lack its label, as one does that a model is asked about."""

Values = Literal["prepared", "measured"]
"""measured: of a table also every value as the file says it, in float64, for an analysis."""

_ROWS = 4096
"""Of a table that lies column by column, as many are turned into rows at once."""


@dataclass(frozen=True)
class Problem:
    """Something the reader met `count` times, at `places` (the first PLACES_KEPT).

    text and hint may be sent on and hold no value, no name; places never leave. counted_in: what a place's position counts.
    private_error: whether a private study may not go on with it, whatever its level.
    """

    level: Level
    code: str
    text: str
    hint: str
    count: int = 1
    places: Sequence[Place] = ()
    counted_in: str = ""
    private_error: bool = False

    @property
    def positions(self) -> tuple[int, ...]:
        """Of the first few records, from 1."""
        return tuple(spot.position for spot in self.places[:POSITIONS_TOLD] if spot.position)

    def error(self) -> DataError:
        where = f" at position {', '.join(map(str, self.positions))} {self.counted_in}" if self.positions else ""
        return DataError(self.text, found=f"{self.count} of them{where}" if where else f"{self.count} of them", hint=self.hint)


@dataclass(frozen=True)
class ColumnFacts:
    """What a column of a table held. Counts of rows; `factor` is the unit change that would bring most values into range.

    dated: the values may be dates as numbers, whatever factor fits.
    """

    name: str
    unit: str
    rows: int
    missing: int
    outside: int
    factor: float | None = None
    dated: bool = False


@dataclass(frozen=True)
class ReadResult:
    """n records in canonical order: sorted by what they hold, so that the order of files or rows does not matter.

    inputs, labels, patients: as in Records; inputs of a table may lie in memory column by column. declared: the split
    the source declares, "" where none. sites: the hospital, "" where none. digests: sha256 of each input, hex. originals: (n, 2)
    height and width before resizing; (0, 2) for tables.
    names: each record as its source calls it, a file or the number of a row. positions: its place in the order of the source.
    labelled: whether it has a label; the label of one that has none is 0 and means nothing.
    identified: whether the source names its patient; one that it does not name is a patient of its own. nameless: where those
    stand. For tables `digests` are empty.
    account: what became of each file, where the source is a folder or zip of files. padding: of images that have some, by name,
    as packed bits: the pixels of the input that the file declares to be no part of the picture. measured: the columns as in
    `Rows`, where they were asked for. groups: what a split keeps whole where that is more than a patient, as the scaffold of a
    molecule; (0,) where it is the patient.
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
    identified: NDArray[np.bool_]
    nameless: Sequence[Place] = ()
    problems: tuple[Problem, ...] = ()
    columns: tuple[ColumnFacts, ...] = ()
    left_out: int = 0
    account: FileAccount | None = None
    padding: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    measured: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    groups: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, "<U1"))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def split_units(self) -> NDArray[np.str_]:
        """What a split keeps whole, of each record (n,)."""
        return self.groups if len(self.groups) else self.patients

    @property
    def names_patients(self) -> bool:
        """Whether every record has a patient that the source names."""
        return bool(np.all(self.identified))


def collect(
    inputs: NDArray[Any],
    labels: Sequence[Target | None] | NDArray[Any],
    *,
    names: Sequence[str],
    patients: Sequence[str] | None,
    declared: Sequence[str] | None = None,
    sites: Sequence[str] | None = None,
    originals: Sequence[tuple[int, int]] = (),
    problems: Sequence[Problem] = (),
    columns: Sequence[ColumnFacts] = (),
    left_out: int = 0,
    places: Sequence[Place] | None = None,
    spellings_settled: bool = False,
    measured: Mapping[str, NDArray[np.float64]] | None = None,
    groups: NDArray[np.str_] | None = None,
) -> ReadResult:
    """Put what was read into canonical order and give records without a patient one of their own.

    `labels` holds None for records without one, and is an array where each has one; `names` are in the order of the source.
    `patients` is None, or holds a word for each record; one that names nobody (`MISSING_WORDS`) is as good as none. Identical
    images without a patient share one, so that a copy cannot stand in train and in test; identical table rows do not, since two
    people may well agree in a few rounded numbers. places: of the records, in the order of the source. spellings_settled: the
    hospital has said which identifiers are one patient. Inputs that lie column by column are put into order where they lie: they
    are the result's from then on. groups: as in `ReadResult`.
    """
    count = len(labels)
    locations = _places_of(names) if places is None else places
    words = [""] * count if patients is None else without_nobody(patients)
    if isinstance(labels, np.ndarray):
        labelled, outcome = np.ones(count, bool), _targets(labels)
    else:
        labelled = np.array([label is not None for label in labels], dtype=bool).reshape(count)
        outcome = _targets([0 if label is None else label for label in labels])
    named, split, site = _text(words, count), _text(declared, count), _text(sites, count)
    alike = set() if spellings_settled or patients is None else spelled_alike(named)
    rounded = set() if patients is None else rounded_among(named)
    order, digests = _order(inputs, named, outcome, split, site)
    unnamed = named == ""
    if np.any(unnamed):
        rows = order[unnamed[order]]
        own = np.full(count, "", dtype="<U48")
        own[rows] = _own_patients(digests[rows], outcome[rows], shared=inputs.ndim > 2)
        named = np.where(unnamed, own, named)
    sizes = np.asarray(originals, np.int64).reshape(-1, 2)
    return ReadResult(
        inputs=_in_order(inputs, order),
        labels=outcome[order],
        patients=named[order],
        declared=split[order],
        sites=site[order],
        digests=digests[order] if inputs.ndim > 2 else np.full(count, "", dtype="<U1"),
        originals=sizes[order] if len(sizes) else sizes,
        names=_text(names, count)[order],
        positions=order.astype(np.int64),
        labelled=labelled[order],
        identified=~unnamed[order],
        nameless=Chosen(locations, np.flatnonzero(unnamed)[:PLACES_KEPT], None if patients is None else patients),
        problems=(*problems, *_spelling_problems(alike, words, locations), *_rounded_problems(rounded, words, locations)),
        columns=tuple(columns),
        left_out=left_out,
        measured={name: values[order] for name, values in (measured or {}).items()},
        groups=np.zeros(0, "<U1") if groups is None else groups[order],
    )


def _places_of(names: Sequence[str]) -> list[Place]:
    """Of the rows of a table, whose names are their numbers, or of files."""
    return [Place(int(n)) if n.isdigit() else Place(position, file=n) for position, n in enumerate(names, 1)]


def _spelling_problems(alike: set[str], words: list[str], locations: Sequence[Place]) -> list[Problem]:
    if not alike:
        return []
    rows = np.flatnonzero(np.array([word in alike for word in words], bool))
    where = Chosen(locations, rows[:PLACES_KEPT], words)
    return [Problem("warning", SPELLINGS, SPELLINGS_TEXT, SPELLINGS_HINT, len(alike), where, private_error=True)]


def _rounded_problems(rounded: set[str], words: list[str], locations: Sequence[Place]) -> list[Problem]:
    if not rounded:
        return []
    rows = np.flatnonzero(np.array([word in rounded for word in words], bool))
    where = Chosen(locations, rows[:PLACES_KEPT], words)
    return [Problem("error", "patient-rounded", ROUNDED_TEXT, ROUNDED_HINT, len(rows), where)]


def _order(
    inputs: NDArray[Any], named: NDArray[np.str_], outcome: NDArray[Any], split: NDArray[np.str_], site: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """By patient, and for the records of one patient by what they hold; and the digests of the inputs.

    Of a table's row the digest is taken only where it decides: where it shares its patient, or has none.
    """
    order = np.argsort(named, kind="stable")
    _, run = distinct(named[order])
    rank = np.empty(len(named), np.int64)
    rank[order] = run
    tied = (np.bincount(rank) > 1)[rank] | (named == "") if len(named) else np.zeros(0, bool)
    hashed = np.flatnonzero(tied) if inputs.ndim == 2 else np.arange(len(inputs))
    digests = np.full(len(inputs), "", dtype="<U64" if len(hashed) else "<U1")
    for row, values in zip(hashed.tolist(), _each(inputs, hashed), strict=True):
        digests[row] = hashlib.sha256(values.tobytes()).hexdigest()
    rows = np.flatnonzero(tied)
    if len(rows):
        among = np.lexsort((site[rows], split[rows], outcome[rows], digests[rows], rank[rows]))
        order[tied[order]] = rows[among]
    return order, digests


def _each(inputs: NDArray[Any], rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """The inputs of some records, one after another; of a table that lies column by column some thousand at once."""
    if inputs.flags.c_contiguous:
        yield from (inputs[row] for row in rows.tolist())
        return
    for start in range(0, len(rows), _ROWS):
        yield from np.ascontiguousarray(inputs[rows[start : start + _ROWS]])


def _in_order(inputs: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """The inputs in that order. A table's that lie in memory column by column keep that memory: a second copy would cost more
    time than all that is done with it."""
    if inputs.ndim != 2 or inputs.flags.c_contiguous:
        return inputs[order]
    for column in inputs.T:
        column[:] = column[order]
    return inputs


def row_by_row(inputs: NDArray[Any]) -> NDArray[Any]:
    """The same inputs with each record's in one piece of memory, as those who learn from them read them."""
    if inputs.flags.c_contiguous:
        return inputs
    rows = np.empty(inputs.shape, inputs.dtype)
    for start in range(0, len(rows), _ROWS):
        rows[start : start + _ROWS] = inputs[start : start + _ROWS]
    return rows


def sites_of(read_result: ReadResult) -> NDArray[np.str_] | None:
    """The hospital of each record; None where the source names none."""
    return read_result.sites if np.any(read_result.sites != "") else None


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
        identified=read_result.identified[index],
        measured={name: values[index] for name, values in read_result.measured.items()},
        groups=read_result.groups[index] if len(read_result.groups) else read_result.groups,
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
        identified=np.concatenate([part.identified for _, part in every]),
        nameless=tuple(location for _, part in every for location in part.nameless),
        problems=tuple(problem for _, part in every for problem in part.problems),
        columns=tuple(facts for _, part in every for facts in part.columns),
        left_out=sum(part.left_out for _, part in every),
        measured={name: np.concatenate([part.measured[name] for _, part in every]) for name in every[0][1].measured},
        groups=np.concatenate([part.groups for _, part in every]),
    )


def _targets(labels: Sequence[Target] | NDArray[Any]) -> NDArray[Any]:
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
