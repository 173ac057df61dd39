"""Groups of cases that a model may treat otherwise: by the contract's own columns, and by columns of a table beside the cases.

headers of DICOM films ------------------------------------> age, sex, view, scanner
contract columns --category, yes or no--> their values        number called age, or named --> three ranges of like size
groups.csv: record or patient, then any columns ------------> their values, or three ranges of numbers
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.acceptance.cases import Cases
from wardround.clinic.acceptance.tested_model import TestedModel
from wardround.clinic.place.acceptance_record import SubgroupRecord
from wardround.sources.dicom.film_groups import film_groups
from wardround.study.contract import ColumnContract, DataContract
from wardround.values.errors import DataError

MOST_GROUPS = 12
"""Of one column: more values are no groups but names."""
_KEYS = ("record", "patient")
_LARGEST = 1 << 26
Columns = Mapping[str, NDArray[np.str_]]


def contract_columns(
    contract: DataContract, inputs: NDArray[np.float32], named: tuple[str, ...] = ()
) -> dict[str, NDArray[np.str_]]:
    """Groups (n,) by column of a table's contract: every category and yes-or-no, and numbers called age or named here."""
    start, groups = 0, {}
    for column in contract.columns:
        part = inputs[:, start : start + len(column.features)]
        start += len(column.features)
        if column.kind != "number":
            groups[column.name] = _codes(column, part)
        elif column.name.casefold() == "age" or column.name in named:
            groups[column.name] = ranges(_numbers(column, part))
    if unknown := [name for name in named if name not in groups]:
        raise DataError(
            f"The model's contract has no column {unknown[0]!r}",
            expected=f"one of {', '.join(column.name for column in contract.columns) or 'none: its records are images'}",
            hint="write columns of other tables to a file and name it with --groups",
        )
    return groups


def header_columns(source: str, cases: Cases) -> dict[str, NDArray[np.str_]]:
    """Groups (n,) by the headers of DICOM films in a folder: age in ranges, sex, view, scanner; none of other sources."""
    folder = Path(source)
    if cases.contract.kind != "image" or not folder.is_dir():
        return {}
    told = film_groups(folder, cases.names.tolist())
    ages = np.array([float(text) if text else np.nan for text in told["age"]])
    groups = {"age": ranges(ages), **{name: np.array(told[name]) for name in ("sex", "view", "scanner")}}
    return {name: values for name, values in groups.items() if (values != "").any()}


def read_groups(path: Path, cases: Cases) -> dict[str, NDArray[np.str_]]:
    """Groups (n,) by column of a CSV file whose first column is `record` or `patient`. A case that it does not name is in none.

    DataError where the file cannot be read or names no case.
    """
    try:
        raw = path.read_bytes()[:_LARGEST]
    except OSError as error:
        raise DataError(f"{path} cannot be read", found=error.strerror or "", hint="check the path") from error
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig", "replace"))))
    if not rows or not rows[0] or rows[0][0].strip().casefold() not in _KEYS or len(rows[0]) < 2:
        raise DataError(
            f"{path} says of no record which group it is in",
            expected="a CSV file with a header: `record` or `patient` first, then a column for each division",
            hint="`wardround predict` prints the records by name",
        )
    key, *columns = (name.strip() for name in rows[0])
    table = {row[0].strip(): row[1:] for row in rows[1:] if row}
    names = cases.names if key.casefold() == "record" else cases.patients
    if not any(name in table for name in names.tolist()):
        raise DataError(
            f"{path} names none of the cases by its {key}",
            expected=f"names such as {str(names[0])[:40]!r}" if key.casefold() == "record" else "the patients of the cases",
            hint="`wardround predict` prints the records by name",
        )
    cells = {name: [_cell(table.get(str(case), []), k) for case in names.tolist()] for k, name in enumerate(columns)}
    return {name: _values(texts) for name, texts in cells.items() if name}


def subgroup_records(cases: Cases, asked: TestedModel, columns: Columns) -> tuple[SubgroupRecord, ...]:
    """The asked model in each group; no figures of groups too small to say anything."""
    return tuple(_records(cases, asked, columns))


def _records(cases: Cases, asked: TestedModel, columns: Columns) -> Iterator[SubgroupRecord]:
    for column, values in columns.items():
        groups = sorted((name for name in np.unique(values).tolist() if name), key=_by_number)
        if not 2 <= len(groups) <= MOST_GROUPS:
            continue
        for name in groups:
            group = np.asarray(values == name)
            positives = None if cases.facts.positives is None else int(cases.labels[group].sum())
            local = asked.of_group(group)
            few = local is None
            yield SubgroupRecord(column=column, group=name, cases=int(group.sum()), positives=positives, few=few, local=local)


def ranges(numbers: NDArray[np.floating]) -> NDArray[np.str_]:
    """Three ranges of like size, by their ends; "" where a number is missing.

    >>> ranges(np.array([1.0, 2, 3, 4, 5, 6, np.nan])).tolist()
    ['1 to 2', '1 to 2', '3 to 4', '3 to 4', '5 to 6', '5 to 6', '']
    """
    told = np.isfinite(numbers)
    names = np.full(len(numbers), "", dtype=object)
    if not told.any():
        return names.astype(str)
    cuts = np.unique(np.quantile(numbers[told], (1 / 3, 2 / 3), method="higher"))
    part = np.searchsorted(cuts, numbers, side="right")
    for k in np.unique(part[told]).tolist():
        inside = told & (part == k)
        names[inside] = f"{numbers[inside].min():g} to {numbers[inside].max():g}"
    return names.astype(str)


def _by_number(name: str) -> tuple[float, str]:
    """Ranges stand in the order of their numbers, words in that of letters behind them."""
    try:
        return float(name.partition(" ")[0]), name
    except ValueError:
        return math.inf, name


def _codes(column: ColumnContract, part: NDArray[np.float32]) -> NDArray[np.str_]:
    if column.kind == "category":
        chosen = part[:, : len(column.codes)]
        names = np.array(column.codes)[chosen.argmax(axis=1)]
        return np.where(chosen.max(axis=1) > 0, names, "")
    missing = part[:, 1] > 0 if part.shape[1] > 1 else np.zeros(len(part), bool)
    return np.where(missing, "", np.array(column.codes)[(part[:, 0] > 0.5).astype(int)])


def _numbers(column: ColumnContract, part: NDArray[np.float32]) -> NDArray[np.float64]:
    center, scale = column.constants
    numbers = np.asarray(part[:, 0], np.float64) * scale + center
    numbers = np.round(np.exp(numbers) if column.log else numbers, 4)
    return np.where(part[:, 1] > 0, np.nan, numbers) if part.shape[1] > 1 else numbers


def _cell(row: list[str], k: int) -> str:
    return row[k].strip() if k < len(row) else ""


def _values(texts: list[str]) -> NDArray[np.str_]:
    """Numbers of many values become ranges."""
    try:
        numbers = np.array([float(text) if text else np.nan for text in texts])
    except ValueError:
        return np.array(texts)
    return ranges(numbers) if len(np.unique(numbers[np.isfinite(numbers)])) > MOST_GROUPS else np.array(texts)
