"""Laws that every analysis with noise keeps. A test class inherits them and gives `study` and `rows`."""

import json

import numpy as np

from wardround.analysis.carrying import bounded_rows, in_one_place
from wardround.analysis.protocol import Ask, Exchange, PrivateAnalysis
from wardround.analysis.registry import analysis_of
from wardround.analysis.result import Result
from wardround.plan.plan import Plan
from wardround.privacy.noised_arrays import NoisedArrayWords
from wardround.study.declaration import Study
from wardround.values.rows import Rows

from .drawn_rows import divided

NAMES = ("a", "b", "c")


def private_plan(study: Study) -> Plan:
    """With three hospitals, and a noise that nobody has to work out where none is stated."""
    named = study.revised(sites={"names": NAMES})
    return Plan(named if named.privacy.noise_multiplier is not None else named.with_privacy(noise_multiplier=2.0))


def carried_out(study: Study, rows: Rows, seed: int = 0) -> Result:
    """Over three hospitals, by the words of a run, with fresh noise."""
    plan = private_plan(study)
    assert plan.private is not None and plan.analysis is not None
    return in_one_place(plan.analysis, divided(rows, 3, seed), plan.private.words_of)


class PrivateConformance:
    """Beside the laws of every analysis."""

    def study(self) -> Study:
        raise NotImplementedError

    def rows(self) -> Rows:
        """Some hundred rows, of one place, one for each patient."""
        raise NotImplementedError

    def analysis(self) -> PrivateAnalysis:
        analysis = analysis_of(private_plan(self.study()).study)
        assert isinstance(analysis, PrivateAnalysis)
        return analysis

    def words(self, exchange: Exchange) -> NoisedArrayWords:
        plan = private_plan(self.study()).private
        assert plan is not None
        return plan.words_of(exchange)

    def asks(self) -> list[Ask]:
        """Every exchange, at orders that a run has and at others."""
        return [
            Ask(exchange.label, {name: np.full(shape, value) for name, shape in exchange.order.items()})
            for exchange in self.analysis().exchanges
            for value in (0.0, 0.5, -3.0, 1e6, -1e6)
        ]

    def hostile_rows(self) -> Rows:
        """Values far outside of their ranges, and none at all."""
        rows = self.rows()
        generator = np.random.default_rng(3)
        columns = {
            name: np.where(generator.random(len(rows)) < 0.2, np.nan, values * generator.choice([1.0, 50.0, -50.0], len(rows)))
            if len(np.unique(values[~np.isnan(values)])) > 8
            else np.where(generator.random(len(rows)) < 0.2, np.nan, values)
            for name, values in rows.columns.items()
        }
        return Rows(columns, rows.patients, rows.splits, rows.hospital)

    def test_every_sum_has_noise_and_labels_differ(self) -> None:
        """A sum without would be paid by nobody."""
        exchanges = self.analysis().exchanges
        assert all(exchange.noised is not None and exchange.noised.events >= 1 for exchange in exchanges)
        assert len({exchange.label for exchange in exchanges}) == len(exchanges)

    def test_no_patient_is_longer_than_one_clip_norm_before_any_shortening(self) -> None:
        """Bounds follow from the study: a vector that had to be shortened would be a bias. Whatever the order is."""
        for ask in self.asks():
            exchange = next(one for one in self.analysis().exchanges if one.label == ask.label)
            with np.errstate(all="ignore"):
                vectors = self.words(exchange).vectors(self.analysis().of_each(self.rows(), ask))
            lengths = np.sqrt((vectors**2).sum(axis=1))
            assert np.nanmax(lengths) <= 1.0 + 1e-12, (ask.label, np.nanmax(lengths))

    def test_one_patient_more_changes_each_sum_by_at_most_one_clip_norm(self) -> None:
        """What is charged rests on this, for the worst of rows and orders; the others' parts do not depend on who else is
        there."""
        for rows in (self.rows(), self.hostile_rows()):
            fewer = rows.select(np.arange(len(rows)) != 17)
            for ask in self.asks():
                exchange = next(one for one in self.analysis().exchanges if one.label == ask.label)
                words = self.words(exchange)
                moved = bounded_rows(self.analysis(), rows, ask, words) - bounded_rows(self.analysis(), fewer, ask, words)
                assert np.linalg.norm(moved) <= 1.0, ask.label

    def test_a_patient_with_many_rows_counts_once(self) -> None:
        """Ten rows of one patient in a sum would be ten times the bound."""
        rows = self.rows()
        repeated = rows.select(np.concatenate([np.arange(len(rows)), np.full(50, 5)]))
        for ask in self.asks():
            exchange = next(one for one in self.analysis().exchanges if one.label == ask.label)
            words = self.words(exchange)
            assert (bounded_rows(self.analysis(), repeated, ask, words) == bounded_rows(self.analysis(), rows, ask, words)).all()

    def test_a_hospital_without_rows_gives_noise_alone(self) -> None:
        """No error tells that nobody is there."""
        nobody = self.rows().select(np.zeros(len(self.rows()), bool))
        for ask in self.asks():
            exchange = next(one for one in self.analysis().exchanges if one.label == ask.label)
            assert not bounded_rows(self.analysis(), nobody, ask, self.words(exchange)).any()

    def test_a_result_is_json_and_says_what_it_promises(self) -> None:
        """results.json holds it: no NaN, no NumPy number."""
        result = carried_out(self.study(), self.rows())
        json.dumps(dict(result.figures), allow_nan=False)
        assert any("Differentially private for one patient" in note for note in result.notes)
