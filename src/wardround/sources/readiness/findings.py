"""What the readiness report finds: of patients, labels, copies and columns, and what the reader met.

ReadResult --readiness_of--> Readiness, the errors first
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.sources.made_records import too_few_hint
from wardround.sources.places import PLACES_KEPT, Place, places_text
from wardround.sources.read_result import Level, Problem, ReadResult
from wardround.sources.readiness.photometry import image_findings
from wardround.sources.readiness.report import SMALL_CELL, Count, Finding, Readiness, count_text, counted, part_text, suppressed
from wardround.sources.readiness.training_hospitals import site_problems, training_problems
from wardround.sources.readiness.units import words_for
from wardround.sources.splitting import assign_splits, distinct, split_patients
from wardround.study.contract import DataContract, SplitsContract
from wardround.values.errors import DataError, StudyError
from wardround.values.ids import site_id
from wardround.values.records import SPLITS

UNEVEN = 0.1
"""A label with a smaller share is worth a note."""


def readiness_of(kind: str, read_result: ReadResult, contract: DataContract, splits: SplitsContract) -> Readiness:
    """The report on what a reader found."""
    findings = [_told(problem) for problem in (*read_result.problems, *site_problems(read_result))]
    assigned = _assigned(read_result, splits)
    findings += _patient_findings(read_result, contract, splits, assigned)
    findings += patient_looks(read_result)
    findings += _label_findings(read_result, contract)
    findings += [_told(problem) for problem in training_problems(read_result, assigned)]
    findings += _duplicate_findings(read_result, contract)
    findings += _column_findings(read_result, contract)
    if contract.kind == "image" and len(read_result):
        findings += [
            Finding(level, code, text, hint) if rows is None else _of_records(read_result, level, code, text, hint, rows)
            for level, code, text, hint, rows in image_findings(read_result, contract.image)
        ]
    order = {"error": 0, "warning": 1, "note": 2}
    return Readiness(kind, _counts(read_result, contract, assigned), tuple(sorted(findings, key=lambda f: order[f.level])))


def _told(problem: Problem) -> Finding:
    where = places_text(problem.places, problem.count)
    return counted(problem.level, problem.code, problem.text, problem.hint, problem.count, where, problem.places)


def _patient_findings(
    read_result: ReadResult, contract: DataContract, splits: SplitsContract, assigned: NDArray[np.str_] | None
) -> list[Finding]:
    findings: list[Finding] = []
    patients = len(distinct(read_result.patients)[0])
    if not len(read_result):
        return [Finding("error", "empty", "The source holds no usable record", "add data, or mend the errors above")]
    if patients < splits.minimum_patients:
        told, exact = (
            f"There are {count} patients; the study needs at least {splits.minimum_patients}"
            for count in (count_text(patients), patients)
        )
        findings.append(Finding("error", "too-few-patients", told, too_few_hint(read_result), exact=exact))
    findings += _nameless_findings(read_result, contract)
    if np.any(read_result.declared != "") and (doubled := split_patients(read_result.patients, read_result.declared)):
        text = "Patients stand in more than one declared split"
        hint = "put all records of a patient in one split, or set declared = false to split by patient"
        findings.append(counted("error" if splits.declared else "note", "patient-in-two-splits", text, hint, doubled))
    if splits.declared and np.any(read_result.declared == ""):
        hint = "add a split to every record, or set declared = false"
        findings.append(counted("error", "no-split", "Records declare no split", hint, int(np.sum(read_result.declared == ""))))
    if assigned is None or not splits.leaves_training or np.any(assigned == "train"):
        return findings
    return [
        *findings,
        Finding("error", "no-train", "No patient is left to train on", "lower validation and test, or add patients"),
    ]


def _nameless_findings(read_result: ReadResult, contract: DataContract) -> list[Finding]:
    """What names nobody has one fate: refused where the study requires patients, else a patient of its own, and told."""
    unnamed = int(np.sum(~read_result.identified))
    if not unnamed:
        return []
    level: Level = "error" if contract.patient.required else "warning"
    hint = "name the patient of each record; else one person's records may be in train and in test"
    words = {location.value for location in read_result.nameless if location.value is not None and location.value.strip()}
    if unnamed < len(read_result):
        text = "Records name no patient, so that each counts as a patient of its own"
        return [counted(level, "patient-absent", text, hint, unnamed, *_where(read_result.nameless, unnamed))]
    if len(words) == 1:
        text = "Every record names its patient by one word that means nobody: the export was anonymised with one word"
        hint = "export it again with a pseudonym for each patient; else one person's records may be in train and in test"
        return [Finding(level, "no-patients", text, hint, *_where(read_result.nameless, unnamed))]
    text = "The source does not name patients, so every record counts as a patient of its own"
    return [Finding(level, "no-patients", text, hint)]


def _where(places: Sequence[Place], count: int) -> tuple[str, Sequence[Place]]:
    return places_text(places, count), places


def patient_looks(read_result: ReadResult) -> list[Finding]:
    """One patient with both outcomes, or in two hospitals of one source; and hospitals whose name a run cannot use."""
    findings: list[Finding] = []
    _, patient = distinct(read_result.patients)
    labels = read_result.labels if read_result.labels.dtype.kind in "iu" else np.zeros(len(patient), np.int8)
    for code, values, text, hint in (
        ("patient-both-labels", labels, "Patients have records with different labels", "make sure that this is meant"),
        ("patient-two-sites", read_result.sites, "Patients stand in more than one hospital",
         "make sure that they are one person: divided by hospital, each stays with one of them"),
    ):  # fmt: skip
        rows = _of_mixed(patient, values)
        if count := len(np.unique(patient[rows])):
            level: Level = "note" if code == "patient-both-labels" else "warning"
            where = [_record_place(read_result, row) for row in rows[:PLACES_KEPT].tolist()]
            findings.append(counted(level, code, text, hint, count, *_where(where, len(rows))))
    strange = [name for name in np.unique(read_result.sites).tolist() if name and not _is_site(name)]
    if strange:
        text = f"Hospitals have names that a run cannot use: {len(strange)}"
        hint = (
            "to divide these data by hospital, name each with letters, digits, '_' or '-' alone, or translate them in a mapping"
        )
        where = [Place(value=name) for name in strange]
        findings.append(Finding("warning", "site-name", text, hint, *_where(where, len(strange))))
    return findings


def _of_mixed(patient: NDArray[np.intp], values: NDArray[Any]) -> NDArray[np.int64]:
    """The records of patients that have more than one of the values."""
    if not len(patient) or bool(np.all(values == values[0])):
        return np.zeros(0, np.int64)
    order = np.argsort(patient, kind="stable")
    value = values if values.dtype.kind in "iu" else distinct(values)[1]
    begins = np.flatnonzero(np.diff(patient[order], prepend=-1))
    lowest, highest = (extreme.reduceat(value[order], begins) for extreme in (np.minimum, np.maximum))
    return np.flatnonzero((lowest != highest)[patient])


def _record_place(read_result: ReadResult, row: int) -> Place:
    name, patient = str(read_result.names[row]), str(read_result.patients[row])
    return Place(int(name), value=patient) if name.isdigit() else Place(0, file=name, value=patient)


def _is_site(name: str) -> bool:
    try:
        site_id(name)
    except StudyError:
        return False
    return True


def _assigned(read_result: ReadResult, splits: SplitsContract) -> NDArray[np.str_] | None:
    """The split of each record; None where the source's own splits contradict themselves."""
    try:
        return assign_splits(read_result.patients, read_result.declared, splits, read_result.split_units)
    except DataError:
        return None  # told as patient-in-two-splits or no-split


