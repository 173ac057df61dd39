"""A number keeps the laws of every question, and its figures are those of the numbers themselves."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from wardround.study.label import LabelContract
from wardround.study.sections.training import TrainingSection
from wardround.tasks.number import NumberTask
from wardround.tasks.protocol import Task

from ..task_conformance import Scored, TaskConformance


def label(**settings: object) -> LabelContract:
    task = {"range": [0, 30], "unit": "days", "scale": "log", "blank": [-1], **settings}
    return LabelContract.model_validate_json(json.dumps({"kind": "number", "task": task}))


def draw(task: NumberTask, rng: np.random.Generator, n: int) -> Scored:
    days = np.minimum(rng.gamma(1.5, 2.0, n), 30).astype(np.float32)
    middle = task.scale.aim(days.astype(np.float64)) + 0.3 * rng.normal(size=n)
    return np.stack([middle, middle - 0.5, middle + 0.4], axis=1).astype(np.float32), days


class TestNumberOnTheLogarithm(TaskConformance):
    def task(self) -> Task:
        return NumberTask(label())

    def contract(self) -> LabelContract:
        return label()

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        return draw(NumberTask(label()), rng, n)

    def blank(self) -> Any:
        return math.nan

    def impossible(self, counts: dict[str, NDArray[np.int64]]) -> Iterator[dict[str, NDArray[Any]]]:
        yield from super().impossible(counts)
        yield counts | {"n": counts["n"] + 1}
        yield counts | {"residuals": 2 * counts["residuals"]}
        yield counts | {"range": counts["range"] + 10**9}
        yield counts | {"scaled": counts["scaled"] + 10**9}


class TestNumberAsItIs(TestNumberOnTheLogarithm):
    def task(self) -> Task:
        return NumberTask(label(scale="linear", loss="huber"))

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        return draw(NumberTask(label(scale="linear")), rng, n)


class TestNumberWithOneSpread(TestNumberOnTheLogarithm):
    def task(self) -> Task:
        return NumberTask(label(spread="constant"))

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        outputs, days = super().draw(rng, n)
        return outputs[:, [2, 0, 1]], days


def test_figures_are_those_of_the_numbers_themselves() -> None:
    """Sums in parts of the range lose next to nothing."""
    task = NumberTask(label())
    outputs, days = draw(task, np.random.default_rng(1), 500)
    said = task.scale.number(outputs.astype(np.float64))
    figures = task.figures(task.sums(outputs, days), None)
    error = said[:, 0] - days
    expected = {
        "mae": np.abs(error).mean(),
        "rmse": math.sqrt(np.square(error).mean()),
        "rmse_log": math.sqrt(np.square(np.log1p(said[:, 0]) - np.log1p(days)).mean()),
        "bias": error.mean(),
        "r2": 1 - np.square(error).sum() / np.square(days - days.mean()).sum(),
        "coverage": ((said[:, 1] <= days) & (days <= said[:, 2])).mean(),
        "width": (said[:, 2] - said[:, 1]).mean(),
    }
    for name, value in expected.items():
        assert figures.values[name] == pytest.approx(value, abs=2e-4), name
    low, high = figures.intervals["mae"]
    assert (high - low) / 2 == pytest.approx(1.96 * np.abs(error).std() / math.sqrt(500), rel=1e-3)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """An interval that is too narrow claims what the records do not know."""
    task = NumberTask(label())
    whole = task.figures(task.sums(*draw(task, np.random.default_rng(0), 200_000)), None).values
    names = ("mae", "rmse", "rmse_log", "bias", "coverage")
    held = dict.fromkeys(names, 0)
    for seed in range(300):
        ends = task.figures(task.sums(*draw(task, np.random.default_rng(seed + 1), 200)), None).intervals
        for name in names:
            held[name] += ends[name][0] <= whole[name] <= ends[name][1]
    least = dict.fromkeys(names, 0.9) | {"rmse": 0.86}  # a few long stays decide the mean square: 200 records do not know of all
    assert all(least[name] <= hits / 300 <= 0.99 for name, hits in held.items()), held


def test_a_trained_range_holds_as_many_as_were_meant() -> None:
    """The two ends are quantiles: with plain outputs, those of the labels."""
    task = NumberTask(label())
    days = np.minimum(np.random.default_rng(2).gamma(1.5, 2.0, 2000), 30).astype(np.float32)
    loss, targets = task.row_loss(TrainingSection(), None), torch.from_numpy(task.targets(days))
    outputs = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([outputs], lr=0.05)
    for _ in range(1500):
        optimizer.zero_grad()
        loss(outputs.expand(2000, 3), targets).mean().backward()
        optimizer.step()
    found = outputs.detach().numpy()[None].repeat(2000, 0)
    figures = task.figures(task.sums(found, days), None).values
    assert figures["coverage"] == pytest.approx(0.8, abs=0.02)
    assert found[0, 0] == pytest.approx(task.scale.aim(days.astype(np.float64)).mean(), abs=0.01)


def test_what_is_shown_is_the_number_and_a_range_around_it() -> None:
    """A young model's ends may be crossed; what is shown never is, and never leaves the public range."""
    task = NumberTask(label())
    shown = task.shown(torch.tensor([[0.0, 1.0, -1.0], [5.0, 6.0, 7.0], [0.0, 0.5, 0.7]])).numpy()
    assert (shown[:, 1] <= shown[:, 0]).all() and (shown[:, 0] <= shown[:, 2]).all()
    assert shown.min() >= 0 and shown.max() == pytest.approx(30, abs=1e-4)


def test_values_become_numbers_and_what_lies_outside_is_refused_or_moved() -> None:
    """A stay of 400 days is an error of export, unless everybody agreed to cut it."""
    assert [label().judge(value) for value in ("3.5", 30, "31", "x", "")] == [3.5, 30.0, None, None, None]
    assert math.isnan(label().judge("-1") or 0.0)
    assert label(outside="clip").judge("400") == 30.0
    assert label().parts(np.array([1, 2, 20, math.nan])) == {
        "up to 15 (lower half)": 2, "above 15 (upper half)": 1, "blank": 1
    }  # fmt: skip


@pytest.mark.parametrize(("task", "said"), [({"range": None}, "needs task.range"), ({"range": [3, 3]}, "above it")])
def test_a_scale_that_is_none_is_refused(task: dict[str, Any], said: str) -> None:
    """Sums are counted in parts of it."""
    with pytest.raises(ValidationError, match=said):
        label(**task)
