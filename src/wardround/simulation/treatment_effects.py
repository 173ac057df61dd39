"""The effects of treatments in one call from Python: over files of hospitals, as `wardround simulate` carries them out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from wardround.simulation.analyses import Carrying, Columns, Hospitals, Privacy, carried_out, contract_of
from wardround.simulation.analysing import AnalysisRun
from wardround.study.formula import parse_formula
from wardround.study.sections.analysis.term import Missing


def treatment_effect(
    formula: str,
    sites: Hospitals,
    columns: Columns,
    *,
    treatment: str,
    arms: Sequence[str | int] = (),
    curves: Sequence[str] = (),
    probabilities: Sequence[float] = (),
    smallest_probability: float = 0.01,
    better: Literal["higher", "lower"] = "higher",
    individual: bool | None = None,
    links: Sequence[str] = ("identity",),
    reach: float = 150.0,
    missing: Missing = "leave_out",
    patient: str = "patient",
    smallest_cell: int = 5,
    largest_hospital: int = 100_000,
    privacy: Privacy | None = None,
    ledgers: str | Path | None = None,
    title: str = "",
    out: str | Path | None = None,
    progress: bool | None = None,
) -> AnalysisRun:
    """What treatments do over hospitals, on average and for whom, equal to what all rows in one place would say.

    Parameters
    ----------
    formula
        `outcome ~ age/10 + sex`: the outcome, and columns from before the treatment. The treatment stands apart.
    sites
        Hospital -> its file, folder or database, or its rows.
    columns
        Column -> (smallest, largest) of a number, the two codes of a yes or no (no first), or the codes of a category; or a
        study file, whose [data] section says it.
    treatment
        The column of the treatment: a category, or a yes or no.
    arms
        The treatments that are compared, the control first. Default: all of the column's.
    curves
        Numbers of the formula whose effect may be curved: splines with public knots.
    probabilities
        Where the treatment was drawn by lot: of each arm, in the order of `arms`. Default: they are estimated.
    smallest_probability
        With estimated probabilities: patients for whom some arm is less probable are left out of the averages.
    better
        Which outcome is better, higher or lower; treatment rules are made by it.
    individual
        Whether effects for single patients, their calibration and rules are told too. Default: True; with noise False.
    links
        Forms of the outcome's models to choose from: identity (a line), log (effects multiply).
    reach
        How far points may lie at which hospitals are asked for sums (docs/study-reference.md).
    missing
        What becomes of rows without a value of a column: leave_out, or indicator.
    patient
        The column that names the patient; each may have one row.
    smallest_cell
        Counts of all hospitals together below this are not shown.
    largest_hospital
        No hospital has more rows.
    privacy
        With noise: the words of a study's [privacy], such as {"epsilon": 2.0, "delta": 1e-5, "public_patients": 180}. What can be
        asked with noise, and how, stands in docs/analysis.md.
    ledgers
        With noise: a folder with a privacy ledger for each hospital, NAME.sqlite, kept over calls. Default: new ones in the run
        folder.
    title
        What is asked, in words. Default: the treatment and the formula.
    out
        The folder of the tables, new. Default: runs/TITLE-HASH, with a number behind it where there is one.
    progress
        Whether progress is shown. Default: on a terminal and in a notebook.

    Returns
    -------
    AnalysisRun
        Its `table` of average effects, `to_frame("halves")` and others, `plot()`, `figures` and `folder`.

    Raises
    ------
    WardroundError
        Its kinds: a formula that cannot be read, an arm that nearly nobody had, arms without overlap, several rows of a patient.
    """
    said = parse_formula(formula, missing)
    settings: dict[str, Any] = {
        "outcome": said.outcome,
        "treatment": treatment,
        "arms": list(arms),
        "covariates": [term.model_dump(mode="json") for term in said.terms],
        "curves": list(curves),
        "probabilities": list(probabilities),
        "smallest_probability": smallest_probability,
        "better": better,
        "individual": privacy is None if individual is None else individual,
        "reach": reach,
        "links": list(links),
    }
    common = {"smallest_cell": smallest_cell, "largest_hospital": largest_hospital, "effect": settings}
    carrying = Carrying(out, progress, privacy, ledgers)
    return carried_out(title or f"{treatment}: {formula}", sites, contract_of(columns, patient), common, carrying)