def _label_findings(read_result: ReadResult, contract: DataContract) -> list[Finding]:
    parts = contract.label.parts(read_result.labels)
    if not len(read_result) or not parts or contract.label.overlapping:
        return []
    present = {name.partition(" (")[0]: count for name, count in parts.items() if count}
    if len(present) == 1:
        hint = "this hospital can take part; its own figures (AUC, sensitivity) cannot be computed"
        return [Finding("warning", "one-class", f"Every record is {next(iter(present))}", hint)]
    which = min(present, key=present.__getitem__)
    if present[which] >= UNEVEN * len(read_result) or present[which] < SMALL_CELL:
        return []
    text = f"The labels are uneven: under {UNEVEN:.0%} are {which}"
    return [Finding("note", "uneven-labels", text, "the study may balance the loss; accuracy alone will look too good")]


def _of_records(read_result: ReadResult, level: Level, code: str, text: str, hint: str, rows: NDArray[np.int64]) -> Finding:
    """A finding of some records, with the file of each."""
    places = _places(read_result, rows)
    return counted(level, code, text, hint, len(rows), *_where(places, len(rows)))


def _places(read_result: ReadResult, rows: NDArray[np.int64]) -> list[Place]:
    names = [str(read_result.names[row]) for row in rows[:PLACES_KEPT].tolist()]
    return [Place(int(name)) if name.isdigit() else Place(file=name) for name in names]


