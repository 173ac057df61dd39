"""Several classes keep the laws of every question, and two classes are a yes or no."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from wardround.study.label import LabelContract
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.classes import ClassesTask
from wardround.tasks.protocol import Task
from wardround.tasks.shared.score_stack import BLANK, part

from ..task_conformance import Scored, TaskConformance


def label(names: str = "abc", shares: tuple[float, ...] = ()) -> LabelContract:
    classes: list[dict[str, Any]] = [{"name": name, "values": [name]} for name in names]
    for one, share in zip(classes, shares, strict=False):
        one["share"] = share
    task = {"classes": classes, "blank": ["?"]}
    return LabelContract.model_validate_json(json.dumps({"kind": "classes", "task": task}))


class TestClassesTask(TaskConformance):
    def task(self) -> Task:
        return ClassesTask(label())

    def contract(self) -> LabelContract:
        return label()

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        labels = rng.choice(3, n, p=(0.5, 0.3, 0.2)).astype(np.int8)
        return (rng.normal(0, 1, (n, 3)) + 1.5 * np.eye(3)[labels]).astype(np.float32), labels

    def blank(self) -> Any:
        return BLANK

    def impossible(self, counts: dict[str, NDArray[np.int64]]) -> Iterator[dict[str, NDArray[Any]]]:
        yield from super().impossible(counts)
        yield counts | {"confusion": 2 * counts["confusion"]}
        yield counts | {"histogram": counts["histogram"][::-1]}
        yield counts | {"second": np.asarray(10**9)}
        yield counts | {"log_loss": np.asarray(10**12)}


class TestClassesOfPublicShares(TestClassesTask):
    """Classes weighed without a look at any patient, as a private study may."""

    def task(self) -> Task:
        return ClassesTask(label(shares=(0.5, 0.3, 0.2)))


def two() -> tuple[ClassesTask, BinaryTask, NDArray[np.float32], NDArray[np.int8]]:
    """A question with two classes, the same as a yes or no, and outputs of a model for both."""
    rng = np.random.default_rng(2)
    labels = (rng.random(300) < 0.4).astype(np.int8)
    outputs = (rng.normal(0, 2, (300, 2)) + 2 * np.eye(2)[labels]).astype(np.float32)
    return ClassesTask(label("ab")), BinaryTask(LabelContract()), outputs, labels


def test_two_classes_have_the_sums_of_a_yes_or_no_bit_for_bit() -> None:
    """A study that asks the same thing in another way must get the same figures."""
    classes, binary, outputs, labels = two()
    logits = outputs[:, 1].astype(np.float64) - outputs[:, 0]
    sums = classes.sums(outputs, labels)
    assert part(sums, 1) == ScoreSums.from_scores(logits, labels)
    figures, own = classes.figures(sums, None).values, binary.figures(binary.sums(logits, labels), 0.5).values
    assert figures["macro_auc"] == pytest.approx(own["auc"], abs=1e-3)  # of the mirrored scores, whose bins lie one edge further
    assert figures["accuracy"] == own["accuracy_at_half"]
    assert figures["balanced_accuracy"] == pytest.approx(own["balanced_accuracy"])
    assert figures["brier"] == pytest.approx(2 * own["brier"], rel=1e-6)
    assert figures["log_loss"] == pytest.approx(ScoreSums.from_scores(logits, labels).mean_loss, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("balance", [True, False])
def test_two_classes_have_the_loss_and_the_gradient_of_a_yes_or_no(smoothing: float, balance: bool) -> None:
    """Weights of classes, smoothing and mixed targets included."""
    classes, binary, outputs, labels = two()
    training = TrainingSection(class_balance=balance, label_smoothing=smoothing)
    rows = torch.from_numpy(outputs).requires_grad_()
    targets, of_binary = (torch.from_numpy(task.targets(labels)) for task in (classes, binary))
    mixed = torch.lerp(targets.roll(1, 0), targets, 0.3), torch.lerp(of_binary.roll(1, 0), of_binary, 0.3)
    loss = classes.row_loss(training, labels)(rows, mixed[0])
    own = binary.row_loss(training, labels)(rows[:, 1] - rows[:, 0], mixed[1])
    torch.testing.assert_close(loss, own, rtol=1e-5, atol=1e-6)
    (gradient,), (of_own,) = torch.autograd.grad(loss.sum(), rows), torch.autograd.grad(own.sum(), rows)
    torch.testing.assert_close(gradient, of_own, rtol=1e-5, atol=1e-6)


def test_two_classes_mix_votes_as_a_yes_or_no_does() -> None:
    """A personal choice must not depend on how the question was put."""
    classes, binary, outputs, labels = two()
    voters = np.linspace(1, 9, 300)
    mixed = classes.with_votes(outputs, classes.votes(labels), voters, 0.4)
    own = binary.with_votes(outputs[:, 1].astype(np.float64) - outputs[:, 0], binary.votes(labels), voters, 0.4)
    np.testing.assert_allclose(mixed[:, 1] - mixed[:, 0], own, atol=1e-9)


def test_two_classes_are_compared_as_a_yes_or_no_is() -> None:
    """The benefit page tests the headline: by the same differences and nearly the same p-value."""
    classes, binary, outputs, labels = two()
    other = outputs + np.random.default_rng(3).normal(0, 2, outputs.shape).astype(np.float32)
    scores = [(each[:, 1].astype(np.float64) - each[:, 0]) for each in (outputs, other)]
    ours, own = classes.paired((outputs, other), labels, (None, None)), binary.paired((scores[0], scores[1]), labels, (0.5, 0.5))
    assert ours["macro_auc"].difference == pytest.approx(own["auc"].difference, abs=1e-3)
    assert ours["macro_auc"].p_value == pytest.approx(own["auc"].p_value, rel=0.05)
    assert ours["accuracy"] == own["accuracy"]


def test_public_shares_weigh_the_classes_and_count_nobody() -> None:
    """In a private study one patient would change everybody's weight."""
    shares = (0.5, 0.3, 0.2)
    classes = [{"name": name, "values": [name], "share": share} for name, share in zip("abc", shares, strict=True)]
    task = ClassesTask(LabelContract.model_validate_json(json.dumps({"kind": "classes", "task": {"classes": classes}})))
    outputs, labels = TestClassesTask().draw(np.random.default_rng(6), 40)
    rows, targets = torch.from_numpy(outputs), torch.from_numpy(task.targets(labels))
    plain = task.row_loss(TrainingSection(class_balance=False), labels)(rows, targets)
    weights = torch.tensor([1 / (3 * share) for share in shares])[torch.from_numpy(labels.astype(np.int64))]
    for counted in (labels, labels[:7], None):
        torch.testing.assert_close(task.row_loss(TrainingSection(), counted)(rows, targets), plain * weights)


