"""Regressions and descriptions through the masked sum, against statsmodels and NumPy on all rows in one place.

    python benchmarks/statistics/regression.py                    all parts, two minutes on two cores
    python benchmarks/statistics/regression.py --only heart       odds ratios of heart disease, 740 patients of four hospitals
    ... --only death | every | days | events                     eICU: death, and days (Poisson); ACTG 175: events by time
    ... --only random                                             drawn intercepts of hospitals, against statsmodels' MixedLM
    ... --only meta                                               what meta-analysis does with the heart model
    ... --only describe                                           Table 1 of eICU

`regression_max_difference` is the largest difference of a coefficient, a standard error, a p-value or (relative) a deviance to
statsmodels; `exchanges_regression` the most sums that one of the models took. `quartile_error` is the largest error of a quartile
over the range of its column, with 1,024 bins; `describe_max_difference` the largest error of a mean (relative), a correlation or
a chi-square. Every model runs as `wardround simulate` runs it, with masks and stores.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import statsmodels.api as sm
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from treatment_data import EXAMPLES, data_folder
from wardround.analysis.carrying import in_one_place
from wardround.analysis.design import Design
from wardround.analysis.registry import analysis_of
from wardround.simulation.analysing import AnalysisRun, analyse
from wardround.sources.datasets.actg175 import read_actg175
from wardround.sources.datasets.catalogue import suggested_contract
from wardround.sources.datasets.named import load_dataset_rows
from wardround.sources.made_records import to_rows
from wardround.sources.tables.table import table_result
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.values.errors import DataError
from wardround.values.rows import Rows, joined_rows

Floats = NDArray[np.float64]
Hospitals = dict[str, Rows]


def study_of(title: str, data: Mapping[str, Any], section: Mapping[str, Any], kind: str = "regression") -> Study:
    """A study of an analysis from its [data] section and the section of its kind."""
    value = {"question": {"title": title}, "data": data, "analysis": {"largest_hospital": 10_000, kind: section}}
    return Study.model_validate_json(json.dumps(value))


def run(study: Study, hospitals: Hospitals) -> AnalysisRun:
    """The analysis as a simulation carries it out, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="wardround-regression-") as folder:
        return analyse(study, hospitals, out=Path(folder) / "run", workers=0, progress=False, register=False)


def by_site(rows: Rows, sites: NDArray[np.str_]) -> Hospitals:
    """The rows by the hospital that they name."""
    return {str(name): replace(rows.select(sites == name), hospital=str(name)) for name in np.unique(sites)}


