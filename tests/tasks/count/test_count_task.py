"""A count keeps the laws of every question; its loss is Poisson's."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from wardround.study.label import LabelContract
from wardround.study.sections.training import TrainingSection
from wardround.tasks.count import CountTask
from wardround.tasks.count.rate import middle_of
from wardround.tasks.protocol import Task

from ..task_conformance import Scored, TaskConformance


def label(**settings: object) -> LabelContract:
    task = {"range": [0, 50], "unit": "visits", "blank": ["?"], **settings}
    return LabelContract.model_validate_json(json.dumps({"kind": "count", "task": task}))


class TestCountTask(TaskConformance):
    def task(self) -> Task:
        return CountTask(label())

    def contract(self) -> LabelContract:
        return label()

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        rate = np.exp(rng.normal(1.0, 0.7, n))
        counts = np.minimum(rng.poisson(rate), 50).astype(np.float32)
        return (np.log(rate / middle_of(50)) + 0.2 * rng.normal(size=n)).astype(np.float32), counts

    def blank(self) -> Any:
        return math.nan


def test_the_loss_is_poissons_less_its_least() -> None:
    """Its gradient is rate - count, whatever the constant."""
    task = CountTask(label())
    outputs, counts = TestCountTask().draw(np.random.default_rng(1), 60)
    rows = torch.from_numpy(outputs).requires_grad_()
    loss = task.row_loss(TrainingSection(), counts)(rows, torch.from_numpy(task.targets(counts)))
    own = torch.nn.functional.poisson_nll_loss(rows + math.log(middle_of(50)), torch.from_numpy(counts), reduction="none")
    (gradient,), (of_own,) = torch.autograd.grad(loss.sum(), rows), torch.autograd.grad(own.sum(), rows)
    torch.testing.assert_close(gradient, of_own / middle_of(50), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss.detach().numpy() * middle_of(50), task.losses(outputs, counts), rtol=1e-3, atol=1e-4)


def test_a_rate_beyond_all_bounds_still_has_a_slope_that_leads_back() -> None:
    """An exponential that overflows would end the run; a flat one would never come down."""
    task = CountTask(label())
    rows = torch.tensor([30.0, 800.0], requires_grad=True)
    loss = task.row_loss(TrainingSection(), None)(rows, torch.from_numpy(task.targets(np.array([3.0, 0.0]))))
    (gradient,) = torch.autograd.grad(loss.sum(), rows)
    assert torch.isfinite(loss).all() and (gradient > 1).all()


def test_values_become_counts() -> None:
    """Half a visit is an error of export."""
    assert [label().judge(value) for value in ("3", 50, "51", "2.5", "-1", "x")] == [3.0, 50.0, None, None, None, None]


@pytest.mark.parametrize("bounds", [[1, 5], [0, 2.5]])
def test_a_count_begins_with_nothing_and_ends_with_a_whole_number(bounds: list[float]) -> None:
    """The sums are counted in parts of the range."""
    with pytest.raises(ValidationError, match="counts from 0 to a whole number"):
        label(range=bounds)
