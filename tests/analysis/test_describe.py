"""Descriptions: the laws, NumPy and SciPy on pooled rows, and what is not shown."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from wardround.analysis.carrying import in_one_place
from wardround.analysis.describe.figures import fisher, quantile
from wardround.analysis.describe.sums import Numbered
from wardround.analysis.registry import analysis_of
from wardround.analysis.result import Result
from wardround.sources.datasets.catalogue import suggested_contract
from wardround.sources.datasets.named import load_dataset_rows
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.errors import StudyError
from wardround.values.rows import Rows

from .analysis_conformance import AnalysisConformance
from .drawn_rows import divided, drawn

real = pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA is not set: no public data sets here")

STUDY = """
format = 1
[question]
title = "Who they are"
[data]
kind = "table"
[[data.columns]]
name = "age"
range = [18, 100]
unit = "years"
[[data.columns]]
name = "crp"
range = [0, 300]
max_missing = 1.0
[[data.columns]]
name = "ward"
kind = "category"
categories = ["a", "b", "c"]
[[data.columns]]
name = "smoker"
kind = "binary"
max_missing = 1.0
[[data.columns]]
name = "ill"
kind = "binary"
[summation]
mode = "plain"
[analysis]
largest_hospital = 5000
[analysis.describe]
"""
WHOLE = """
group = "ill"
correlation = true
cross_tables = [["ward", "ill"], ["smoker", "ill"]]
histograms = true
value_for = "ill"
"""


def study_of(settings: str = WHOLE) -> Study:
    return parse_study(STUDY + settings)


def cohort(count: int = 500, seed: int = 3) -> Rows:
    random = np.random.default_rng(seed)
    ill = (random.random(count) < 0.3).astype(float)
    return drawn(
        count,
        {
            "age": np.clip(random.normal(55 + 8 * ill, 14), 18, 100),
            "crp": np.where(random.random(count) < 0.1, np.nan, np.clip(random.gamma(1.5, 20 + 15 * ill), 0, 300)),
            "ward": random.integers(0, 3, count).astype(float),
            "smoker": np.where(random.random(count) < 0.05, np.nan, (random.random(count) < 0.4 + 0.2 * ill).astype(float)),
            "ill": ill,
        },
    )


def described(rows: Rows, settings: str = WHOLE) -> Result:
    return in_one_place(analysis_of(study_of(settings)), divided(rows, 3))


def numbers_of(result: Result, column: str, group: str) -> dict[str, Any]:
    table = result.table("numbers")
    row = next(row for row in table.rows if row[:2] == (column, group))
    return dict(zip((one.name for one in table.columns), row, strict=True))


class TestDescription(AnalysisConformance):
    def analysis(self) -> Any:
        return analysis_of(study_of())

    def rows(self) -> Rows:
        return cohort()


@pytest.mark.parametrize("group", ["all", "0", "1"])
def test_means_deviations_and_quartiles_are_numpys(group: str) -> None:
    """Means to the last digits, quartiles to a bin."""
    rows = cohort()
    values = rows["crp"][np.isin(rows["ill"], [0, 1] if group == "all" else [float(group)])]
    values = values[~np.isnan(values)]
    figures = numbers_of(described(rows), "crp", group)
    assert figures["mean"] == pytest.approx(values.mean(), rel=1e-12)
    assert figures["deviation"] == pytest.approx(values.std(ddof=1), rel=1e-12)
    quartiles = [figures[name] for name in ("lower quartile", "median", "upper quartile")]
    assert np.max(np.abs(np.array(quartiles) - np.quantile(values, (0.25, 0.5, 0.75)))) <= 2 * 300 / 1024
    assert figures["n"] == str(len(values))


def test_tests_and_differences_are_scipys() -> None:
    """p of Welch's t, of chi-square, of Fisher; the standardised difference of two groups."""
    rows = cohort()
    result = described(rows)
    ill, well = rows["age"][rows["ill"] == 1], rows["age"][rows["ill"] == 0]
    first = dict(zip((one.name for one in result.table("table_one").columns), result.table("table_one").rows[0], strict=True))
    assert first["p"] == pytest.approx(stats.ttest_ind(ill, well, equal_var=False).pvalue, rel=1e-9)
    spread = np.sqrt((ill.var(ddof=1) + well.var(ddof=1)) / 2)
    assert first["difference"] == pytest.approx((well.mean() - ill.mean()) / spread, rel=1e-12)
    tests = {row[0]: row[1:] for row in result.table("cross_tests").rows}
    table = np.array([[np.sum((rows["ward"] == w) & (rows["ill"] == i)) for i in (0, 1)] for w in (0, 1, 2)])
    wanted_test = stats.chi2_contingency(table, correction=False)
    assert tests["ward by ill"][0] == pytest.approx(wanted_test.statistic, rel=1e-12)
    assert tests["ward by ill"][2] == pytest.approx(wanted_test.pvalue, rel=1e-9)
    there = ~np.isnan(rows["smoker"])
    small = np.array([[np.sum((rows["smoker"] == s) & (rows["ill"] == i) & there) for i in (0, 1)] for s in (0, 1)])
    assert tests["smoker by ill"][3] == pytest.approx(stats.fisher_exact(small).pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_fishers_p_is_scipys(seed: int) -> None:
    """Two-sided: tables no likelier than the one at hand."""
    counts = np.random.default_rng(seed).integers(0, 25, (2, 2))
    assert fisher(counts) == pytest.approx(stats.fisher_exact(counts).pvalue, rel=1e-9)


def test_correlations_are_pairwise_complete() -> None:
    """Each pair over the rows that have both."""
    rows = cohort()
    table = {row[:2]: row[2:] for row in described(rows).table("correlations").rows}
    there = ~np.isnan(rows["crp"])
    expected = stats.pearsonr(rows["age"][there], rows["crp"][there])
    assert table["age", "crp"][0] == str(int(there.sum()))
    assert table["age", "crp"][1] == pytest.approx(expected.statistic, abs=1e-12)
    assert table["age", "crp"][2] == pytest.approx(expected.pvalue, rel=1e-8)


def test_information_value_is_of_groups_with_enough_of_both_outcomes() -> None:
    """A group without an event would have an infinite weight."""
    result = described(cohort())
    rows: Any = result.table("evidence").rows
    assert min(min(row[2], row[3]) for row in rows) >= 5
    yes, no = sum(row[2] for row in rows if row[0] == "ward"), sum(row[3] for row in rows if row[0] == "ward")
    value = sum((row[2] / yes - row[3] / no) * np.log((row[2] / yes) / (row[3] / no)) for row in rows if row[0] == "ward")
    values: Any = result.table("information").rows
    assert dict(values)["ward"] == pytest.approx(value, rel=1e-12)


def test_small_groups_are_withheld_with_what_would_give_them_away() -> None:
    """Three of a ward: neither their mean, nor what is left of the mean of all less that of the others."""
    rows = cohort()
    ward = rows["ward"].copy()
    ward[ward == 2] = 1.0
    ward[:3] = 2.0
    few = replace(rows, columns={**rows.columns, "ward": ward})
    result = described(few, 'group = "ward"\n')
    heads = [column.name for column in result.table("table_one").columns]
    assert "ward = c (withheld)" in heads and sum("withheld" in head for head in heads) == 2
    hidden = [group for group in ("a", "b", "c") if numbers_of(result, "age", group)["mean"] is None]
    assert "c" in hidden and len(hidden) == 2
    assert "3" not in {cell for row in result.table("categories").rows for cell in row}


def test_a_smallest_cell_of_one_shows_everything() -> None:
    """For data that are public anyway."""
    study = study_of('group = "ward"\n').revised(analysis={"smallest_cell": 1})
    result = in_one_place(analysis_of(study), {"a": cohort(60)})
    assert not any("withheld" in str(cell) or "<" in str(cell) for table in result.tables for row in table.rows for cell in row)


def test_a_quantile_of_few_is_not_shown() -> None:
    """Nineteen patients have a median and no quartile."""
    rows = cohort(19)
    figures = numbers_of(described(rows, ""), "age", "all")
    assert figures["median"] is not None and figures["lower quartile"] is None


def test_a_histogram_shows_no_bin_of_few() -> None:
    """Neighbours are joined, and drawn as wide as they are."""
    chart = described(cohort(80)).charts[0]
    widths = np.diff(chart.edges)
    counts = np.array(chart.heights) * np.round(widths / widths.min())
    assert chart.edges[0] == 18 and chart.edges[-1] == pytest.approx(100)
    assert counts.sum() == pytest.approx(80, abs=0.5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('columns = ["bmi"]\n', "names the column 'bmi'"),
        ('group = "age"\n', "age is a number"),
        ('value_for = "ward"\n', "must be a yes or no"),
        ('cross_tables = [["ward", "ward"]]\n', "twice"),
    ],
)
def test_what_cannot_be_described_is_told_by_the_study(settings: str, words: str) -> None:
    """Before any hospital is asked."""
    with pytest.raises(StudyError, match=words):
        study_of(settings)


