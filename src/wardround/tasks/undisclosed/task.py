"""The task of a study that keeps its hospitals' questions at the hospitals: nothing is summed, and nothing is judged."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.protocol import (
    REPLICATES,
    Chart,
    DecisionTable,
    Figures,
    FigureTable,
    Floats,
    PairedDifference,
    Words,
)
from wardround.tasks.sums import Sums
from wardround.values.errors import StudyError
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

WORDS = Words(
    names={"log_loss": "Loss"},
    in_text={"log_loss": "loss"},
    headline="a loss",
    tiles=(),
    judged=(),
    compared=("log_loss",),
    counted={},
    counted_in_text={},
    decision=None,
    outputs=(),
    output_words="No answer by itself: what it makes of a record is for the last layer that each hospital keeps.",
    task_type="feature-extraction",
    measures=(
        "None that is shared: each hospital judges the network with its own last layer, on its own question, in its own report.",
    ),
)


class UndisclosedTask:
    """See `wardround.tasks.protocol.Task`. Whatever would need a question raises StudyError."""

    outputs = 1
    headline = "log_loss"
    bigger_is_better = False
    words = WORDS

    def __init__(self, label: LabelContract) -> None:
        pass

    @property
    def shapes(self) -> Shapes:
        return {}

    @property
    def most_added(self) -> Mapping[str, int]:
        return {}

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return {}

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        return np.zeros(len(labels), np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        _refuse()

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        _refuse()

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        _refuse()

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        _refuse()

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        _refuse()

    def said(self, labels: NDArray[Any]) -> list[Any]:
        _refuse()

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        _refuse()

    def votes(self, labels: NDArray[Any]) -> Floats:
        _refuse()

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        _refuse()

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        _refuse()

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        return Sums({})

    def check(self, sums: Sums) -> None:
        pass

    def records(self, sums: Sums) -> int:
        return 0

    def pack(self, sums: Sums) -> dict[str, Any]:
        return {}

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return {}

    def score(self, sums: Sums) -> float:
        return math.nan

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        return None

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        return Figures({"log_loss": math.nan, "n": 0.0}, {})

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        return ()

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        return None

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        return ()

    def few(self, sums: Sums) -> bool:
        return True

    def paired(
        self,
        outputs: tuple[NDArray[Any], NDArray[Any]],
        labels: NDArray[Any],
        decisions: tuple[Decision, Decision],
    ) -> dict[str, PairedDifference]:
        return {}


def _refuse() -> NoReturn:
    raise StudyError(
        "The study keeps each hospital's question at the hospital, and this needs one",
        expected="the study at home: the shared one with a hospital's own task",
        hint="at a hospital, name its task file; see docs/private-heads.md",
    )
