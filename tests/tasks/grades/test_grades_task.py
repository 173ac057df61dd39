"""Grades keep the laws of every question; their chances are those of proportional odds, and a label may leave a grade open."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from wardround.study.label import LabelContract
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.training import TrainingSection
from wardround.tasks.grades import GradesTask
from wardround.tasks.grades.chances import log_chances
from wardround.tasks.protocol import Task
from wardround.tasks.shared.score_stack import BLANK, part
from wardround.training.inputs import InputShape
from wardround.training.networks import build
from wardround.values.head_outputs import Ordered

from ..task_conformance import Scored, TaskConformance

OPEN = 4
"""The target of "1+"."""


def label(**settings: object) -> LabelContract:
    task = {
        "classes": [{"name": f"{k}", "values": [k]} for k in range(4)],
        "between": [{"values": ["1+"], "least": "1", "most": "3"}],
        "blank": ["?"],
        **settings,
    }
    return LabelContract.model_validate_json(json.dumps({"kind": "grades", "task": task}))


class TestGradesTask(TaskConformance):
    def task(self) -> Task:
        return GradesTask(label())

    def contract(self) -> LabelContract:
        return label()

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        labels = rng.choice(4, n, p=(0.4, 0.3, 0.2, 0.1)).astype(np.int8)
        score = 1.6 * labels - 1.5 + rng.normal(0, 1.2, n)
        return (score[:, None] - np.array([-0.8, 0.9, 2.4])).astype(np.float32), labels

    def blank(self) -> Any:
        return BLANK

    def impossible(self, counts: dict[str, NDArray[np.int64]]) -> Iterator[dict[str, NDArray[Any]]]:
        yield from super().impossible(counts)
        yield counts | {"answers": 2 * counts["answers"]}
        yield counts | {"histogram": counts["histogram"][::-1]}
        yield counts | {"log_loss": counts["log_loss"] + 10**12}


class TestGradesOfWhichSomeAreOpen(TestGradesTask):
    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        outputs, labels = super().draw(rng, n)
        return outputs, np.where((labels > 0) & (rng.random(n) < 0.3), OPEN, labels).astype(np.int8)

    def test_many_who_say_what_is_true_leave_next_to_no_loss(self) -> None:
        """It is asked of exact grades: a vote for "1 or more" is divided among them."""

    def test_a_model_compared_with_itself_shows_no_difference(self) -> None:
        """Open labels count in the loss alone."""
        outputs, labels = self.draw(np.random.default_rng(14), 60)
        paired = self.task().paired((outputs, outputs), labels, (None, None))
        assert {name: one.n for name, one in paired.items()} == {"log_loss": 60, "accuracy": int((labels < 4).sum())}
        assert all((one.difference, one.p_value) == (0.0, 1.0) for one in paired.values())


def test_chances_add_to_one_and_lie_beyond_a_grade_as_the_logits_say() -> None:
    """The link is that of proportional odds, also where a chance is next to nothing."""
    logits = np.sort(np.random.default_rng(1).normal(0, 8, (200, 3)), axis=1)[:, ::-1]
    chances = np.exp(log_chances(logits))
    np.testing.assert_allclose(chances.sum(1), 1.0, atol=1e-6)
    np.testing.assert_allclose(chances[:, ::-1].cumsum(1)[:, ::-1][:, 1:], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_an_open_label_costs_what_it_costs_not_to_expect_any_of_its_grades() -> None:
    """ "1 or more" is a yes or no of the first cut: the same loss, and no claim about the others."""
    task = GradesTask(label())
    outputs, _ = TestGradesTask().draw(np.random.default_rng(2), 40)
    labels = np.full(40, OPEN, np.int8)
    loss = task.row_loss(TrainingSection(), labels)(torch.from_numpy(outputs), torch.from_numpy(task.targets(labels)))
    expected = torch.nn.functional.softplus(-torch.from_numpy(outputs)[:, 0])
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(task.losses(outputs, labels), expected.numpy(), rtol=1e-4, atol=1e-5)
    sums = task.sums(outputs, labels)
    assert sums["answers"].sum() == 0 and sums["between"] == 40
    assert [part(sums, place).n for place in range(3)] == [40, 0, 0]


def test_the_likelihood_is_that_of_proportional_odds() -> None:
    """By central differences of a model that is written out: one weight, three cuts."""
    task = GradesTask(label())
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(50, 1)), rng.integers(0, 4, 50).astype(np.int8)
    cuts = np.array([1.0, -0.2, -1.5])
    logits = 0.7 * x + cuts
    chance = 1 / (1 + np.exp(-np.concatenate([np.full((50, 1), 99.0), logits, np.full((50, 1), -99.0)], axis=1)))
    expected = -np.log(chance[np.arange(50), labels] - chance[np.arange(50), labels + 1])
    np.testing.assert_allclose(task.losses(logits, labels), expected, rtol=1e-6)
    loss = task.row_loss(TrainingSection(), None)
    rows = torch.from_numpy(logits.astype(np.float32))
    np.testing.assert_allclose(loss(rows, torch.from_numpy(task.targets(labels))).numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["mlp", "logistic"])
def test_every_network_gives_falling_logits_also_as_a_mean_of_several(name: str) -> None:
    """Grades 2 and 3 in the wrong order would give a chance below nothing."""
    rng, rows = np.random.default_rng(4), torch.randn(30, 5, generator=torch.Generator().manual_seed(1))
    modules = [build(NetworkSection(name=name), InputShape("table", features=5), Ordered(4)) for _ in range(3)]
    for module in modules[:2]:
        for tensor in module.parameters():
            tensor.data = torch.from_numpy(rng.normal(0, 3, tuple(tensor.shape)).astype(np.float32))
    for mean, one, other in zip(*(module.parameters() for module in (modules[2], *modules[:2])), strict=True):
        mean.data = (one.data + other.data) / 2
    for module in modules:
        outputs = module(rows)
        assert outputs.shape == (30, 4) and (outputs.diff(dim=1) <= 1e-6).all()
        assert {name: p.numel() for name, p in module.named_parameters() if name.startswith("head")}["head.bias"] == 4


def test_the_answer_is_the_rounded_mean_and_both_kappas_are_named() -> None:
    """They differ, and only a named decision can be checked."""
    task = GradesTask(label())
    outputs, labels = TestGradesTask().draw(np.random.default_rng(5), 400)
    values = task.figures(task.sums(outputs, labels), None).values
    shown = task.shown(torch.from_numpy(outputs)).numpy().astype(np.float64)
    answers = task.answers(shown, None)["answer"].astype(int)
    assert values["accuracy"] == (answers == labels).mean()
    apart = np.square(np.subtract.outer(np.arange(4), np.arange(4)))
    for key, said in (("kappa", answers), ("kappa_likeliest", shown.argmax(1))):
        seen = apart[labels, said].mean()
        chance = (apart * np.outer(np.bincount(labels, minlength=4), np.bincount(said, minlength=4))).sum() / 400**2
        assert values[key] == pytest.approx(1 - seen / chance)
    assert values["kappa"] != values["kappa_likeliest"]


def test_values_become_grades_and_intervals() -> None:
    """A hospital that knows "1 or more" says so; nobody reads it as grade 1."""
    contract = label()
    assert [contract.judge(value) for value in (0, "3", "1+", "?", "4")] == [0, 3, OPEN, BLANK, None]
    assert contract.sides[-1] == ("1 or more", "1+")
    assert GradesTask(contract).said(np.array([0, OPEN, BLANK], np.int8)) == ["0", "1 or more", None]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"classes": [{"name": "a", "values": [1]}, {"name": "b", "values": [2]}], "between": []}, "three or more"),
        ({"between": [{"values": ["x"], "least": "3", "most": "1"}]}, "to a larger one"),
        ({"between": [{"values": ["x"], "least": "1", "most": "9"}]}, "to a larger one"),
        ({"between": [{"values": [1], "least": "1", "most": "3"}]}, "one value twice"),
    ],
)
def test_a_contract_of_grades_that_contradicts_itself_is_refused(settings: dict[str, Any], said: str) -> None:
    """It is agreed before any record is read."""
    with pytest.raises(ValidationError, match=said):
        label(**settings)
