"""Sums over patients of which each moves the total by at most one clip norm."""

import numpy as np
import pytest

from wardround.privacy.bounded_rows import ROOM, bounded_sum, first_of_each


def test_one_patient_more_moves_the_sum_by_at_most_one_clip_norm() -> None:
    """What every epsilon of an analysis rests on, whatever the patient's numbers are."""
    generator = np.random.default_rng(0)
    others = generator.normal(size=(5000, 7)) * 10.0 ** generator.integers(-3, 6, (5000, 1))
    before = bounded_sum([others], 7)
    for one in (generator.normal(size=7), np.full(7, 1e300), np.full(7, 1e-300), np.eye(7)[2], np.zeros(7), np.full(7, 0.37796)):
        moved = bounded_sum([others, one[None]], 7) - before
        assert np.linalg.norm(moved) <= 1 - ROOM / 2


def test_short_vectors_are_added_as_they_are() -> None:
    """Shortening what is within the bound would be a bias that no noise explains."""
    vectors = np.array([[0.25, 0.5], [0.125, -0.5]])
    assert bounded_sum([vectors], 2).tolist() == [0.375, 0.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_patient_whose_numbers_are_none_counts_as_nothing(value: float) -> None:
    """Refusing the sum instead would tell that such a patient is there."""
    assert bounded_sum([np.array([[0.5, value], [0.25, 0.25]])], 2).tolist() == [0.25, 0.25]


def test_blocks_are_no_part_of_the_sum() -> None:
    """A hospital of any size gives the same whole numbers, however many are worked on at once."""
    vectors = np.random.default_rng(1).uniform(-0.1, 0.1, (1000, 5))
    whole = bounded_sum([vectors], 5)
    assert (bounded_sum([vectors[:1], vectors[1:700], vectors[700:], vectors[:0]], 5) == whole).all()
    assert bounded_sum([], 5).tolist() == [0.0] * 5


def test_of_each_patient_the_first_row_counts() -> None:
    """A patient with ten rows would be protected ten times less."""
    patients = np.array(["b", "a", "b", "c", "a"])
    assert first_of_each(patients).tolist() == [0, 1, 3]
    assert first_of_each(patients[:0]).tolist() == []