def against_statsmodels(
    study: Study, hospitals: Hospitals, family: Any, model: str = "common"
) -> tuple[dict[str, float], int, int]:
    """Largest differences by kind of figure; sums; coefficients. The columns are made by this repository, the fit is not."""
    finished = run(study, hospitals)
    figures = finished.figures["models"][model]
    assert study.analysis is not None and study.analysis.regression is not None
    section = study.analysis.regression
    own = tuple(sorted(hospitals)) if model == "own" else ()
    design = Design(section.terms, study.data, own)
    parts = [part.select(part.complete(*section.columns) | design.complete(part)) for part in hospitals.values()]
    parts = [part.select(design.complete(part) & part.complete(section.outcome)) for part in parts]
    scaled = np.concatenate([design.matrix(part) for part in parts])
    reported = scaled @ np.linalg.inv(design.to_reported)
    rows = joined_rows(dict(zip(hospitals, parts, strict=True)))
    exposure = None if section.offset is None else rows[section.offset]
    model_there = sm.GLM(rows[section.outcome], reported, family=family, exposure=exposure)
    first_fit = model_there.fit(tol=1e-15, maxiter=300)  # whose errors are of the weights one step before its coefficients
    fit = model_there.fit(start_params=first_fit.params, tol=1e-15, maxiter=300)
    first = 0 if model == "common" else len(own)
    kinds = {"coefficients": fit.params, "standard_errors": fit.bse, "p_values": fit.pvalues}
    differences = {name: float(np.max(np.abs(np.array(figures[name]) - values[first:]))) for name, values in kinds.items()}
    differences["deviance"] = abs(figures["deviance"] / fit.deviance - 1)
    print(f"{study.question.title}: {len(rows)} rows, {reported.shape[1]} coefficients, {len(hospitals)} hospitals, "
          f"{finished.exchanges} sums; deviance {figures['deviance']:.6f}")  # fmt: skip
    print("   largest difference: " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    return differences, finished.exchanges, reported.shape[1]


def heart() -> tuple[Study, Hospitals]:
    """The example: 740 patients of four hospitals."""
    study = load_study(EXAMPLES / "heart_risk_factors.toml")
    rows, sites = load_dataset_rows("uci_heart_disease", study.data)
    assert sites is not None
    return study, by_site(rows, sites)


FIRST_DAY = (
    *("age", "gender", "vent", "intubated", "dialysis", "motor", "temperature", "respiratoryrate", "sodium", "heartrate"),
    *("meanbp", "ph", "hematocrit", "creatinine", "bun", "glucose", "wbc", "urine"),
)
"""First-day severity variables. pco2 and fio2 are always missing with ph and pao2: their indicators would be aliased."""
EVERY = (*FIRST_DAY, "eyes", "verbal", "albumin", "bilirubin")
"""All columns but the three whose indicators equal that of ph, and `meds`, which is 0 in every complete row: 34 coefficients."""


def eicu() -> tuple[dict[str, Any], Rows, NDArray[np.str_]]:
    """The contract, the rows and the regions, of which one is unknown; ICU days in whole days, begun ones included, up to 60."""
    contract = suggested_contract("eicu_demo")
    names = ("apacheapsvar", "patient", "hospital")
    folder = data_folder() / "eicu_demo"
    severity, patient, hospital = (pl.read_csv(folder / f"{name}.csv.gz", infer_schema=False) for name in names)
    stays = severity.join(patient, on="patientunitstayid").join(hospital, on="hospitalid")
    stays = stays.filter(pl.col("hospitaldischargestatus").is_in(["Alive", "Expired"]))
    stays = stays.with_columns(
        pl.col("age").str.replace("> 89", "90", literal=True), pl.col("region").replace("", None).fill_null("Unknown")
    )
    result = table_result(stays, contract, "optional", "measured")
    minutes = np.array([float(value) for value in stays["unitdischargeoffset"].to_list()])
    days_there = np.clip(np.ceil(minutes[result.positions] / 1440), 0, 60)
    rows = to_rows(result, contract)
    said = contract.model_dump(mode="json")
    said["columns"].append({"name": "days", "range": [0, 60], "unit": "days"})
    return said, replace(rows, columns={**rows.columns, "days": days_there}), result.sites


def terms_of(contract: Mapping[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Each column, with an indicator of missing values where these are many; else rows without a value are left out."""
    columns = {column["name"]: column for column in contract["columns"]}
    return [{"column": name, **({"missing": "indicator"} if columns[name]["max_missing"] > 0.2 else {})} for name in names]


def death() -> tuple[Study, Hospitals]:
    """Death in hospital, by first-day variables; the regions are hospitals."""
    contract, rows, sites = eicu()
    section = {"outcome": "hospitaldischargestatus", "family": "binomial", "terms": terms_of(contract, FIRST_DAY)}
    return study_of("Death in intensive care", contract, section), by_site(rows, sites)


def death_by_every_column() -> tuple[Study, Hospitals]:
    """The same with 34 coefficients, for which there are some five deaths each."""
    contract, rows, sites = eicu()
    section = {"outcome": "hospitaldischargestatus", "family": "binomial", "terms": terms_of(contract, EVERY)}
    study = study_of("Death in intensive care, every column", contract, {**section, "events_per_coefficient": 4.0})
    return study, by_site(rows, sites)


def days() -> tuple[Study, Hospitals]:
    """Days in intensive care, a Poisson model."""
    contract, rows, sites = eicu()
    section = {"outcome": "days", "family": "poisson", "terms": terms_of(contract, FIRST_DAY)}
    return study_of("Days in intensive care", contract, section), by_site(rows, sites)


def events() -> tuple[Study, Hospitals]:
    """Events of ACTG 175 by time, with the days at risk as offset; five hospitals, drawn."""
    table = read_actg175(data_folder() / "actg175" / "ACTG175.csv")
    names = ("cens", "days", "age", "cd40", "cd80", "karnof", "drugs", "homo", "str2", "arms")
    columns = {name: np.array([float(value) for value in table[name].to_list()]) for name in names}
    rows = Rows(columns, np.array(table["pidnum"].to_list()), np.full(len(table), "train"), "all")
    data = {
        "kind": "table",
        "label": {"column": "none"},
        "columns": [
            {"name": "cens", "range": [0, 1]},
            {"name": "days", "range": [1, 1300], "unit": "days"},
            {"name": "age", "range": [10, 80], "unit": "years"},
            {"name": "cd40", "range": [0, 1500]},
            {"name": "cd80", "range": [0, 6000]},
            {"name": "karnof", "range": [50, 100]},
            *({"name": name, "kind": "binary"} for name in ("drugs", "homo", "str2")),
            {"name": "arms", "kind": "category", "categories": [0, 1, 2, 3]},
        ],
    }
    terms = [{"column": "age", "per": 10.0}, {"column": "cd40", "per": 100.0}, {"column": "cd80", "per": 100.0}]
    terms += [{"column": name} for name in ("karnof", "drugs", "homo", "str2", "arms")]
    section = {"outcome": "cens", "family": "poisson", "offset": "days", "terms": terms}
    homes = np.random.default_rng(0).choice([f"h{number}" for number in range(5)], len(rows))
    return study_of("Events by time at risk", data, section), by_site(rows, homes)


def measure_models(parts: set[str]) -> dict[str, object]:
    """Every model against statsmodels."""
    worst, sums = 0.0, 0
    models: dict[str, tuple[Callable[[], tuple[Study, Hospitals]], Any, tuple[str, ...]]] = {
        "heart": (heart, sm.families.Binomial(), ("common", "own")),
        "death": (death, sm.families.Binomial(), ("common",)),
        "every": (death_by_every_column, sm.families.Binomial(), ("common",)),
        "days": (days, sm.families.Poisson(), ("common",)),
        "events": (events, sm.families.Poisson(), ("common",)),
    }
    for part, (made, family, kinds) in models.items():
        if part in parts:
            study, hospitals = made()
            for kind in kinds:
                differences, exchanges, _ = against_statsmodels(study, hospitals, family, kind)
                worst, sums = max(worst, *differences.values()), max(sums, exchanges)
    return {"regression_max_difference": worst, "exchanges_regression": sums} if sums else {}


def measure_random() -> dict[str, object]:
    """Drawn intercepts of hospitals: ST depression against statsmodels' mixed model, and the odds of heart disease."""
    study, hospitals = heart()
    figures: dict[str, object] = {
        f"{name}_coefficients_difference": drawn_intercepts(study, hospitals, reml=reml)
        for name, reml in (("random", False), ("restricted", True))
    }
    finished = run(study.revised(analysis={"regression": {"intercepts": "random"}}), hospitals)
    ours = finished.figures["models"]["random"]
    print(f"   heart disease, {finished.exchanges} sums: deviation {ours['deviation_between_hospitals']:.4f} "
          f"({ours['deviation_between_hospitals_error']:.4f}), median odds ratio {ours['median_odds_ratio']:.2f}, "
          f"log-likelihood {ours['log_likelihood']:.4f}")  # fmt: skip
    return {**figures, "exchanges_random": finished.exchanges}


def drawn_intercepts(study: Study, hospitals: Hospitals, *, reml: bool) -> float:
    """The largest difference of a coefficient of ST depression from statsmodels' mixed model, by either likelihood."""
    names = ("age", "sex", "thalach", "exang")
    settings = {"outcome": "oldpeak", "family": "gaussian", "intercepts": "random", "reml": reml}
    settings |= {"terms": [{"column": name} for name in names]}
    finished = run(study_of("ST depression", study.data.model_dump(mode="json"), settings), hospitals)
    figures, whole = finished.figures["models"]["random"], joined_rows(hospitals)
    matrix = np.stack([np.ones(len(whole)), *(whole[name] for name in names)], axis=1)
    groups = np.concatenate([np.full(len(rows), name) for name, rows in hospitals.items()])
    scale = np.array([1.0, 10.0, 1.0, 10.0, 1.0])  # statsmodels' optimiser wants columns of one size
    theirs = sm.MixedLM(whole["oldpeak"], matrix / scale, groups).fit(
        reml=reml, gtol=1e-9 if reml else 1e-12, method="bfgs", maxiter=1000
    )
    apart: dict[str, float] = {
        "coefficients": float(np.abs(np.array(figures["coefficients"]) - theirs.fe_params / scale).max()),
        "standard errors, relative": float(np.abs(np.array(figures["standard_errors"]) * scale / theirs.bse_fe - 1).max()),
        "variance between hospitals": abs(figures["deviation_between_hospitals"] ** 2 - float(theirs.cov_re[0, 0])),
        "variance within": abs(figures["deviation_within_hospitals"] ** 2 - theirs.scale),
        # The restricted likelihood depends on the columns' units.
        "log-likelihood": abs(figures["log_likelihood"] - theirs.llf + (np.log(scale).sum() if reml else 0.0)),
    }
    print(f"\nDrawn intercepts, {'restricted' if reml else 'maximum'} likelihood, ST depression, {finished.exchanges} sums: "
          f"deviation between four hospitals {figures['deviation_between_hospitals']:.4f} "
          f"({figures['deviation_between_hospitals_error']:.4f})")  # fmt: skip
    print("   difference to statsmodels' MixedLM: " + ", ".join(f"{name} {value:.1e}" for name, value in apart.items()))
    return apart["coefficients"]


def alone(study: Study, rows: Rows) -> tuple[Floats, Floats] | str:
    """Coefficients and errors of the model at one hospital, or why there are none."""
    settings = {"intercepts": "common", "events_per_coefficient": 0.0}
    own = study.revised(analysis={"regression": settings, "smallest_cell": 1}, sites={"minimum": 1}, summation={"mode": "plain"})
    try:
        figures = in_one_place(analysis_of(own), {rows.hospital: rows}).figures["models"]["common"]
    except DataError as error:
        return f"{error.what}: {error.found}"
    return np.array(figures["coefficients"]), np.array(figures["standard_errors"])


def measure_meta() -> dict[str, object]:
    """The heart model at each hospital by itself, combined by inverse variance: what can be combined at all."""
    study, hospitals = heart()
    together = run(study, hospitals).figures["models"]["common"]
    outcomes = {name: alone(study, rows) for name, rows in hospitals.items()}
    print("\nThe heart model at each hospital by itself, for meta-analysis to combine:")
    for name, outcome in outcomes.items():
        said = outcome if isinstance(outcome, str) else "fitted"
        print(f"   {name:12} {len(hospitals[name]):4} patients   {said[:150]}")
    small = study.revised(analysis={"regression": {"terms": [{"column": name} for name in SMALL]}})
    print("A model of four columns, which all of them can fit but for what is said:")
    fits = {name: alone(small, rows) for name, rows in hospitals.items()}
    usable = {name: fit for name, fit in fits.items() if not isinstance(fit, str)}
    weights = {name: 1 / errors**2 for name, (_, errors) in usable.items()}
    total = np.sum(list(weights.values()), axis=0)
    combined = np.sum([weights[name] * coefficients for name, (coefficients, _) in usable.items()], axis=0) / total
    pooled = run(small, hospitals).figures["models"]["own"]
    print(f"   {'':12} {'meta-analysis':>24} {'here, own intercepts':>26}   combined of {', '.join(usable)}")
    for at, name in enumerate(pooled["names"]):
        meta = f"{combined[at + 1]:.3f} ({math.sqrt(1 / total[at + 1]):.3f})"
        print(f"   {name:12} {meta:>24} {pooled['coefficients'][at]:>17.3f} ({pooled['standard_errors'][at]:.3f})")
    for name, fit in fits.items():
        if isinstance(fit, str):
            print(f"   {name} has no part in it: {fit[:120]}")
    return {"meta_hospitals_fitted": sum(not isinstance(one, str) for one in outcomes.values()), "ours": len(together["names"])}


SMALL = ("age", "sex", "thalach", "oldpeak")
NINE = ("age", "wbc", "temperature", "respiratoryrate", "sodium", "heartrate", "meanbp", "creatinine", "glucose")


def measure_describe() -> dict[str, object]:
    """Nine columns of eICU over the regions, against NumPy."""
    from scipy import stats

    contract, rows, sites = eicu()
    section = {
        "columns": [*NINE, "gender"],
        "correlation": True,
        "cross_tables": [["gender", "hospitaldischargestatus"]],
    }
    finished = run(study_of("Stays in intensive care", contract, section, "describe"), by_site(rows, sites))
    ranges = {column["name"]: column["range"] for column in contract["columns"]}
    quartile, largest = 0.0, 0.0
    for row in finished.result.table("numbers").rows:
        values = rows[str(row[0])][~np.isnan(rows[str(row[0])])]
        width = ranges[str(row[0])][1] - ranges[str(row[0])][0]
        errors = np.abs(np.array(row[6:9], float) - np.quantile(values, (0.25, 0.5, 0.75))) / width
        quartile, largest = max(quartile, float(errors.max())), max(largest, abs(float(row[4] or 0) / values.mean() - 1))
    for left, right, _, value, _ in finished.result.table("correlations").rows:
        if left in NINE and right in NINE:
            both = ~(np.isnan(rows[str(left)]) | np.isnan(rows[str(right)]))
            largest = max(largest, abs(float(value or 0) - np.corrcoef(rows[str(left)][both], rows[str(right)][both])[0, 1]))
    there = ~np.isnan(rows["gender"])
    outcome = rows["hospitaldischargestatus"]
    table = [[np.sum((rows["gender"] == g) & (outcome == d) & there) for d in (0, 1)] for g in (0, 1)]
    test = finished.result.table("cross_tests").rows[0]
    wanted_test = stats.chi2_contingency(np.array(table), correction=False).statistic
    largest = max(largest, abs(float(test[1] or 0) - wanted_test))
    print(f"\nTable 1 of {len(rows)} stays: quartiles off by {quartile:.3%} of the range, the rest by {largest:.1e}; "
          f"chi-square {test[1]:.4f}")  # fmt: skip
    return {"quartile_error": quartile, "describe_max_difference": largest}


PARTS = ("heart", "death", "every", "days", "events", "random", "meta", "describe")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parts = set(parser.parse_args().only or PARTS)
    figures = measure_models(parts)
    if "random" in parts:
        figures |= measure_random()
    if "meta" in parts:
        figures |= measure_meta()
    if "describe" in parts:
        figures |= measure_describe()
    print(last_line(figures, 0))


if __name__ == "__main__":
    main()
