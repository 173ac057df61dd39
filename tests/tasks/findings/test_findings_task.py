"""Several findings keep the laws of every question; a blank is no answer, and never a no."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from wardround.study.label import JOINT, LabelContract
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.findings import FindingsTask
from wardround.tasks.findings.label import codes_of, truths_of
from wardround.tasks.protocol import Task
from wardround.tasks.shared.score_stack import BLANK, part

from ..task_conformance import Scored, TaskConformance

NAMES = ("effusion", "oedema", "fracture")


def label(names: tuple[str, ...] = NAMES, **settings: Any) -> LabelContract:
    found = [{"name": name, "column": name, "positive": ["yes"], "negative": ["no"]} for name in names]
    return LabelContract.model_validate_json(
        json.dumps({"kind": "findings", "task": {"findings": found, "blank": ["?"], **settings}})
    )


class TestFindingsTask(TaskConformance):
    def task(self) -> Task:
        return FindingsTask(label())

    def contract(self) -> LabelContract:
        return label()

    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        truths = (rng.random((n, 3)) < (0.5, 0.3, 0.15)).astype(np.int64)
        outputs = (rng.normal(0, 1, (n, 3)) + 2.0 * truths - 1.0).astype(np.float32)
        return outputs, codes_of(truths)

    def blank(self) -> Any:
        return float(codes_of(np.full((1, 3), BLANK))[0])

    def impossible(self, counts: dict[str, NDArray[np.int64]]) -> Iterator[dict[str, NDArray[Any]]]:
        yield from super().impossible(counts)
        yield counts | {"records": counts["records"] // 2}
        yield counts | {"records": 4 * counts["records"]}


class TestFindingsOfWhichSomeAreBlank(TestFindingsTask):
    def draw(self, rng: np.random.Generator, n: int) -> Scored:
        outputs, labels = super().draw(rng, n)
        truths = truths_of(labels, 3)
        truths[np.arange(n), rng.integers(0, 3, n)] = BLANK
        return outputs, codes_of(truths)


@given(st.lists(st.lists(st.sampled_from((0, 1, BLANK)), min_size=15, max_size=15), min_size=1, max_size=5))
def test_fifteen_findings_are_one_number_that_float32_holds(rows: list[list[int]]) -> None:
    """Readers, files of records and trainers carry one target for each record."""
    truths = np.array(rows)
    assert (truths_of(codes_of(truths), 15) == truths).all()


def test_a_blank_finding_counts_nowhere_and_the_others_of_its_record_do() -> None:
    """Tox21 has 17 % of them; read as a no they would teach that most things are harmless."""
    task = FindingsTask(label())
    outputs, labels = TestFindingsTask().draw(np.random.default_rng(1), 200)
    truths = truths_of(labels, 3)
    truths[:100, 1] = BLANK
    sums = task.sums(outputs, codes_of(truths))
    assert part(sums, 1) == ScoreSums.from_scores(outputs[100:, 1], truths[100:, 1])
    assert part(sums, 0) == ScoreSums.from_scores(outputs[:, 0], truths[:, 0])
    assert task.records(sums) == 200
    rows = torch.from_numpy(outputs).requires_grad_()
    loss = task.row_loss(TrainingSection(label_smoothing=0.1), None)(rows, torch.from_numpy(task.targets(codes_of(truths))))
    (gradient,) = torch.autograd.grad(loss.sum(), rows)
    assert (gradient[:100, 1] == 0).all() and (gradient[:, [0, 2]] != 0).all()


def test_a_records_loss_is_the_mean_over_its_known_findings() -> None:
    """Whoever was examined for one thing weighs as much as whoever was examined for all."""
    task = FindingsTask(label())
    outputs, labels = TestFindingsOfWhichSomeAreBlank().draw(np.random.default_rng(2), 30)
    truths, rows = truths_of(labels, 3), torch.from_numpy(outputs)
    loss = task.row_loss(TrainingSection(), None)(rows, torch.from_numpy(task.targets(labels)))
    for row in range(30):
        known = truths[row] != BLANK
        aims = torch.from_numpy(truths[row, known].astype(np.float32))
        own = torch.nn.functional.binary_cross_entropy_with_logits(rows[row, known], aims)
        torch.testing.assert_close(loss[row], own)
    np.testing.assert_allclose(task.losses(outputs, labels), loss.numpy(), rtol=1e-5)


def test_a_finding_without_both_sides_is_left_out_and_it_is_said_how_many_were_judged() -> None:
    """A mean over 11 of 12 assays is no mean over 12."""
    task = FindingsTask(label())
    outputs, labels = TestFindingsTask().draw(np.random.default_rng(3), 100)
    truths = truths_of(labels, 3)
    truths[:, 2] = 0
    values = task.figures(task.sums(outputs, codes_of(truths)), None).values
    assert values["judged"] == 2 and values["finding_3"] == 0 and 0.7 < values["macro_auc"] < 1


def test_words_of_several_columns_or_of_one_cell_become_findings() -> None:
    """An empty cell is not known; a word that the contract does not name is refused."""
    contract = label()

    def truths(value: str) -> list[int] | None:
        code = contract.judge(value)
        return None if code is None else truths_of(np.array([code]), 3)[0].tolist()

    assert truths(JOINT.join(("yes", "", "no"))) == [1, BLANK, 0]
    assert truths(JOINT.join(("?", "No", "YES"))) == [BLANK, 0, 1]
    assert truths(JOINT.join(("yes", "maybe", "no"))) is None and truths("yes") is None
    listed = {"findings": [{"name": name, "positive": [name], "negative": ["nothing"]} for name in NAMES]}
    contract = label(**listed)
    assert contract.columns == ("label",)
    assert truths("effusion|fracture") == [1, 0, 1] and truths("nothing") == [0, 0, 0]
    assert truths("effusion|asthma") is None and truths("?") == [BLANK] * 3
    assert FindingsTask(contract).said(np.array([contract.judge(word) for word in ("oedema", "nothing", "?")])) == [
        "oedema", "none", None
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([{"name": "a", "column": "a"}], "two or more"),
        ([{"name": "a", "column": "a"}, {"name": "b"}], "a column each"),
        ([{"name": "a", "column": "a"}, {"name": "b", "column": "a"}], "one column"),
        ([{"name": "a", "column": "a"}, {"name": "a", "column": "b"}], "one name twice"),
        ([{"name": str(k), "column": str(k)} for k in range(16)], "at most 15"),
    ],
)
def test_a_contract_of_findings_that_contradicts_itself_is_refused(found: list[dict[str, Any]], said: str) -> None:
    """It is agreed before any record is read."""
    with pytest.raises(ValidationError, match=said):
        LabelContract.model_validate_json(json.dumps({"kind": "findings", "task": {"findings": found}}))
