"""Runs beside one another: which settings differ, which figures, and by how much, with an interval where one can be had.

    records, names --same question?--> settings that differ
                                   --> figures, by model and test set --> each run's less that of the first

A difference is *paired* where both runs tested the same records, one by one. Otherwise its interval is made of the two figures'
own, as if they were of different patients: it is too wide where they were the same.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardround.evidence.text import settings
from wardround.registry.figures import figures_of
from wardround.study.label import LabelContract
from wardround.study.record.left_out_record import Turns
from wardround.study.record.run_record import RunRecord
from wardround.tasks.intervals import of_difference
from wardround.tasks.protocol import Interval, PairedDifference
from wardround.tasks.registry import label_of_record
from wardround.values.canonical import finite_or_none
from wardround.values.errors import RunError

FigureKey = tuple[str, str, str, str]
"""Model, scope (site, pooled, external or left_out), test set, figure."""
Estimate = tuple[float | None, Interval | None]
"""A figure and its 95 % interval."""
LEFT_OUT = "left_out"
"""The scope of the others' model at a hospital that was left out."""


@dataclass(frozen=True)
class NamedRun:
    """A record, what people call the run, and what was learnt without each hospital that was left out."""

    name: str
    record: RunRecord
    left_out: Turns = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """A run's figure less that of the first run. interval: 95 %, None where it is undefined. p_value: of a paired one."""

    value: float
    interval: Interval | None
    paired: bool
    p_value: float | None = None


@dataclass(frozen=True)
class FigureRow:
    """One figure in every run. values, intervals, differences: in the order of the runs; the first has no difference."""

    key: FigureKey
    values: tuple[float | None, ...]
    intervals: tuple[Interval | None, ...]
    differences: tuple[Difference | None, ...]


Paired = Sequence[Mapping[FigureKey, PairedDifference]]
"""For each run, its paired differences from the first; empty where there are none."""


def require_same_question(runs: Sequence[NamedRun]) -> None:
    """RunError that names the first run which answers another question than the first of them."""
    first, *others = ((run.name, label_of_record(run.record.study_toml)) for run in runs)
    for name, label in others:
        if label != first[1]:
            raise RunError(
                f"{name} answers another question than {first[0]}",
                expected=_in_words(first[1], label),
                found=_in_words(label, first[1]),
                hint="compare runs whose studies have the same [data.label]",
            )


def differing_settings(runs: Sequence[NamedRun]) -> dict[str, tuple[str | None, ...]]:
    """Each setting that is not the same in all runs, with its value in each; None where a study does not have it.

    Names and keys of the hospitals are left out: a simulation makes new keys every time.
    """
    studies = [dict(settings(run.record)) for run in runs]
    names = dict.fromkeys(name for study in studies for name in study if not name.startswith("sites.keys"))
    rows = {name: tuple(study.get(name) for study in studies) for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def figure_rows(runs: Sequence[NamedRun], paired: Paired) -> tuple[FigureRow, ...]:
    """Every figure that at least one of the runs has: pooled first, then outside, then hospital by hospital."""
    tables = [figures_by_key(run) for run in runs]
    keys = dict.fromkeys(key for table in tables for key in table)
    return tuple(_row(key, tables, paired) for key in sorted(keys, key=_order))


def _order(key: FigureKey) -> tuple[int, str, int]:
    """Pooled first, then outside, then home by home: own, federated, chosen."""
    model, scope, test_set, _ = key
    home, rank = test_set if scope == "site" else "", {"federated": 1, f"chosen by {test_set}": 2}
    return ("pooled", "external", LEFT_OUT, "site").index(scope), home, rank.get(model, 0)


def figures_by_key(run: NamedRun) -> dict[FigureKey, Estimate]:
    """Every figure of a run with its interval."""
    rows = {
        (row["model"], row["scope"], row["test_set"], row["name"]): (
            row["value"],
            None if row["low"] is None else (row["low"], row["high"]),
        )
        for row in figures_of(run.record)
    }
    return rows | {
        ("federated", LEFT_OUT, site, name): (value, turn.evaluation.interval(name))
        for site, turn in run.left_out.items()
        for name, value in turn.evaluation.values.items()
    }


def _row(key: FigureKey, tables: Sequence[Mapping[FigureKey, Estimate]], paired: Paired) -> FigureRow:
    rows = [table.get(key, (None, None)) for table in tables]
    values = tuple(value for value, _ in rows)
    intervals = tuple(interval for _, interval in rows)
    differences = (
        _difference((values[0], intervals[0]), (values[k], intervals[k]), paired[k].get(key)) for k in range(1, len(rows))
    )
    return FigureRow(key, values, intervals, (None, *differences))


def _difference(first: Estimate, second: Estimate, paired: PairedDifference | None) -> Difference | None:
    if paired is not None and math.isfinite(paired.difference):
        ends = None if math.isnan(paired.interval[0]) else paired.interval
        return Difference(paired.difference, ends, paired=True, p_value=finite_or_none(paired.p_value))
    if first[0] is None or second[0] is None:
        return None
    ends = None if first[1] is None or second[1] is None else of_difference(first[0], first[1], second[0], second[1])
    return Difference(second[0] - first[0], ends, paired=False)


def comparison_json(runs: Sequence[NamedRun], paired: Paired) -> dict[str, Any]:
    """What `compare --json` prints."""
    return {
        "runs": [
            {"name": run.name, "run_id": run.record.run_id, "study_hash": run.record.study_hash, "seed": run.record.seed}
            for run in runs
        ],
        "settings": {name: list(values) for name, values in differing_settings(runs).items()},
        "figures": [_row_json(row) for row in figure_rows(runs, paired)],
    }


def _row_json(row: FigureRow) -> dict[str, Any]:
    names = dict(zip(("model", "scope", "test_set", "figure"), row.key, strict=True))
    return {
        **names,
        "values": list(row.values),
        "intervals": [None if ends is None else list(ends) for ends in row.intervals],
        "differences": [None if one is None else _difference_json(one) for one in row.differences],
    }


def _difference_json(one: Difference) -> dict[str, Any]:
    low, high = one.interval or (None, None)
    return {"difference": one.value, "low": low, "high": high, "paired": one.paired, "p_value": one.p_value}


def _in_words(label: LabelContract, other: LabelContract) -> str:
    """The settings of [data.label] in which it differs from the other."""
    ours, theirs = label.model_dump(mode="json"), other.model_dump(mode="json")
    return ", ".join(_settings_in_words({name: ours[name] for name in ours if ours[name] != theirs.get(name)}))


def _settings_in_words(values: Mapping[str, object]) -> Iterator[str]:
    for name, value in values.items():
        yield f"data.label.{name} = {value!r}"
