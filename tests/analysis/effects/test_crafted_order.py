"""What a dishonest coordinator reads by an order of its own, and what a hospital does not answer: the page says both."""

import numpy as np
import pytest

from tests.analysis.drawn_rows import divided
from tests.analysis.effects.trials import analysis, patients
from wardround.analysis.carrying import in_one_place
from wardround.analysis.effects.newton import Descent
from wardround.analysis.effects.rows import unpack
from wardround.analysis.protocol import Ask
from wardround.analysis.reach import Reach
from wardround.values.errors import DataError

FARTHEST = 2.0**20  # what an order may hold
ASKS = 24


def rows_read(reach: float, length: float) -> int:
    """How many of an arm's patients an attacker has to the third digit from the models of logarithms, at points of this length.

    Each point is 0 for everybody but those farthest in its direction. An attacker has the middle between the two farthest by
    asking again; here it is given."""
    asked, rows = analysis(links=["log"], reach=reach, individual=False, folds=2), patients()
    frame, parts = asked.frame, divided(rows, 4)
    design = asked.read(rows)[0]
    patients_of_arm = design.design[design.arms == 1]
    directions = np.random.default_rng(0).normal(size=(ASKS * len(frame.ridges), frame.size - 1))
    read = set()
    for begin in range(0, len(directions), len(frame.ridges)):
        crafted = np.zeros((len(frame.arms), frame.sets, len(frame.ridges), frame.size))
        for strength, direction in enumerate(directions[begin : begin + len(frame.ridges)]):
            along = patients_of_arm[:, 1:] @ direction
            point = np.concatenate([[-np.sort(along)[-2:].mean()], direction])
            crafted[1, frame.folds, strength] = point * length / (np.abs(point) @ frame.bounds)
        ask = Ask("log_models", {"coefficients": crafted})
        totals = np.sum([asked.contribution(part, ask)["information"] for part in parts.values()], axis=0)
        for packed in np.nan_to_num(totals[1, frame.folds]):
            alone = unpack(packed, frame.size)[0]
            distance = np.abs(patients_of_arm - alone / alone[0]).max(axis=1) if alone[0] > 0 else np.ones(1)
            if distance.min() < 1e-3:
                read.add(int(distance.argmin()))
    return len(read)


@pytest.mark.permission
def test_far_points_read_patients_and_those_within_a_narrow_reach_none() -> None:
    """docs/security.md says both, with what it does not stop."""
    far = rows_read(FARTHEST, 1e5)
    assert far > 8 and rows_read(150.0, 150.0) < far / 2
    assert rows_read(50.0, 50.0) == 0
    assert rows_read(150.0, 1e5) == 0


def test_beyond_reach_a_hospital_adds_nothing_whatever_its_rows_are() -> None:
    """The same words for every world of rows, of every sum whose order names coefficients."""
    asked = analysis(links=["log", "identity"])
    points = {"coefficients", "propensity", "outcome", "lines", "contrasts", "sides"}
    tried = 0
    for exchange in asked.exchanges:
        for name in points & set(exchange.order):
            order = {one: np.zeros(shape) for one, shape in exchange.order.items()} | {
                name: np.full(exchange.order[name], 9000.0)
            }
            for rows in (patients(), patients(seed=5), patients(0)):
                answer = asked.contribution(rows, Ask(exchange.label, order))
                assert set(answer) == set(exchange.quantities) and all(np.isnan(array).all() for array in answer.values())
                tried += 1
    assert tried >= 3 * 12


def test_an_honest_step_is_held_within_reach() -> None:
    """Of several vectors one behind the other each one is."""
    descent = Descent.begin(np.zeros((1, 4)), np.zeros((1, 4)), Reach(np.array([1.0, 2.0]), 3.0))
    peak = np.array([0.5, 1.0, -0.5, 0.5])
    for _ in range(60):
        assert np.abs(descent.trial.reshape(2, 2) @ np.array([1.0, 2.0])).max() <= 3.0
        loss = np.array([((descent.trial[0] - peak) ** 2).sum() / 2])
        overshooting = np.eye(4)[None] / (8.0 if np.isinf(descent.losses[0]) else 1.0)
        descent = descent.advance(loss, peak - descent.trial, overshooting)
        if descent.finished:
            break
    assert np.allclose(descent.accepted[0], peak)


def test_a_model_that_lies_beyond_is_refused_by_name() -> None:
    """Before hospitals are asked, whose answer would be nothing."""
    with pytest.raises(DataError, match=r"analysis.effect.reach = 1"):
        in_one_place(analysis(reach=1.0), divided(patients(chosen=True), 3))


def test_the_first_sum_has_no_order_to_craft() -> None:
    """With known probabilities and lines, averages need it and `scores` alone."""
    asked = analysis(probabilities=[1 / 3] * 3, individual=False)
    assert [exchange.label for exchange in asked.exchanges] == ["moments", "scores"]
    assert not asked.exchanges[0].order