def _duplicate_findings(read_result: ReadResult, contract: DataContract) -> list[Finding]:
    """Images only: equal rows of a table are common among different people."""
    if contract.kind != "image" or not len(read_result):
        return []
    _, first, group, sizes = np.unique(read_result.digests, return_index=True, return_inverse=True, return_counts=True)
    later = np.ones(len(group), bool)
    later[first] = False
    if not later.any():
        return []
    text = "Images that copy another one exactly"
    findings = [_of_records(read_result, "warning", "duplicates", text, "keep one of each", np.flatnonzero(later))]
    for code, values, text, hint in (
        ("duplicates-other-label", read_result.labels.astype(np.str_), "Identical images have different labels",
         "find the right label"),
        ("duplicates-other-patient", read_result.patients, "Identical images belong to different patients",
         "find the right patient"),
        ("duplicates-across-splits", read_result.declared, "Identical images stand in several declared splits",
         "keep one of each"),
    ):  # fmt: skip
        groups = {(int(g), str(v)) for g, v in zip(group.tolist(), values.tolist(), strict=True)}
        if crossing := len(groups) - len(sizes):
            rows = _of_mixed(group.reshape(-1), values)
            places = _places(read_result, rows)
            findings.append(counted("warning", code, text, hint, crossing, *_where(places, len(rows))))
    return findings


def _column_findings(read_result: ReadResult, contract: DataContract) -> list[Finding]:
    findings: list[Finding] = []
    rules = {column.name: column for column in contract.columns}
    for facts in read_result.columns:
        unit = f" {facts.unit}" if facts.unit else ""
        if facts.missing:
            text = f"Column {facts.name!r} has missing values"
            findings.append(_part("note", f"missing:{facts.name}", text, "", facts.missing, facts.rows))
        if facts.outside and rules[facts.name].outside != "refuse":
            text = f"Column {facts.name!r} has values outside its range{unit}"
            hint = "check them; the contract says " + (
                "they count as missing" if rules[facts.name].outside == "missing" else "to clip"
            )
            findings.append(_part("warning", f"outside:{facts.name}", text, hint, facts.outside, facts.rows))
        if facts.dated:
            text = f"Column {facts.name!r} seems to hold years or dates as numbers; the contract wants{unit or ' another unit'}"
            findings.append(Finding("error", f"dates-as-numbers:{facts.name}", text, _DATES_HINT))
        elif facts.factor is not None:
            text = f"Column {facts.name!r} seems to hold {words_for(facts.factor)}; the contract wants{unit or ' another unit'}"
            findings.append(Finding("error", f"unit:{facts.name}", text, _factor_hint(facts.factor)))
    if read_result.left_out and contract.kind != "molecule":  # of molecules each fault is told by itself
        findings.append(
            counted("note", "left-out", "Incomplete records left out, as the contract says", "", read_result.left_out)
        )
    return findings


_DATES_HINT = (
    "name the column that the contract means; where years or days from a date are meant, export the date itself and write a "
    "mapping with wardround data map, and in it minus, the column of the earlier date, and date_format"
)


def _factor_hint(factor: float) -> str:
    return f"multiply it by {factor:.4g}; of a table, factor = {factor:.4g} in a mapping does it (wardround data map)"


def _part(level: Level, code: str, text: str, hint: str, count: int, whole: int) -> Finding:
    return Finding(level, code, f"{text}: {part_text(count, whole)}", hint, exact=f"{text}: {count} of {whole}")


def _counts(read_result: ReadResult, contract: DataContract, assigned: NDArray[np.str_] | None) -> tuple[Count, ...]:
    whole = {"records": len(read_result), "patients": len(distinct(read_result.patients)[0])}
    lines = [Count(name, count_text(count), str(count)) for name, count in whole.items()]
    parts = contract.label.parts(read_result.labels)
    lines += [Count(name, count_text(n), str(n)) for name, n in parts.items()] if contract.label.overlapping else _parts(parts)
    if assigned is not None and len(read_result):
        patients: dict[str, int] = {split: len(distinct(read_result.patients[assigned == split])[0]) for split in SPLITS}
        lines += _parts({f"patients in {split}": count for split, count in patients.items()})
    if np.any(read_result.sites != ""):
        lines.append(Count("hospitals named", str(len(np.unique(read_result.sites)))))
    if len(read_result.groups):
        groups = len(distinct(read_result.groups)[0])
        lines.append(Count("groups that a split keeps whole", count_text(groups), str(groups)))
    if contract.kind != "image":
        lines.append(Count("features", str(contract.input_shape[0])))
    return tuple(lines)


def _parts(cells: Mapping[str, int]) -> list[Count]:
    """The parts of a whole that is told, too."""
    return [Count(name, value, str(cells[name])) for name, value in suppressed(cells).items()]