def test_a_class_that_no_record_has_is_left_out_and_the_others_are_judged() -> None:
    """A hospital without viral pneumonia has figures of the two others."""
    task = ClassesTask(label())
    outputs, labels = TestClassesTask().draw(np.random.default_rng(1), 200)
    kept = labels != 2
    figures = task.figures(task.sums(outputs[kept], labels[kept]), None)
    assert figures.values["class_3"] == 0 and 0.7 < figures.values["macro_auc"] < 1 and figures.values["balanced_accuracy"] > 0.5
    loss = task.row_loss(TrainingSection(), labels[kept])(torch.from_numpy(outputs), torch.from_numpy(task.targets(labels)))
    assert torch.isfinite(loss).all()


def test_values_become_classes_and_what_is_not_known_is_refused() -> None:
    """A word that the contract does not name is never guessed; a blank is not another class."""
    contract = label()
    assert [contract.judge(value) for value in ("a", "C", "?", "d", "")] == [0, 2, BLANK, None, None]
    assert contract.sides == (("a", "a"), ("b", "b"), ("c", "c"))
    assert contract.parts(np.array([0, 0, 2, BLANK])) == {"a": 2, "b": 0, "c": 1, "blank": 1}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({}, "needs task.classes"),
        ({"classes": [{"name": "a", "values": [1]}]}, "two or more"),
        ({"classes": [{"name": "a", "values": [1], "share": 0.4}, {"name": "b", "values": [2]}]}, "of every class, or of none"),
        ({"classes": [{"name": "a", "values": [1]}, {"name": "a", "values": [2]}]}, "one name twice"),
        ({"classes": [{"name": "a", "values": [1]}, {"name": "b", "values": ["1"]}]}, "one value twice"),
        ({"classes": [{"name": "a", "values": [1]}, {"name": "b", "values": [2]}], "unit": "days"}, "task.unit does nothing"),
    ],
)
def test_a_contract_that_says_too_little_or_too_much_is_refused(task: dict[str, Any], said: str) -> None:
    """It is agreed before any record is read."""
    with pytest.raises(ValidationError, match=said):
        LabelContract.model_validate_json(json.dumps({"kind": "classes", "task": task}))
