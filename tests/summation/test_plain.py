"""The plain sum as a machine: replies in, a total out, and nothing after that."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.summation.plain import Collecting, Replies, State, SumFailed, SumOpened, fits, step
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits

SITES = tuple(SiteId(name) for name in ("east", "north", "south", "west"))
LAYOUT = {"model/words": ("uint32", 3), "small/words": ("uint16", 2), "counts/words": ("uint64", 2)}

words = st.fixed_dictionaries(
    {
        name: st.lists(st.integers(0, 2 ** int(dtype[4:]) - 1), min_size=size, max_size=size).map(
            lambda values, dtype=dtype: np.array(values, dtype)
        )
        for name, (dtype, size) in LAYOUT.items()
    }
)
replies = st.dictionaries(st.sampled_from(SITES), words, min_size=1)


def collecting(minimum: int = 1) -> Collecting:
    return Collecting(SITES, LAYOUT, minimum)


def good(value: int = 1) -> Tree:
    return {name: np.full(size, value, dtype) for name, (dtype, size) in LAYOUT.items()}


def opened(state: State) -> SumOpened:
    assert isinstance(state, SumOpened)
    return state


@given(replies)
def test_the_total_is_the_integer_sum_of_those_who_answered(arrays: dict[SiteId, Tree]) -> None:
    """Modulo the size of a word: that is what lets masks cancel later, and why the grid leaves room."""
    opened_sum = opened(step(collecting(), Replies(arrays))[0])
    assert opened_sum.counted == tuple(site for site in SITES if site in arrays)
    for name, (dtype, size) in LAYOUT.items():
        for position in range(size):
            exact = sum(int(tree[name][position]) for tree in arrays.values())
            assert int(opened_sum.total[name][position]) == exact % 2 ** int(dtype[4:])
        assert opened_sum.total[name].dtype == dtype


@given(replies, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_bit(arrays: dict[SiteId, Tree], random: Any) -> None:
    """Networks deliver in any order; the same model must come out."""
    shuffled = list(arrays.items())
    random.shuffle(shuffled)
    first, second = (opened(step(collecting(), Replies(dict(items)))[0]) for items in (arrays.items(), shuffled))
    assert same_bits(first.total, second.total)
    assert (first.counted, first.lost) == (second.counted, second.lost)


@given(replies)
def test_a_lost_site_leaves_exactly_the_sum_of_the_others(arrays: dict[SiteId, Tree]) -> None:
    """However a site is lost: no answer, a refusal or a wrong shape, the others' sum has the same bits."""
    lost = SITES[0]
    others = {site: tree for site, tree in arrays.items() if site != lost} or {SITES[1]: good()}
    wrong = good()
    wrong["model/words"] = wrong["model/words"][:-1]
    ways = (Replies(others), Replies(others, {lost: "old-round"}), Replies({**others, lost: wrong}))
    totals = [opened(step(collecting(), way)[0]) for way in ways]
    assert all(same_bits(opened_sum.total, totals[0].total) for opened_sum in totals)
    assert [opened_sum.lost[lost] for opened_sum in totals] == ["no-answer", "old-round", "wrong-shape"]


def test_summing_leaves_the_replies_as_they_were() -> None:
    """The coordinator may still need the bytes of a reply, for example to say who sent what."""
    arrays = {SITES[0]: good(1), SITES[1]: good(2)}
    step(collecting(), Replies(arrays))
    assert same_bits(arrays[SITES[0]], good(1))
    assert same_bits(arrays[SITES[1]], good(2))


@pytest.mark.parametrize("minimum", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("answered", [0, 1, 2, 3, 4])
def test_fewer_than_the_minimum_open_nothing(minimum: int, answered: int) -> None:
    """A sum over one hospital is that hospital's update. Nothing is opened for nobody either."""
    state, outbox = step(collecting(minimum), Replies({site: good() for site in SITES[:answered]}))
    assert outbox == {}
    if answered >= max(1, minimum):
        assert opened(state).counted == SITES[:answered]
    else:
        assert isinstance(state, SumFailed)
        assert (state.counted, tuple(state.lost), state.minimum) == (SITES[:answered], SITES[answered:], minimum)
        assert not hasattr(state, "total")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"model/words": np.zeros(3, np.uint32)},
        {**good(), "extra/words": np.zeros(1, np.uint32)},
        {**good(), "model/words": np.zeros(2, np.uint32)},
        {**good(), "model/words": np.zeros(4, np.uint32)},
        {**good(), "model/words": np.zeros(0, np.uint32)},
        {**good(), "model/words": np.zeros((3, 1), np.uint32)},
        {**good(), "model/words": np.zeros((), np.uint32)},
        {**good(), "model/words": np.zeros(3, np.uint64)},
        {**good(), "model/words": np.zeros(3, np.int32)},
        {**good(), "model/words": np.zeros(3, np.float32)},
        {**good(), "counts/words": np.zeros(2, np.uint32)},
    ],
    ids=str,
)
def test_a_site_that_sends_another_layout_is_lost_and_the_others_are_summed(wrong: Tree) -> None:
    """One faulty hospital must neither stop the round nor slip a broadcast array into the sum."""
    assert not fits(wrong, LAYOUT)
    opened_sum = opened(step(collecting(2), Replies({SITES[0]: wrong, SITES[1]: good(1), SITES[3]: good(2)}))[0])
    assert opened_sum.counted == (SITES[1], SITES[3])
    assert opened_sum.lost == {SITES[0]: "wrong-shape", SITES[2]: "no-answer"}
    assert same_bits(opened_sum.total, good(3))


def test_a_stranger_is_not_summed() -> None:
    """Only the cohort that the order named may contribute."""
    opened_sum = opened(
        step(collecting(), Replies({SITES[0]: good(1), SiteId("stranger"): good(7)}, {SiteId("other"): "wire"}))[0]
    )
    assert same_bits(opened_sum.total, good(1))
    assert "stranger" not in opened_sum.lost
    assert "other" not in opened_sum.lost


@pytest.mark.parametrize("answered", [0, 2])
def test_a_sum_that_has_ended_takes_no_more_replies(answered: int) -> None:
    """A second total over another cohort would be a difference: one hospital's update."""
    ended, _ = step(collecting(2), Replies({site: good() for site in SITES[:answered]}))
    with pytest.raises(EngineError, match=r"already (opened|failed)"):
        step(ended, Replies({site: good() for site in SITES}))


def test_a_cohort_that_names_a_site_twice_is_refused() -> None:
    """A site summed twice would count double and could pass the grid's bound."""
    with pytest.raises(ValueError, match="twice"):
        Collecting((SITES[0], SITES[0], SITES[1]), LAYOUT, 1)
