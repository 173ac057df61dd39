"""A time to an event keeps the laws of every question; its figures are those that pairs and Kaplan-Meier give."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from wardround.study.label import JOINT, LabelContract
from wardround.study.sections.training import TrainingSection
from wardround.tasks.protocol import Task
from wardround.tasks.time import TimeTask
from wardround.tasks.time.figures import alive_at, risk_bins
from wardround.tasks.time.label import BLANK

from ..task_conformance import Scored, TaskConformance

GRID = [0, 100, 200, 400, 800]


def label(**settings: Any) -> LabelContract:
    task = {"event": "died", "unit": "days", "grid": GRID, "horizons": [200, 800], "outside": "clip", "blank": ["?"], **settings}
    return LabelContract.model_validate_json(json.dumps({"kind": "time", "column": "days", "task": task}))


def patients(rng: np.random.Generator, n: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Scores, days and events."""
    score = rng.normal(size=n)
    death, lost = rng.exponential(500 / np.exp(score)), rng.uniform(50, 1500, n)
    return score, np.minimum(death, lost), death <= lost


class TestTimeTask(TaskConformance):
    def task(self) -> Task:
        return TimeTask(label())

    def contract(self) -> LabelContract:
        return label()

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        score, days, died = patients(rng, n)
        contract = label()
        codes = [contract.judge(f"{day}{JOINT}{int(seen)}") for day, seen in zip(days, died, strict=True)]
        outputs = 0.8 * score[:, None] + np.array([-1.6, -1.4, -0.9, -0.4]) + 0.1 * rng.normal(size=(n, 4))
        return outputs.astype(np.float32), np.array(codes, np.float32)

    def blank(self) -> Any:
        return BLANK

    def test_a_blank_record_counts_nowhere(self) -> None:
        """Whoever was lost at once was in no interval either, and costs nothing: all others must."""
        task = self.task()
        outputs, labels = self.draw(np.random.default_rng(16), 40)
        blanked = labels.copy()
        blanked[::3] = BLANK
        kept = np.flatnonzero(np.arange(40) % 3)
        assert task.sums(outputs, blanked) == task.sums(outputs[kept], labels[kept])
        assert task.count_labels(blanked) == task.count_labels(labels[kept])
        assert (task.losses(outputs, blanked)[::3] == 0).all() and (task.targets(blanked)[::3] == 0).all()
        assert task.said(blanked)[0] is None

    def impossible(self, counts: dict[str, NDArray[np.int64]]) -> Iterator[dict[str, NDArray[Any]]]:
        yield from super().impossible(counts)
        yield counts | {"when": 2 * counts["when"]}
        yield counts | {"by_chance": counts["by_chance"][:, ::-1, ::-1]}
        yield counts | {"gone": counts["gone"] + 10**9}
        yield counts | {"there": counts["there"] + 10**10}


class TestTimeWithOwnHazards(TestTimeTask):
    def task(self) -> Task:
        return TimeTask(label(hazards="own"))


def test_c_is_the_share_of_pairs_in_the_right_order() -> None:
    """Counted one by one, with the same ticks and bins."""
    task = TimeTask(label())
    outputs, labels = TestTimeTask().draw(np.random.default_rng(1), 120)
    codes, bins = labels.astype(int), risk_bins(outputs.astype(np.float64))
    won = pairs = 0.0
    for one in range(120):
        for other in range(120):
            if codes[one] % 2 == 1 and codes[one] // 2 < codes[other] // 2:
                pairs += 1
                won += (bins[one] > bins[other]) + 0.5 * (bins[one] == bins[other])
    assert task.score(task.sums(outputs, labels)) == pytest.approx(won / pairs)


@pytest.mark.slow
def test_the_interval_of_c_holds_the_truth_as_often_as_it_says() -> None:
    """Pairs share records: as if they were independent, the interval would be far too narrow."""
    task, held = TimeTask(label()), 0
    truth = task.score(task.sums(*TestTimeTask().draw(np.random.default_rng(0), 40_000)))
    for seed in range(300):
        low, high = task.figures(task.sums(*TestTimeTask().draw(np.random.default_rng(seed + 1), 150)), None).intervals["c_index"]
        held += low <= truth <= high
    assert 0.91 <= held / 300 <= 0.985, held


