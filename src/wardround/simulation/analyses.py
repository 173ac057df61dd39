"""Analyses in one call from Python: over files of hospitals, through the masked sum, as `wardround simulate` carries them out.

    run = regression("death ~ age/10 + sex", {"north": "north.csv", ...}, {"age": (18, 100), "sex": ("f", "m"), "death": (0, 1)},
                     family="binomial")
    run.table, run.to_frame(), run.plot()

The ranges and the categories of the columns are public words that all hospitals agree on; they are never computed from the data,
since a smallest or a largest value is a patient's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wardround.simulation.analysing import AnalysisRun, analyse
from wardround.simulation.starting import default_folder
from wardround.study.contract import ColumnContract, DataContract, LabelContract, PatientContract, SplitsContract
from wardround.study.declaration import Study
from wardround.study.formula import parse_formula
from wardround.study.reading import load_study
from wardround.study.sections.analysis.regression import Family, TermTests, Variance
from wardround.study.sections.analysis.term import Missing
from wardround.study.toml_reading import problem_sentence
from wardround.values.errors import StudyError
from wardround.values.rows import Rows

Columns = Mapping[str, Sequence[float | str | int] | ColumnContract] | DataContract | str | Path
"""Column -> (smallest, largest) of a number, the codes of a category, or a contract; or a study file, whose [data] it is."""
Hospitals = Mapping[str, str | Path | Rows]
Privacy = Mapping[str, Any]
"""The words of a study's [privacy] section; `mode` may be left out."""


@dataclass(frozen=True)
class Carrying:
    """How an analysis is carried out. out: the folder of the tables. progress: whether it is shown. privacy: None without noise.
    ledgers: a folder with a ledger for each hospital; None: new ones in the run folder."""

    out: str | Path | None
    progress: bool | None
    privacy: Privacy | None = None
    ledgers: str | Path | None = None


