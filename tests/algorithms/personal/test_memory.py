"""The vote of the nearest: what any memory keeps to, also where records are equally far, or the same twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wardround.algorithms.personal import Memory, Neighbours
from wardround.algorithms.personal import memory as memory_page
from wardround.algorithms.personal.memory import scales

Rows = NDArray[np.float32]
CELLS = st.integers(-3, 3)
"""Whole numbers, so that many distances are equal."""


@st.composite
def memories(draw: st.DrawFn) -> tuple[Memory, Rows]:
    """Some remembered records with a vote of 0 or 1, and some others to ask for."""
    width, count = draw(st.integers(1, 4)), draw(st.integers(2, 30))
    row = st.lists(CELLS, min_size=width, max_size=width)
    inner = np.array(draw(st.lists(row, min_size=count, max_size=count)), np.float32)
    votes = np.array(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)), np.float32)[:, None]
    return Memory(inner, votes), np.array(draw(st.lists(row, min_size=1, max_size=5)), np.float32)


def asking(memory: Memory, nearest: int = 5, scale: float = 1.5) -> Neighbours:
    return Neighbours(memory, min(nearest, len(memory.inner)), scale, 0.5)


@given(memories(), st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_order_in_which_records_are_remembered_leaves_no_trace(
    case: tuple[Memory, Rows], nearest: int, random: object
) -> None:
    """Of records that are equally far the first in a file would decide about a patient."""
    memory, rows = case
    order = np.random.default_rng(random.getrandbits(32)).permutation(len(memory.inner))  # type: ignore[attr-defined]
    moved = Memory(memory.inner[order], memory.votes[order])
    for one, other in zip(asking(memory, nearest).asked(rows), asking(moved, nearest).asked(rows), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)


@given(memories(), st.integers(1, 20))
def test_records_that_are_all_there_twice_vote_as_they_did_once(case: tuple[Memory, Rows], nearest: int) -> None:
    """An export that holds everybody twice must not change an answer: twice as many of twice as many are the same ones."""
    memory, rows = case
    nearest = min(nearest, len(memory.inner))
    twice = Memory(np.tile(memory.inner, (2, 1)), np.tile(memory.votes, (2, 1)))
    once, again = asking(memory, nearest).asked(rows), asking(twice, 2 * nearest).asked(rows)
    np.testing.assert_allclose(once[0], again[0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(2 * once[1], again[1], rtol=1e-7)


@given(memories(), st.integers(1, 40), st.sampled_from([0.0, 1.0]))
def test_a_memory_of_one_class_votes_for_it(case: tuple[Memory, Rows], nearest: int, vote: float) -> None:
    """Whoever is nearest: there is nothing else to say. And between 1 and all records have a say."""
    memory, rows = case
    votes, voters = asking(Memory(memory.inner, np.full_like(memory.votes, vote)), nearest).asked(rows)
    np.testing.assert_allclose(votes, vote, atol=1e-12)
    assert (voters >= 1 - 1e-9).all() and (voters <= len(memory.inner) + 1e-9).all()


@given(memories(), st.integers(1, 40))
def test_a_vote_moves_no_further_than_the_record_does(case: tuple[Memory, Rows], nearest: int) -> None:
    """Inner values have other last bits on another machine. Were the last neighbour in or out by them, answers would jump."""
    memory, rows = case
    moved = rows + np.float32(1e-5)
    votes, near = asking(memory, nearest).asked(rows)[0], asking(memory, nearest).asked(moved)[0]
    assert np.abs(votes - near).max() < 1e-3


def test_the_nearer_a_record_the_more_it_says() -> None:
    """The paper's vote: weights fall by exp(-distance / scale)."""
    memory = Memory(np.array([[1.0], [3.0], [90.0]], np.float32), np.array([[1.0], [0.0], [0.0]], np.float32))
    ((vote,),), (voters,) = asking(memory, nearest=2, scale=2.0).asked(np.zeros((1, 1), np.float32))
    near, far = np.exp(-0.5), np.exp(-1.5)
    assert vote == pytest.approx(near / (near + far))
    assert voters == pytest.approx((near + far) ** 2 / (near**2 + far**2))


def test_nobody_behind_the_last_neighbour_votes_but_those_hardly_behind() -> None:
    """k is k, but for its edge: as near as the last votes in full, half an edge further by half, further not at all."""
    edge = memory_page.EDGE
    places = np.array([1.0, 1.0 + edge / 2, 1.0 + edge, 5.0])
    for told, weight in zip(range(4), (1.0, 0.5 * np.exp(-edge / 2), 0.0, 0.0), strict=True):
        votes = np.eye(4, dtype=np.float32)[told, :, None]
        memory = Memory(places[:, None].astype(np.float32), votes)
        ((vote,),), _ = asking(memory, nearest=1, scale=1.0).asked(np.zeros((1, 1), np.float32))
        assert vote == pytest.approx(weight / (1.0 + 0.5 * np.exp(-edge / 2)), abs=1e-6)


def test_pieces_of_rows_give_what_all_rows_at_once_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hospital with many patients gets the same answers as one with few."""
    rng = np.random.default_rng(3)
    memory = Memory(rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, (40, 1)).astype(np.float32))
    rows, patients = rng.normal(size=(33, 3)).astype(np.float32), np.arange(40) // 2
    whole, distances = asking(memory).asked(rows), scales(memory.inner, patients, [5, 10])
    monkeypatch.setattr(memory_page, "_PIECE", 7)
    for one, other in zip(whole, asking(memory).asked(rows), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(distances, scales(memory.inner, patients, [5, 10]), rtol=1e-12)
    assert [len(one) for one in asking(memory).asked(rows[:0])] == [0, 0]


def test_the_unit_of_distance_is_that_of_other_patients_who_differ() -> None:
    """Ten pictures of one patient are alike; taken among themselves, everybody else would be endlessly far."""
    inner = np.array([[0.0], [0.01], [3.0], [3.01]], np.float32)
    assert scales(inner, np.array([0, 0, 1, 1]), [1]) == pytest.approx([2.995], rel=1e-3)
    assert scales(inner, np.array([0, 1, 2, 3]), [1]) == pytest.approx([0.01], rel=1e-3)
    assert scales(inner, np.zeros(4, np.intp), [1, 3]) == [1.0, 1.0]
    assert scales(np.ones((5, 2), np.float32), np.arange(5), [2]) == [1.0]
    assert scales(inner * 7, np.array([0, 0, 1, 1]), [1]) == pytest.approx([7 * 2.995], rel=1e-3)
