"""What may be shown of a total: no cell of a few."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wardround.privacy.disclosure import kept_ends


@st.composite
def grids(draw):
    groups, cells = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    numbers = draw(st.lists(st.integers(0, 9), min_size=groups * (cells + 1), max_size=groups * (cells + 1)))
    wanted = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    return np.array(numbers, np.int64).reshape(groups, cells + 1), np.array(wanted)


def joined(leaving: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(groups, kept cells and what lies beyond)."""
    starts = np.r_[0, np.flatnonzero(kept) + 1]
    return np.add.reduceat(leaving, starts, axis=1)


@given(grid=grids(), smallest=st.integers(1, 12))
def test_no_cell_that_is_left_holds_a_few(grid, smallest: int) -> None:
    """Nobody, or at least as many as the rule says, in every group, in every cell, and beyond the last."""
    leaving, wanted = grid
    for kept in (kept_ends(leaving, smallest), kept_ends(leaving, smallest, wanted)):
        if kept.any():
            counts = joined(leaving, kept)
            assert ((counts == 0) | (counts >= smallest)).all()


@given(grid=grids())
def test_a_rule_of_one_leaves_the_grid(grid) -> None:
    """Shown everything, where a site's policy says so."""
    assert kept_ends(grid[0], 1).all()


@given(grid=grids(), smallest=st.integers(1, 6))
def test_coarse_grids_stay(grid, smallest: int) -> None:
    """What already keeps the rule is not widened."""
    leaving, wanted = grid
    enough = leaving + (leaving > 0) * smallest
    assert kept_ends(enough, smallest, wanted).all()


def test_a_named_time_is_kept_for_the_price_of_those_before_it() -> None:
    """A horizon is asked for; the cell before it is not."""
    leaving = np.array([[9, 6, 2, 8, 5]])
    assert kept_ends(leaving, 5).tolist() == [True, True, False, True]
    assert kept_ends(leaving, 5, np.array([False, False, True, False])).tolist() == [True, False, True, True]
    assert not kept_ends(np.array([[1, 2, 0]]), 5).any()
