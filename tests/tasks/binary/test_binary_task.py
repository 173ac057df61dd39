"""Yes or no keeps the laws of every question, and a few of its own."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary import BinaryTask
from wardround.tasks.protocol import Task

from ..task_conformance import Scored, TaskConformance


class TestBinaryTask(TaskConformance):
    def task(self) -> Task:
        return BinaryTask(LabelContract())

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        labels = (rng.random(n) < 0.4).astype(np.int8)
        return rng.normal(3.0 * labels - 1.2, 1.3).astype(np.float32), labels

    def impossible(self, counts: dict[str, NDArray[np.int64]]) -> Iterator[dict[str, NDArray[Any]]]:
        yield from super().impossible(counts)
        yield counts | {"histogram": 2 * counts["histogram"]}
        yield counts | {"histogram": counts["histogram"][::-1]}
        yield counts | {"brier": np.asarray(10**9)}


def test_a_higher_threshold_never_calls_more_records_positive() -> None:
    """A decision that is not monotone could not be explained to anybody."""
    task = BinaryTask(LabelContract())
    outputs, labels = TestBinaryTask().draw(np.random.default_rng(0), 200)
    sums = task.sums(outputs, labels)
    called = []
    for threshold in np.linspace(0, 1, 41):
        table = task.decision_table(sums, float(threshold))
        assert table is not None
        called.append(sum(row[0][0] for _, row in table.rows))
    assert called[0] == 200 and called[-1] == 0
    assert called == sorted(called, reverse=True)


def test_the_loss_of_rows_adds_up_to_torchs_own_sum_with_weights_and_smoothing() -> None:
    """The model's bits must not depend on who adds up the rows."""
    outputs, labels = TestBinaryTask().draw(np.random.default_rng(1), 50)
    training = TrainingSection(class_balance=True, label_smoothing=0.1)
    rows, targets = torch.from_numpy(outputs).requires_grad_(), torch.from_numpy(labels.astype(np.float32))
    loss = BinaryTask(LabelContract()).row_loss(training, labels)(rows, targets).sum()
    share = float(labels.mean())
    weights = torch.where(targets == 1, 1 / (2 * share), 1 / (2 * (1 - share)))
    own = torch.nn.functional.binary_cross_entropy_with_logits(rows, targets * 0.9 + 0.05, weights, reduction="sum")
    torch.testing.assert_close(loss, own)
    torch.testing.assert_close(torch.autograd.grad(loss, rows), torch.autograd.grad(own, rows))


def test_without_labels_classes_weigh_alike() -> None:
    """In a private study a class weight would be a count of patients."""
    training = TrainingSection(class_balance=True)
    loss = BinaryTask(LabelContract()).row_loss(training, None)
    assert loss(torch.zeros(2), torch.tensor([0.0, 1.0])).tolist() == [loss(torch.zeros(1), torch.zeros(1)).item()] * 2
