"""One of several classes: k numbers for a record, their softmax is the chances, the likeliest is the answer.

Two classes are a yes or no: the difference of the two numbers is its logit, and losses and figures are the same.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.paired import paired_accuracy
from wardround.tasks.classes.chances import against_the_rest, log_chances, with_votes
from wardround.tasks.classes.figures import check, few, losses, measure, most_added, shapes_of, sums_of
from wardround.tasks.classes.words import keys_of, words_of
from wardround.tasks.classes.worth import worth_of
from wardround.tasks.protocol import REPLICATES, Chart, DecisionTable, Figures, FigureTable, Floats, PairedDifference, Words
from wardround.tasks.shared.confusion import table_of
from wardround.tasks.shared.drawings import MOST_CURVES, confidence_chart, curve_of
from wardround.tasks.shared.outputs import usable
from wardround.tasks.shared.paired_means import paired_mean_auc
from wardround.tasks.shared.score_stack import BLANK, mean_auc, part, parts
from wardround.tasks.sums import Sums, packed, unpacked
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

FEWEST = 10


class ClassesTask:
    """See `wardround.tasks.protocol.Task`."""

    headline = "macro_auc"
    bigger_is_better = True

    def __init__(self, label: LabelContract) -> None:
        self.names = tuple(one.name for one in label.asked.classes)
        self.shares = tuple(one.share for one in label.asked.classes if one.share is not None)

    @property
    def outputs(self) -> int:
        return len(self.names)

    @cached_property
    def shapes(self) -> Shapes:
        return shapes_of(len(self.names))

    @cached_property
    def most_added(self) -> Mapping[str, int]:
        return most_added(len(self.names))

    @cached_property
    def words(self) -> Words:
        return words_of(self.names)

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return {key: int((labels == position).sum()) for position, key in enumerate(keys_of(self.names))}

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Class by class, and then blank ones."""
        return np.where(labels == BLANK, len(self.names), labels).astype(np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """(n, k): 1 for the class, zeros for a blank."""
        return np.asarray(labels[:, None] == np.arange(len(self.names)), np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        return rng.integers(BLANK, len(self.names), n).astype(np.int8)

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        from wardround.tasks.classes.loss import row_loss

        return row_loss(training, labels, len(self.names), self.shares)

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The probability of each class."""
        return outputs.softmax(1)

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        """file_outputs: probabilities (n, k)."""
        columns = {f"probability of {name}": file_outputs[:, position] for position, name in enumerate(self.names)}
        return {**columns, "answer": np.array(self.names)[file_outputs.argmax(axis=1)]}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        return [None if label == BLANK else self.names[label] for label in labels.tolist()]

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        return losses(outputs, labels)

    def votes(self, labels: NDArray[Any]) -> Floats:
        """1 for the class that it is."""
        return self.targets(labels).astype(np.float64)

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        return with_votes(usable(outputs), votes, voters, share)

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        counted = votes * voters.unsqueeze(1)
        chances = (counted + 1.0 / len(self.names)) / (counted.sum(1, keepdim=True) + 1.0)
        return (share * chances + (1.0 - share) * outputs.softmax(1)).log()

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        return sums_of(np.asarray(outputs).reshape(len(labels), len(self.names)), labels)

    def check(self, sums: Sums) -> None:
        check(sums)

    def records(self, sums: Sums) -> int:
        return int(sums["confusion"].sum())

    def pack(self, sums: Sums) -> dict[str, Any]:
        return packed(sums)

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return unpacked(value, self.shapes)

    def score(self, sums: Sums) -> float:
        return mean_auc(parts(sums))[0]

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """The likeliest class is the answer: there is nothing to choose."""
        return None

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        return measure(sums, keys_of(self.names), replicates)

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        """Each class against the rest; and whether the first model's confidence can be taken at its word."""
        curves = [
            curve_of(key, name, {model: part(one, position) for model, one in sums.items()})
            for position, (key, name) in enumerate(zip(keys_of(self.names)[:MOST_CURVES], self.names, strict=False))
        ]
        calibration = confidence_chart(
            "confidence",
            "probability of the answer",
            "share of right answers",
            "When the model gives its answer 70 %, is it right 7 times in 10? Points on the diagonal are. 15 bins, "
            "95 % intervals.",
            {model: one["confidence"] for model, one in sums.items()},
        )
        return tuple(chart for chart in (*curves, calibration) if chart is not None)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        if not self.records(sums):
            return None
        return table_of(sums["confusion"], self.names, ("The answer is the likeliest class.",))

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        return worth_of({name: sums for name, (sums, _) in models.items()}, self.names)

    def few(self, sums: Sums) -> bool:
        return few(sums, FEWEST)

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        known_rows = labels != BLANK
        first, second = (usable(each)[known_rows] for each in outputs)
        truth = labels[known_rows].astype(np.int64)
        truths = (truth[:, None] == np.arange(len(self.names))).astype(np.int64)
        right = [log_chances(each).argmax(axis=1) == truth for each in (first, second)]
        return {
            "macro_auc": paired_mean_auc(against_the_rest(first), against_the_rest(second), truths),
            "accuracy": paired_accuracy(right[0], right[1]),
        }