def test_kaplan_meier_is_the_product_over_ticks() -> None:
    """Of five records by hand: events at ticks 0 and 2, lost at 1, 3 and beyond."""
    when = np.zeros((2, 5), np.int64)
    when[1, 0] = when[1, 2] = when[0, 1] = when[0, 3] = when[0, 4] = 1
    assert alive_at(when, 1)[0] == pytest.approx(4 / 5)
    assert alive_at(when, 3)[0] == pytest.approx(4 / 5 * 2 / 3)


def test_the_brier_score_without_losses_is_the_mean_squared_error() -> None:
    """Weights for those who were lost must be 1 where nobody was."""
    task, rng = TimeTask(label()), np.random.default_rng(2)
    score, contract = rng.normal(size=300), label()
    days = rng.exponential(500 / np.exp(score))
    labels = np.array([contract.judge(f"{min(day, 900):.3f}{JOINT}{int(day < 900)}") for day in days], np.float32)
    outputs = (0.8 * score[:, None] + np.array([-1.6, -1.4, -0.9, -0.4])).astype(np.float32)
    values = task.figures(task.sums(outputs, labels), None).values
    alive = task.shown(torch.from_numpy(outputs)).numpy()
    for place, horizon in enumerate((200, 800)):
        expected = np.square(alive[:, place] - (days >= horizon)).mean()
        assert values[f"brier_{place + 1}"] == pytest.approx(expected, abs=1e-4)
        assert values[f"observed_{place + 1}"] == pytest.approx((days < horizon).mean(), abs=1e-6)
        assert values[f"said_{place + 1}"] == pytest.approx(1 - alive[:, place].mean(), abs=1e-4)


def test_the_loss_is_the_likelihood_of_what_each_interval_saw() -> None:
    """An event in the second interval: lived through the first, ended by the second, never in the third."""
    task, contract = TimeTask(label()), label()
    rows = torch.tensor([[-1.0, 0.5, 2.0, 3.0]] * 3)
    labels = np.array([contract.judge(f"{day}{JOINT}{seen}") for day, seen in ((120, 1), (120, 0), (190, 0))])
    loss = task.row_loss(TrainingSection(), None)(rows, torch.from_numpy(task.targets(labels)))
    hazard = torch.sigmoid(rows[0])
    expected = torch.stack([
        -(1 - hazard[0]).log() - hazard[1].log(), -(1 - hazard[0]).log(), -(1 - hazard[0]).log() - (1 - hazard[1]).log()
    ])  # fmt: skip
    torch.testing.assert_close(loss, expected)


def test_two_cells_become_a_time_and_whether_the_event_was_seen() -> None:
    """An event beyond the grid is no event within it."""
    contract = label()
    judged = [contract.judge(f"{day}{JOINT}{seen}") for day, seen in ((0, 1), (99.9, "0.0"), (100, 1), (5000, 1), ("?", 1))]
    assert judged == [1.0, 6.0, 9.0, 32.0, BLANK]
    assert [contract.judge(word) for word in (f"5{JOINT}maybe", f"-1{JOINT}1", f"x{JOINT}1", "5")] == [None] * 4
    assert label(outside="refuse").judge(f"5000{JOINT}0") is None
    assert contract.columns == ("days", "died")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"event": ""}, "needs task.event"),
        ({"grid": [0, 100]}, "needs task.grid"),
        ({"grid": [5, 100, 200]}, "needs task.grid"),
        ({"grid": [0, 200, 100]}, "times that rise"),
        ({"horizons": [150]}, "needs task.horizons"),
    ],
)
def test_a_contract_of_a_time_that_says_too_little_is_refused(settings: dict[str, Any], said: str) -> None:
    """The grid is public, and agreed before any record is read."""
    with pytest.raises(ValidationError, match=said):
        label(**settings)
