"""One data set into hospitals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.simulation.division import (
    disjoint,
    divide_by_column,
    divide_by_dirichlet,
    divide_by_label,
    divide_by_size,
    divide_evenly,
    fitted,
    homes_of,
    shares_of,
)
from wardround.values.errors import DataError, StudyError
from wardround.values.records import Records


def records_of(count: int = 3000, patients: int = 1500, positive: float = 0.74, seed: int = 0) -> Records:
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, patients, count)
    label = ((owner * 7919 % 1000) < positive * 1000).astype(np.int8)
    return Records(
        np.arange(count, dtype=np.float32)[:, None], label, np.array([f"p{k}" for k in owner]), np.full(count, "train")
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.floats(0.05, 100), st.integers(0, 99))
def test_every_record_goes_to_one_hospital_and_no_patient_to_two(hospitals: int, alpha: float, seed: int) -> None:
    """A patient in two simulated hospitals would leak between them, and be counted twice by privacy."""
    records = records_of(600, 300)
    names = [f"h{k}" for k in range(hospitals)]
    for divide in (
        lambda: divide_evenly(records, names, records.labels, seed=seed),
        lambda: divide_by_dirichlet(records, names, records.labels, alpha=alpha, seed=seed),
    ):
        try:
            parts = divide()
        except DataError:
            continue  # a hospital would be empty: refused, as it should be
        assert disjoint(parts)
        assert sorted(np.concatenate([part.inputs[:, 0] for part in parts.values()]).tolist()) == list(range(600))


def test_the_reference_division_has_the_wanted_sizes_and_shares() -> None:
    """50/30/20 % of the images with pneumonia in 88/73/41 %."""
    parts = divide_by_label(
        records_of(), {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.88, "b": 0.73, "c": 0.41}, records_of().labels, seed=1
    )
    total = 0.5 * 0.88 + 0.3 * 0.73 + 0.2 * 0.41
    drift = float(records_of().labels.mean()) - total
    for name, (size, share) in shares_of(parts).items():
        assert size == pytest.approx({"a": 0.5, "b": 0.3, "c": 0.2}[name], abs=0.005)
        assert share == pytest.approx({"a": 0.88, "b": 0.73, "c": 0.41}[name], abs=abs(drift) * 2 + 0.01)


def test_the_same_seed_gives_the_same_hospitals_and_another_seed_others() -> None:
    """A benchmark must be repeatable, and its seeds independent."""
    first, again, other = (divide_by_size(records_of(), {"a": 2, "b": 1}, records_of().labels, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first["a"].inputs, again["a"].inputs)
    assert not np.array_equal(first["a"].inputs, other["a"].inputs)
    assert shares_of(first)["a"][0] == pytest.approx(2 / 3, abs=0.002)


def test_wishes_that_the_data_cannot_meet_are_refused() -> None:
    """Three hospitals of 20 % cannot be had from data with 74 %."""
    with pytest.raises(StudyError, match="cannot be had"):
        divide_by_label(records_of(), {"a": 1, "b": 1}, {"a": 0.2, "b": 0.2}, records_of().labels, seed=0)
    with pytest.raises(StudyError, match="do not fit together"):
        divide_by_label(records_of(), {"a": 1, "b": 1}, {"a": 0.2}, records_of().labels, seed=0)


def test_a_hospital_may_hold_one_class_only() -> None:
    """Hannover holds positives only."""
    records = records_of(positive=0.5)
    share = float(records.labels.mean())
    parts = divide_by_label(records, {"ill": share, "well": 1 - share}, {"ill": 1.0, "well": 0.0}, records.labels, seed=0)
    assert shares_of(parts)["ill"][1] == 1.0
    assert shares_of(parts)["well"][1] == 0.0


def test_small_alpha_is_uneven_and_large_alpha_even() -> None:
    """The law of the Dirichlet division."""
    even = shares_of(divide_by_dirichlet(records_of(), ["a", "b", "c"], records_of().labels, alpha=1e6, seed=3))
    uneven = shares_of(divide_by_dirichlet(records_of(), ["a", "b", "c"], records_of().labels, alpha=0.3, seed=3))
    assert np.ptp([size for size, _ in even.values()]) < 0.01
    assert np.ptp([size for size, _ in uneven.values()]) > 0.1
    with pytest.raises(StudyError, match="above 0"):
        divide_by_dirichlet(records_of(), ["a"], records_of().labels, alpha=0.0, seed=0)


def test_more_hospitals_than_patients_is_refused() -> None:
    """An empty hospital cannot train."""
    with pytest.raises(DataError, match="without records"):
        divide_evenly(records_of(20, 3), list("abcdef"), records_of(20, 3).labels, seed=0)


def test_by_column_a_patient_of_two_hospitals_stays_with_the_larger_part() -> None:
    """No record moves to a hospital it was not made at."""
    patients = np.array(["p", "p", "p", "q", "r", "r"])
    records = Records(np.arange(6, dtype=np.float32)[:, None], np.zeros(6, np.int8), patients, np.full(6, "train"))
    parts = divide_by_column(records, np.array(["n", "s", "s", "n", "n", "s"]))
    assert {name: part.inputs[:, 0].tolist() for name, part in parts.items()} == {"n": [3, 4], "s": [1, 2]}
    assert disjoint(parts)
    with pytest.raises(DataError, match="do not name a hospital"):
        divide_by_column(records, None)


def test_proportional_fitting_meets_both_margins() -> None:
    """Deming and Stephan: rows and columns as asked, cross ratios as they were."""
    start = np.array([[1.0, 2.0], [3.0, 1.0], [2.0, 2.0]])
    table = fitted(start, np.array([10.0, 20.0, 30.0]), np.array([24.0, 36.0]))
    assert np.allclose(table.sum(axis=1), [10, 20, 30])
    assert np.allclose(table.sum(axis=0), [24, 36])
    ratio = lambda t: t[0, 0] * t[1, 1] / (t[0, 1] * t[1, 0])  # noqa: E731
    assert ratio(table) == pytest.approx(ratio(start))


def test_a_scaffold_is_at_one_hospital_whatever_else_the_table_holds() -> None:
    """Partners that divide by a hash need no list: a scaffold's home does not move when others come or go."""
    scaffolds = np.array([f"ring {k % 40}" for k in range(400)])
    homes = homes_of(scaffolds, {"ash": 1.0, "birch": 1.0, "cedar": 2.0}, seed=3)
    assert {len(set(homes[scaffolds == one])) for one in set(scaffolds)} == {1} and len(set(homes)) == 3
    fewer = scaffolds[:17]
    assert np.array_equal(homes_of(fewer, {"ash": 1.0, "birch": 1.0, "cedar": 2.0}, seed=3), homes[:17])
    assert not np.array_equal(homes_of(scaffolds, {"ash": 1.0, "birch": 1.0, "cedar": 2.0}, seed=4), homes)