def test_a_quantile_is_within_a_bin_of_the_truth() -> None:
    """Whatever the law of the values."""
    column = Numbered("x", "", 0.0, 10.0, 5.0)
    random = np.random.default_rng(2)
    for values in (random.uniform(0, 10, 3000), np.minimum(random.exponential(1, 3000), 10), np.full(50, 3.3)):
        counts, _ = np.histogram(values, 1024, (0, 10))
        for share in (0.25, 0.5, 0.75):
            assert abs(quantile(column, counts, share) - np.quantile(values, share)) <= 10 / 1024 + 0.01


NINE = ("age", "wbc", "temperature", "respiratoryrate", "sodium", "heartrate", "meanbp", "creatinine", "glucose")


def eicu() -> tuple[Study, dict[str, Rows]]:
    contract = suggested_contract("eicu_demo").model_dump(mode="json")
    listed = {"question": {"title": "Stays in intensive care"}, "data": contract, "summation": {"mode": "plain"}}
    section = {"columns": [*NINE, "gender"], "correlation": True, "cross_tables": [["gender", "hospitaldischargestatus"]]}
    study = Study.model_validate_json(json.dumps({**listed, "analysis": {"describe": section}}))
    rows, sites = load_dataset_rows("eicu_demo", study.data)
    assert sites is not None
    return study, {str(name): replace(rows.select(sites == name), hospital=str(name)) for name in np.unique(sites)}


@real
def test_intensive_care_in_four_regions_is_described_as_in_one_place() -> None:
    """The figures of the page: quartiles within 0.15 % of the range, means and correlations to 1e-10."""
    study, parts = eicu()
    result = in_one_place(analysis_of(study), parts)
    ranges: Mapping[str, Any] = {column.name: column.range for column in study.data.columns}
    whole = {name: np.concatenate([part[name] for part in parts.values()]) for name in NINE}
    for name in NINE:
        values = whole[name][~np.isnan(whole[name])]
        figures = numbers_of(result, name, "all")
        width = ranges[name][1] - ranges[name][0]
        for word, share in (("lower quartile", 0.25), ("median", 0.5), ("upper quartile", 0.75)):
            assert abs(figures[word] - np.quantile(values, share)) <= 0.0015 * width
        assert figures["mean"] == pytest.approx(values.mean(), rel=1e-10)
    for left, right, count, value, _ in result.table("correlations").rows:
        if left in NINE and right in NINE:
            both = ~(np.isnan(whole[left]) | np.isnan(whole[right]))
            assert count == str(int(both.sum()))
            assert value == pytest.approx(np.corrcoef(whole[left][both], whole[right][both])[0, 1], abs=1e-10)
