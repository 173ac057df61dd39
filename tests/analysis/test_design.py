"""The model matrix: what is reported, whatever it is scaled by; bounds that hold."""

import numpy as np
import pytest

from wardround.analysis.design import Design
from wardround.study.contract import ColumnContract, DataContract
from wardround.study.sections.analysis.term import TermSection
from wardround.values.rows import Rows

DATA = DataContract(
    kind="table",
    columns=(
        ColumnContract(name="age", unit="years", range=(18, 100), center=54, scale=9),
        ColumnContract(name="sex", kind="binary", categories=("female", "male")),
        ColumnContract(name="ward", kind="category", categories=("a", "b", "c")),
        ColumnContract(name="chol", unit="mg/dl", range=(80, 700), max_missing=0.5),
        ColumnContract(name="crp", range=(0.1, 400), log=True),
    ),
)
TERMS = (
    TermSection(column="age", per=10),
    TermSection(column="sex"),
    TermSection(column="ward", reference="b"),
    TermSection(column="chol", per=20, missing="indicator"),
    TermSection(column="crp"),
    TermSection(column="age", times="sex"),
    TermSection(column="sex", times="ward"),
)


def rows(count: int = 300) -> Rows:
    random = np.random.default_rng(3)
    chol = random.uniform(80, 700, count)
    columns = {
        "age": random.uniform(18, 100, count),
        "sex": random.integers(0, 2, count).astype(float),
        "ward": random.integers(0, 3, count).astype(float),
        "chol": np.where(random.random(count) < 0.2, np.nan, chol),
        "crp": np.exp(random.uniform(np.log(0.1), np.log(400), count)),
    }
    return Rows(columns, np.arange(count).astype(str), np.full(count, "train"), "north")


def test_columns_are_named_as_a_table_shows_them() -> None:
    """The name says the unit and the reference's absence: nobody has to look into the study to read an odds ratio."""
    assert Design(TERMS, DATA).names == (
        "intercept",
        "age, per 10 years",
        "sex = male",
        "ward = a",
        "ward = c",
        "chol, per 20 mg/dl",
        "chol missing",
        "log crp",
        "age, per 10 years × sex = male",
        "sex = male × ward = a",
        "sex = male × ward = c",
    )


@pytest.mark.parametrize("hospitals", [(), ("north", "south")])
def test_reported_coefficients_are_of_the_reported_columns(hospitals: tuple[str, ...]) -> None:
    """A linear predictor is the same number, made of scaled columns or of reported ones."""
    design, data = Design(TERMS, DATA, hospitals), rows()
    scaled = np.random.default_rng(5).normal(size=len(design))
    intercepts = np.ones((len(data), 1)) if not hospitals else np.tile([1.0, 0.0], (len(data), 1))
    age, male = data["age"] / 10, data["sex"]
    chol = np.where(np.isnan(data["chol"]), 390.0, data["chol"]) / 20
    reported = np.column_stack(
        [
            intercepts,
            age,
            male,
            data["ward"] == 0,
            data["ward"] == 2,
            chol,
            np.isnan(data["chol"]),
            np.log(data["crp"]),
            age * male,
            male * (data["ward"] == 0),
            male * (data["ward"] == 2),
        ]
    )
    assert np.allclose(design.matrix(data) @ scaled, reported @ (design.to_reported @ scaled), rtol=1e-12, atol=1e-12)


def test_every_value_lies_within_its_bound() -> None:
    """Sums beyond their bound would be clipped, and be others than those of the rows."""
    for intercept in (True, False):
        design = Design(TERMS, DATA, intercept=intercept)
        assert np.all(np.abs(design.matrix(rows(5000))).max(axis=0) <= design.bounds * (1 + 1e-12))


def test_a_row_without_a_value_is_left_out_unless_it_has_an_indicator() -> None:
    """Complete cases are the default of every statistics program."""
    with_indicator = Design(TERMS, DATA)
    without = Design((TermSection(column="chol"),), DATA)
    data = rows()
    assert with_indicator.complete(data).all()
    assert (without.complete(data) == ~np.isnan(data["chol"])).all()
    assert np.isfinite(with_indicator.matrix(data)).all()
