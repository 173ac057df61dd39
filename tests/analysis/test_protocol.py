"""The smallest analysis through the exchanges: means of two columns, in one order and in two."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pytest

from wardround.analysis.carrying import in_one_place, require_unclipped
from wardround.analysis.protocol import Ask, Exchange, Total
from wardround.analysis.result import Column, Result, Table
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.values.errors import DataError
from wardround.values.rows import Rows, joined_rows

from .analysis_conformance import AnalysisConformance
from .drawn_rows import drawn

ROWS = 1000.0
LARGEST = 100.0


@dataclass(frozen=True)
class Means:
    """Mean and deviation of columns: the squares are taken around the mean, in a second exchange."""

    columns: tuple[str, ...] = ("age", "bmi")

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        shape = (len(self.columns),)
        sums = {"n": Quantity(shape), "sum": Quantity(shape, ROWS * LARGEST)}
        squares = {"squares": Quantity(shape, ROWS * 4 * LARGEST**2)}
        return Exchange("means", sums), Exchange("squares", squares, {"mean": shape})

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        values = np.stack([rows[name] for name in self.columns])
        there = ~np.isnan(values)
        if ask.label == "means":
            return {"n": there.sum(axis=1), "sum": np.where(there, values, 0.0).sum(axis=1)}
        return {"squares": np.where(there, (values - ask.order["mean"][:, None]) ** 2, 0.0).sum(axis=1)}

    def coordinate(self) -> Generator[Ask, Total, Result]:
        first = yield Ask("means")
        require_unclipped(first)
        mean = first["sum"] / first["n"]
        second = yield Ask("squares", {"mean": mean})
        deviation = np.sqrt(second["squares"] / (first["n"] - 1))
        rows = tuple(zip(self.columns, first["n"].tolist(), mean.tolist(), deviation.tolist(), strict=True))
        columns = (Column("column", "text"), Column("n", "count"), Column("mean"), Column("deviation"))
        figures = {"mean": mean.tolist(), "deviation": deviation.tolist()}
        return Result("means", "Means", (Table("means", "Means", columns, rows),), figures=figures)


def rows_with_gaps() -> Rows:
    random = np.random.default_rng(7)
    age, bmi = random.uniform(18, 90, 400), random.normal(27, 5, 400)
    return drawn(400, {"age": age, "bmi": np.where(random.random(400) < 0.1, np.nan, bmi)})


class TestMeans(AnalysisConformance):
    def analysis(self) -> Means:
        return Means()

    def rows(self) -> Rows:
        return rows_with_gaps()


def test_means_and_deviations_are_numpys() -> None:
    """The sums go over a grid of 64 bits: twelve digits must be left."""
    rows = rows_with_gaps()
    figures = in_one_place(Means(), {"a": rows}).figures
    assert np.allclose(figures["mean"], [rows["age"].mean(), np.nanmean(rows["bmi"])], rtol=1e-12)
    assert np.allclose(figures["deviation"], [rows["age"].std(ddof=1), np.nanstd(rows["bmi"], ddof=1)], rtol=1e-12)


def test_a_number_beyond_its_bound_is_counted_and_told() -> None:
    """A clipped sum is not that of the rows, and nobody would see it in the total."""
    rows = drawn(1200, {"age": np.full(1200, 99.0), "bmi": np.full(1200, 20.0)})
    with pytest.raises(DataError, match="beyond the bounds"):
        in_one_place(Means(), {"a": rows})


def test_an_ask_that_the_analysis_does_not_state_never_leaves() -> None:
    """The finite list follows from the study; a mistake in an analysis must stop the run and not be refused by every site."""

    class Twice(Means):
        def coordinate(self) -> Generator[Ask, Total, Result]:
            yield Ask("means")
            yield Ask("means")
            raise AssertionError

    with pytest.raises(ValueError, match="time 2"):
        in_one_place(Twice(), {"a": rows_with_gaps()})


def test_joined_rows_keep_patients_of_different_hospitals_apart() -> None:
    """Two hospitals call their first patient 1."""
    rows = rows_with_gaps()
    whole = joined_rows({"a": rows, "b": rows})
    assert whole.patient_count == 2 * rows.patient_count == len(whole)


def test_rows_of_unequal_columns_are_refused() -> None:
    """A column that lost a row would be read beside the wrong patients."""
    with pytest.raises(ValueError, match="lengths"):
        Rows({"age": np.zeros(2)}, np.array(["a"]), np.array(["train"]), "a")
