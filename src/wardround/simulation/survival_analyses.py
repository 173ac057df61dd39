"""Analyses of survival in one call from Python: over files of hospitals, through the masked sum.

kaplan_meier("days", "died", {"north": "north.csv", ...}, {"days": (0, 4000), "died": (0, 1), "arm": (0, 1)}, groups="arm")
cox("Surv(days, died) ~ age/10 + arm", sites, columns)
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wardround.simulation.analyses import Carrying, Columns, Hospitals, Privacy, carried_out, contract_of
from wardround.simulation.analysing import AnalysisRun
from wardround.study.contract import DataContract
from wardround.study.formula import parse_formula
from wardround.study.sections.analysis.survival import Baseline, Ties
from wardround.study.sections.analysis.term import Missing
from wardround.values.errors import StudyError

_CELLS = 40
"""Of a grid that nobody has named."""
_SURVIVAL = re.compile(r"\s*Surv\(\s*(`[^`]+`|[\w.]+)\s*,\s*(`[^`]+`|[\w.]+)\s*\)\s*~(.*)", re.DOTALL)


def kaplan_meier(
    time: str,
    event: str,
    sites: Hospitals,
    columns: Columns,
    *,
    groups: str | None = None,
    causes: Sequence[str | int] = (),
    strata: str | None = None,
    until: float | None = None,
    cell: float | None = None,
    horizons: Sequence[float] = (),
    whole_times: bool = True,
    patient: str = "patient",
    smallest_cell: int = 5,
    largest_hospital: int = 100_000,
    privacy: Privacy | None = None,
    ledgers: str | Path | None = None,
    title: str = "",
    out: str | Path | None = None,
    progress: bool | None = None,
) -> AnalysisRun:
    """Curves of those without the event over hospitals, with log-rank tests between groups.

    Parameters
    ----------
    time, event
        The column of the time at which a patient leaves, and the one that says whether the event was seen then.
    sites
        Hospital -> its file, folder or database, or its rows.
    columns
        Column -> (smallest, largest) of a number, the two codes of a yes or no (no first), or the codes of a category; or a
        study file, whose [data] section says it.
    groups
        The column whose groups have curves of their own.
    causes
        Of an event with several codes: those that are events; the first is the one asked for.
    strata
        The column whose groups are compared apart, in the log-rank test within hospitals.
    until
        How long patients are followed. Default: the largest time of its range.
    cell
        Width of a cell of the public grid of times. Default: a fortieth of `until`.
    horizons
        Times at which survival and mean times are told.
    whole_times
        Whether times are whole numbers, such as days. Then cells 1 wide lose nothing.
    patient
        The column that names the patient.
    smallest_cell
        Where fewer patients leave in a cell of the grid, it is joined with the next.
    largest_hospital
        No hospital has more rows.
    privacy
        With noise: the words of a study's [privacy], such as {"epsilon": 2.0, "delta": 1e-5, "public_patients": 180}. What can be
        asked with noise, and how, stands in docs/analysis.md.
    ledgers
        With noise: a folder with a privacy ledger for each hospital, NAME.sqlite, kept over calls. Default: new ones in the run
        folder.
    title
        What is asked, in words.
    out
        The folder of the tables, new. Default: runs/TITLE-HASH, with a number behind it where there is one.
    progress
        Whether progress is shown. Default: on a terminal and in a notebook.

    Returns
    -------
    AnalysisRun
        Its `table`, `to_frame()`, `plot()`, `figures` and `folder`.

    Raises
    ------
    WardroundError
        Its kinds: columns that do not fit, too few patients for a curve.
    """
    data = contract_of(columns, patient)
    settings: dict[str, Any] = {
        "time": time,
        "event": event,
        "groups": groups,
        "causes": list(causes),
        "strata": strata,
        "horizons": [float(horizon) for horizon in horizons],
        "whole_times": whole_times,
        **_grid(data, time, until, cell, whole_times),
    }
    common = {"smallest_cell": smallest_cell, "largest_hospital": largest_hospital, "survival": settings}
    return carried_out(title or f"{event} by {time}", sites, data, common, Carrying(out, progress, privacy, ledgers))


def cox(
    formula: str,
    sites: Hospitals,
    columns: Columns,
    *,
    baseline: Baseline = "by_hospital",
    ties: Ties | None = None,
    strata: str | None = None,
    strata_baselines: bool = False,
    ridge: float = 0.0,
    reach: float = 30.0,
    groups: str | None = None,
    held_out: bool = False,
    until: float | None = None,
    cell: float | None = None,
    horizons: Sequence[float] = (),
    whole_times: bool = True,
    missing: Missing = "leave_out",
    patient: str = "patient",
    smallest_cell: int = 5,
    largest_hospital: int = 100_000,
    title: str = "",
    out: str | Path | None = None,
    progress: bool | None = None,
) -> AnalysisRun:
    """A Cox regression over hospitals: hazard ratios, and what its predictions are worth.

    Parameters
    ----------
    formula
        `Surv(days, died) ~ age/10 + arm`: age/10 is per 10 units, C(ward, "b") compares a category with b, age:arm is a product.
    sites
        Hospital -> its file, folder or database, or its rows.
    columns
        Column -> (smallest, largest) of a number, the two codes of a yes or no (no first), or the codes of a category; or a
        study file, whose [data] section says it.
    baseline
        by_hospital: patients are compared within hospitals, and nothing about single times leaves one. common: one baseline for
        all, by sums on the public grid of times.
    ties
        efron, or breslow, which is the only one with a common baseline. Default: efron where it can be.
    strata
        A column whose groups have baselines of their own within each hospital.
    strata_baselines
        Whether the baseline hazard of each of these groups, over all hospitals, is told.
    ridge
        Penalty on squared coefficients of columns in the contract's scale.
    reach
        How far points may lie at which hospitals are asked for sums (docs/study-reference.md).
    groups
        The column whose groups have curves of their own.
    held_out
        Whether the test patients are left out, and the predictions are judged on them.
    until
        How long patients are followed on curves. Default: the largest time of its range.
    cell
        Width of a cell of the public grid of times. Default: a fortieth of `until`.
    horizons
        Times at which predicted chances are judged.
    whole_times
        Whether times are whole numbers, such as days.
    missing
        What becomes of rows without a value: leave_out, or indicator.
    patient
        The column that names the patient.
    smallest_cell
        Where fewer patients leave in a cell of the grid, it is joined with the next.
    largest_hospital
        No hospital has more rows.
    title
        What is asked, in words. Default: the formula.
    out
        The folder of the tables, new. Default: runs/TITLE-HASH, with a number behind it where there is one.
    progress
        Whether progress is shown. Default: on a terminal and in a notebook.

    Returns
    -------
    AnalysisRun
        Its `table`, `to_frame("hazard_ratios")`, `plot("hazard_ratios")`, `figures` and `folder`.

    Raises
    ------
    WardroundError
        Its kinds: a formula that cannot be read, columns that cannot be told apart, no events.
    """
    said = _SURVIVAL.fullmatch(formula)
    if said is None:
        raise StudyError(
            "The formula cannot be read",
            expected="`Surv(time, event) ~ terms`",
            found=formula[:120],
            hint="for example Surv(days, died) ~ age/10 + arm",
        )
    time, event = (name.strip("`") for name in (said[1], said[2]))
    data = contract_of(columns, patient)
    settings: dict[str, Any] = {
        "time": time,
        "event": event,
        "groups": groups,
        "strata": strata,
        "strata_baselines": strata_baselines,
        "terms": [term.model_dump(mode="json") for term in parse_formula(f"`{event}` ~ {said[3]}", missing).terms],
        "baseline": baseline,
        "ties": ties or ("efron" if baseline == "by_hospital" else "breslow"),
        "ridge": ridge,
        "reach": reach,
        "held_out": held_out,
        "horizons": [float(horizon) for horizon in horizons],
        "whole_times": whole_times,
        **_grid(data, time, until, cell, whole_times),
    }
    common = {"smallest_cell": smallest_cell, "largest_hospital": largest_hospital, "survival": settings}
    return carried_out(title or formula.strip(), sites, data, common, Carrying(out, progress))


def _grid(data: DataContract, time: str, until: float | None, cell: float | None, whole: bool) -> dict[str, float]:
    """`until` and `cell`, where nobody has said them from the range of the time."""
    column = next((column for column in data.columns if column.name == time), None)
    longest = column.range[1] if column is not None and column.range is not None else 1.0
    end = longest if until is None else until
    width = end / _CELLS if cell is None else cell
    return {"until": float(end), "cell": float(max(1.0, round(width)) if whole and cell is None else width)}
