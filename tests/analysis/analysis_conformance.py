"""Laws that every analysis keeps. A test class of an analysis inherits them and gives `analysis` and `rows`."""

import json
from typing import Any

import numpy as np

from wardround.analysis.carrying import CLIPPED, bounded, in_one_place, words_of
from wardround.analysis.protocol import Analysis, Ask
from wardround.analysis.result import Result
from wardround.values.rows import Rows

from .drawn_rows import divided


def numbers(value: Any) -> list[float]:
    """Every number of a result's figures, in order."""
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in numbers(value[key])]
    if isinstance(value, list | tuple):
        return [number for one in value for number in numbers(one)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


class AnalysisConformance:
    """tolerance: largest relative difference between figures of the same rows, divided otherwise."""

    tolerance = 1e-9

    def analysis(self) -> Analysis:
        raise NotImplementedError

    def rows(self) -> Rows:
        """Some hundred rows, of one place."""
        raise NotImplementedError

    def result(self, hospitals: int, seed: int = 0) -> Result:
        return in_one_place(self.analysis(), divided(self.rows(), hospitals, seed))

    def test_figures_do_not_depend_on_who_has_which_rows(self) -> None:
        """Federated is pooled: the claim that everything else rests on."""
        whole = numbers(self.result(1).figures)
        assert whole
        for hospitals, seed in ((2, 0), (5, 1), (5, 2)):
            assert np.allclose(numbers(self.result(hospitals, seed).figures), whole, rtol=self.tolerance, atol=self.tolerance)

    def test_an_empty_hospital_changes_nothing(self) -> None:
        """A hospital none of whose rows is complete must not be told by an error."""
        rows = self.rows()
        both = in_one_place(self.analysis(), {"a": rows, "b": rows.select(np.zeros(len(rows), bool))})
        whole = numbers(in_one_place(self.analysis(), {"a": rows}).figures)
        assert np.allclose(numbers(both.figures), whole, rtol=self.tolerance, atol=self.tolerance)

    def test_labels_differ_and_fit_a_header(self) -> None:
        """A label is asked once for each number: two exchanges of one label would be one."""
        labels = [exchange.label for exchange in self.analysis().exchanges]
        assert len(set(labels)) == len(labels)
        assert all(label and label.replace("_", "").replace("-", "").isalnum() and len(label) <= 80 for label in labels)

    def test_contributions_are_as_stated_whatever_the_order_holds(self) -> None:
        """The total's shape is known before it is revealed, and a site may refuse nothing for what its rows hold."""
        analysis, rows = self.analysis(), self.rows()
        for exchange in analysis.exchanges:
            for value in (0.0, 1.0, -1e6, 1e6):
                order = {name: np.full(shape, value) for name, shape in exchange.order.items()}
                for own in (rows, rows.select(np.zeros(len(rows), bool))):
                    with np.errstate(all="ignore"):
                        values = analysis.contribution(own, Ask(exchange.label, order))
                    words_of(exchange, 3).encode(bounded(values, exchange, 3))

    def test_rows_of_the_contract_lie_within_the_bounds(self) -> None:
        """A bound that is too small would make the sums others than those of the rows."""
        analysis, rows = self.analysis(), self.rows()
        for exchange in analysis.exchanges:
            order = {name: np.zeros(shape) for name, shape in exchange.order.items()}
            assert int(bounded(analysis.contribution(rows, Ask(exchange.label, order)), exchange, 3)[CLIPPED]) == 0

    def test_a_result_is_json(self) -> None:
        """results.json holds it: no NaN, no NumPy number."""
        json.dumps(dict(self.result(2).figures), allow_nan=False)
