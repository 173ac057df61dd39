"""The disclosure rules against somebody who solves for what is withheld."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from wardround.privacy.disclosure import (
    free_cells,
    joined_bins,
    may_show_quantile,
    withheld_of_list,
    withheld_of_table,
)

counts_of_lists = st.lists(st.integers(0, 30), min_size=1, max_size=8)
tables = st.tuples(st.integers(2, 5), st.integers(2, 5)).flatmap(
    lambda shape: st.lists(
        st.one_of(st.integers(0, 6), st.integers(0, 60)), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]
    ).map(lambda cells: np.array(cells, np.int64).reshape(shape))
)


def solved(counts: NDArray[np.int64], withheld: NDArray[np.bool_], cell: tuple[int, int]) -> tuple[float, float]:
    """The least and the most that a withheld cell can be, for whoever knows the margins and every shown cell."""
    places = np.argwhere(withheld)
    lines, totals = [], []
    for axis, size in enumerate(counts.shape):
        for number in range(size):
            inside = places[:, axis] == number
            if inside.any():
                lines.append(inside.astype(float))
                line, hidden = (counts[number], withheld[number]) if axis == 0 else (counts[:, number], withheld[:, number])
                totals.append(float(line[hidden].sum()))
    goal = ((places[:, 0] == cell[0]) & (places[:, 1] == cell[1])).astype(float)
    ends = [
        linprog(sign * goal, A_eq=np.array(lines), b_eq=np.array(totals), bounds=(0, None), method="highs") for sign in (1, -1)
    ]
    return float(ends[0].fun), float(-ends[1].fun)


@given(counts_of_lists)
def test_a_list_beside_its_sum_gives_no_small_count_away(counts: list[int]) -> None:
    """The sum less what is shown is the sum of at least two counts, and not a small one; or nothing is shown at all."""
    values = np.array(counts)
    withheld = withheld_of_list(values, 5)
    assert withheld[(values > 0) & (values < 5)].all()
    if withheld.any() and not withheld.all():
        assert withheld.sum() >= 2 and values[withheld].sum() >= 5


@given(tables)
def test_no_small_count_of_a_table_can_be_solved_for(counts: NDArray[np.int64]) -> None:
    """The attack: linear programming over the margins. Where all of a table is withheld, its margins fall under the rule too."""
    withheld = withheld_of_table(counts, 5)
    filled = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    for row, column in np.argwhere((counts > 0) & (counts < 5)):
        assert withheld[row, column]
        if withheld.sum() < filled.size:
            low, high = solved(counts, withheld, (int(row), int(column)))
            assert high - low >= 1 - 1e-6


@given(tables)
def test_a_table_without_small_counts_is_shown_whole(counts: NDArray[np.int64]) -> None:
    """A rule that hides too much would be switched off."""
    assert not withheld_of_table(np.where(counts < 5, 0, counts), 5).any()


def test_a_single_free_cell_is_the_one_that_a_chi_square_would_tell() -> None:
    """Two by two has one; of more rows and columns there are more than one equation can settle."""
    assert free_cells(np.ones((2, 2), bool)) == 1
    assert free_cells(np.ones((3, 3), bool)) == 4
    assert free_cells(np.zeros((3, 3), bool)) == 0


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_joined_bins_hold_nobody_or_enough(counts: list[int]) -> None:
    """And every bin is in exactly one of them."""
    values = np.array(counts)
    bins = joined_bins(values, 5)
    assert [place for first, behind in bins for place in range(first, behind)] == list(range(len(values)))
    held = [int(values[first:behind].sum()) for first, behind in bins]
    assert all(count == 0 or count >= 5 for count in held) or values.sum() < 5


@pytest.mark.parametrize(("count", "share", "shown"), [(20, 0.25, True), (19, 0.25, False), (9, 0.5, False), (10, 0.5, True)])
def test_a_quantile_keeps_its_distance_from_the_ends(count: int, share: float, shown: bool) -> None:
    """The largest value is a patient's."""
    assert may_show_quantile(count, share, 5) == shown