def regression(
    formula: str,
    sites: Hospitals,
    columns: Columns,
    *,
    family: Family,
    offset: str | None = None,
    weights: str | None = None,
    intercepts: str = "common",
    reml: bool = False,
    variance: Variance = "model",
    term_tests: TermTests = "wald",
    ridge: float | None = None,
    reach: float = 200.0,
    dispersion: float | None = None,
    confidence: float = 0.95,
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
    """A generalised linear model over hospitals, equal to the one of all rows in one place.

    Parameters
    ----------
    formula
        `outcome ~ age/10 + sex`: age/10 is per 10 units, C(ward, "b") compares a category with b, age:sex is a product.
    sites
        Hospital -> its file, folder or database, or its rows.
    columns
        Column -> (smallest, largest) of a number, the two codes of a yes or no (no first), or the codes of a category; or a
        study file, whose [data] section says it.
    family
        gaussian, binomial, poisson, negative_binomial or gamma.
    offset
        For a count: the column of the time at risk; its logarithm is the offset.
    weights
        The column of the rows' weights.
    intercepts
        common, own (one for each hospital), both, or random (drawn from a normal law, whose variance is estimated).
    reml
        Of random intercepts, gaussian family: whether variances are by the restricted likelihood.
    variance
        model, hc0, hc1, or clustered by patient.
    term_tests
        wald, or likelihood_ratio: also by the fit without each term.
    ridge
        Penalty on squared coefficients of columns in the contract's scale. Default: 0; with noise 1.
    reach
        How far points may lie at which hospitals are asked for sums (docs/study-reference.md).
    dispersion
        alpha of negative_binomial.
    confidence
        Coverage of the intervals.
    missing
        What becomes of rows without a value: leave_out, or indicator.
    patient
        The column that names the patient.
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
        What is asked, in words. Default: the formula.
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
        Its kinds: a formula that cannot be read, columns that cannot be told apart, too few events.
    """
    said = parse_formula(formula, missing)
    settings: dict[str, Any] = {
        "outcome": said.outcome,
        "family": family,
        "terms": [term.model_dump(mode="json") for term in said.terms],
        "offset": offset,
        "weights": weights,
        "intercepts": intercepts,
        "reml": reml,
        "variance": variance,
        "term_tests": term_tests,
        "ridge": ridge if ridge is not None else 0.0 if privacy is None else 1.0,
        "reach": reach,
        "dispersion": dispersion,
        "confidence": confidence,
    }
    common = {"smallest_cell": smallest_cell, "largest_hospital": largest_hospital, "regression": settings}
    noise = None if privacy is None else {"clip_norm": 3.0, **privacy}
    carrying = Carrying(out, progress, noise, ledgers)
    return carried_out(title or formula, sites, contract_of(columns, patient), common, carrying)


def describe(
    sites: Hospitals,
    columns: Columns,
    *,
    group: str | None = None,
    described: Sequence[str] = (),
    correlation: bool = False,
    cross_tables: Sequence[tuple[str, str]] = (),
    histograms: bool = False,
    value_for: str | None = None,
    bins: int | None = None,
    patient: str = "patient",
    smallest_cell: int = 5,
    largest_hospital: int = 100_000,
    privacy: Privacy | None = None,
    ledgers: str | Path | None = None,
    title: str = "",
    out: str | Path | None = None,
    progress: bool | None = None,
) -> AnalysisRun:
    """Who the patients of all hospitals together are: Table 1, and what goes with it.

    Parameters
    ----------
    sites
        Hospital -> its file, folder or database, or its rows.
    columns
        As for `regression`.
    group
        A category or a yes or no: one column of the table for each value.
    described
        The columns that are described. Default: all.
    correlation
        Whether numbers are correlated, pair by pair.
    cross_tables
        Pairs of categories, each with its counts and tests.
    histograms
        Whether numbers are drawn.
    value_for
        A yes or no: weight of evidence and information value of each column for it.
    bins
        Bins over a number's range, to one of which median and quartiles are exact. Default: 1,024; with noise 32.
    patient
        The column that names the patient.
    smallest_cell
        Counts of all hospitals together below this are not shown, nor what would give them away.
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
        Its `table` (Table 1), `to_frame("numbers")`, `plot()`, `figures` and `folder`.

    Raises
    ------
    WardroundError
        Its kinds.
    """
    settings: dict[str, Any] = {
        "columns": list(described),
        "group": group,
        "bins": bins if bins is not None else 1024 if privacy is None else 32,
        "correlation": correlation,
        "cross_tables": [list(pair) for pair in cross_tables],
        "histograms": histograms,
        "value_for": value_for,
    }
    common = {"smallest_cell": smallest_cell, "largest_hospital": largest_hospital, "describe": settings}
    carrying = Carrying(out, progress, privacy, ledgers)
    return carried_out(title or "A description", sites, contract_of(columns, patient), common, carrying)


def carried_out(title: str, sites: Hospitals, data: DataContract, section: Mapping[str, Any], carrying: Carrying) -> AnalysisRun:
    """An analysis over hospitals, from its [analysis] section as TOML would hold it. With noise all hospitals' shares of it are
    counted on, since all of them are here."""
    study = study_of(title, data, section, carrying.privacy, len(sites))
    folder = _new_folder(study) if carrying.out is None else carrying.out
    return analyse(study, sites, out=folder, workers=0, progress=carrying.progress, ledgers=carrying.ledgers)


def study_of(
    title: str, data: DataContract, section: Mapping[str, Any], privacy: Privacy | None = None, hospitals: int = 0
) -> Study:
    """The study of an analysis. StudyError where it is not sound, with every reason."""
    value = {"question": {"title": title[:200]}, "data": data.model_dump(mode="json"), "analysis": dict(section)}
    if privacy is not None:
        value["privacy"] = {"mode": "patient-distributed", **privacy}
        value["summation"] = {"threshold": hospitals}
    try:
        return Study.model_validate_json(json.dumps(value, allow_nan=False))
    except ValidationError as error:
        reasons = [_reason(problem) for problem in error.errors(include_url=False)]
        raise StudyError("What is asked for is not sound", found="; also: ".join(reasons), hint="change it so") from error


def _reason(problem: Any) -> str:
    setting = ".".join(str(part) for part in problem["loc"])
    return f"{setting}: {problem_sentence(Study, problem, {})}" if setting else problem_sentence(Study, problem, {})


def contract_of(columns: Columns, patient: str) -> DataContract:
    """The contract of a table's columns. Values may be missing in any of them."""
    if isinstance(columns, str | Path):
        return load_study(columns).data
    if isinstance(columns, DataContract):
        return columns
    listed = tuple(_column(name, values) for name, values in columns.items())
    return DataContract(
        kind="table",
        columns=listed,
        patient=PatientContract(column=patient),
        label=LabelContract(column="label" if "label" not in columns else "no label"),
        splits=SplitsContract(minimum_patients=1),
    )


def _column(name: str, values: Sequence[float | str | int] | ColumnContract) -> ColumnContract:
    if isinstance(values, ColumnContract):
        return values
    listed = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else []
    codes = tuple(value for value in listed if isinstance(value, str | int) and not isinstance(value, bool))
    if codes == (0, 1):
        return ColumnContract(name=name, kind="binary", max_missing=1.0)
    if len(codes) == len(listed) and (len(codes) > 2 or (len(codes) == 2 and isinstance(codes[0], str))):
        return ColumnContract(name=name, kind="binary" if len(codes) == 2 else "category", categories=codes, max_missing=1.0)
    if len(listed) == 2 and not any(isinstance(value, str) for value in listed):
        return ColumnContract(name=name, range=(float(listed[0]), float(listed[1])), max_missing=1.0)
    raise StudyError(
        f"Column {name!r} is not described",
        expected="(smallest, largest) of a number, or the codes of a category",
        found=repr(values)[:80],
        hint=f'for example {{"{name}": (0, 100)}} or {{"{name}": ("a", "b", "c")}}',
    )


def _new_folder(study: Study) -> Path:
    """The usual folder, or the first with a number behind it that is not there yet."""
    usual = default_folder(study)
    if not usual.exists():
        return usual
    number = 2
    while (folder := usual.with_name(f"{usual.name}-{number}")).exists():
        number += 1
    return folder
