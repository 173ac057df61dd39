"""One of several grades in order: one score for a record, cuts that all records share, and labels that may leave a grade open."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.figures import auc, auc_interval
from wardround.tasks.binary.paired import paired_accuracy
from wardround.tasks.grades.chances import with_votes
from wardround.tasks.grades.figures import check, losses, mean_loss, measure, most_added, records, rounded, shapes_of, sums_of
from wardround.tasks.grades.label import may_be, names_of, sides
from wardround.tasks.grades.words import keys_of, words_of
from wardround.tasks.protocol import REPLICATES, Chart, DecisionTable, Figures, FigureTable, Floats, PairedDifference, Words
from wardround.tasks.shared.confusion import table_of
from wardround.tasks.shared.drawings import MOST_CURVES, confidence_chart, curve_of
from wardround.tasks.shared.errors import paired_by_record
from wardround.tasks.shared.outputs import usable
from wardround.tasks.shared.score_stack import BLANK, part
from wardround.tasks.sums import Sums, packed, unpacked
from wardround.values.head_outputs import Ordered
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

FEWEST = 10


class GradesTask:
    """See `wardround.tasks.protocol.Task`."""

    headline = "log_loss"
    bigger_is_better = False

    def __init__(self, label: LabelContract) -> None:
        self.names, self.between = names_of(label), bool(label.asked.between)
        self._said, self._may_be = tuple(name for name, _ in sides(label)), may_be(label)

    @property
    def outputs(self) -> int:
        return Ordered(len(self.names) - 1)

    @cached_property
    def shapes(self) -> Shapes:
        return shapes_of(len(self.names))

    @cached_property
    def most_added(self) -> Mapping[str, int]:
        return most_added(len(self.names))

    @cached_property
    def words(self) -> Words:
        return words_of(self.names, between=self.between)

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        counts = [int((labels == position).sum()) for position in range(len(self.names))]
        return dict(
            zip(keys_of(self.names, between=self.between), [*counts, int((labels >= len(self.names)).sum())], strict=False)
        )

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Grade by grade, then those between, then blank ones."""
        return np.where(labels == BLANK, len(self._said), labels).astype(np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """(n, k): 1 for each grade that it may be, zeros for a blank."""
        return np.asarray(self._may_be[labels], np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        return rng.integers(BLANK, len(self._said), n).astype(np.int8)

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        from wardround.tasks.grades.loss import row_loss

        return row_loss

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The probability of each grade: of lying beyond the one before it, less that of lying beyond itself."""
        import torch

        beyond = outputs.sigmoid()
        middle = (beyond[:, :-1] - beyond[:, 1:]).clamp(min=0.0)
        return torch.cat([1.0 - beyond[:, :1], middle, beyond[:, -1:]], dim=1)

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        """file_outputs: probabilities (n, k)."""
        columns = {f"probability of {name}": file_outputs[:, position] for position, name in enumerate(self.names)}
        mean = (file_outputs * np.arange(len(self.names))).sum(axis=1) / file_outputs.sum(axis=1)
        unanswered = np.isnan(mean)  # a record that the contract leaves out
        position = np.floor(np.where(unanswered, 0.0, mean) + 0.5).astype(np.int64)
        return {**columns, "answer": np.where(unanswered, "", np.array(self.names)[position])}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        return [None if label == BLANK else self._said[label] for label in labels.tolist()]

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        return losses(usable(outputs), self._may_be[labels])

    def votes(self, labels: NDArray[Any]) -> Floats:
        """1 for the grade that it is; of several that it may be an equal share for each."""
        rows = self._may_be[labels].astype(np.float64)
        return np.asarray(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1.0))

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        return with_votes(usable(outputs), votes, voters, share)

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        counted = votes * voters.unsqueeze(1)
        chances = (counted + 1.0 / len(self.names)) / (counted.sum(1, keepdim=True) + 1.0)
        mixed = share * chances + (1.0 - share) * self.shown(outputs)
        beyond, below = mixed.flip(1).cumsum(1).flip(1), mixed.cumsum(1)
        return beyond[:, 1:].log() - below[:, :-1].log()

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        return sums_of(usable(np.asarray(outputs).reshape(len(labels), self.outputs)), self._may_be[labels])

    def check(self, sums: Sums) -> None:
        check(sums)

    def records(self, sums: Sums) -> int:
        return records(sums)

    def pack(self, sums: Sums) -> dict[str, Any]:
        return packed(sums)

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return unpacked(value, self.shapes)

    def score(self, sums: Sums) -> float:
        return mean_loss(sums)[0]

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """The rounded mean is the answer: there is nothing to choose."""
        return None

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        return measure(sums, keys_of(self.names, between=self.between), replicates)

    @property
    def _cuts(self) -> tuple[str, ...]:
        return tuple(f"beyond grade {name}" for name in self.names[:-1])

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        """Each cut as a yes or no; calibration of all cuts of the first model together."""
        curves = [
            curve_of(f"cut_{position + 1}", name, {model: part(one, position) for model, one in sums.items()})
            for position, name in enumerate(self._cuts[:MOST_CURVES])
        ]
        calibration = confidence_chart(
            "calibration",
            "probability of lying beyond a grade",
            "share that does",
            "All cuts between grades together: when the model says 70 % beyond, is it right 7 times in 10? 15 bins, "
            "95 % intervals as if the cuts were different records.",
            {model: one["calibration"].sum(axis=0) for model, one in sums.items()},
        )
        return tuple(chart for chart in (*curves, calibration) if chart is not None)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        if not int(sums["answers"].sum()):
            return None
        return table_of(sums["answers"], self.names, ("The answer is the mean grade by the model's probabilities, rounded.",))

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        """How well each cut is told."""
        if not models or not all(records(sums) for sums, _ in models.values()):
            return ()
        cells = [[part(sums, position) for sums, _ in models.values()] for position in range(len(self._cuts))]
        rows = tuple(
            (name, tuple((auc(one), auc_interval(one)) for one in row)) for name, row in zip(self._cuts, cells, strict=True)
        )
        return (FigureTable(key="cuts", title="How well each cut is told: AUC", form="number", columns=tuple(models), rows=rows),)

    def few(self, sums: Sums) -> bool:
        return records(sums) < FEWEST

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        rows = self._may_be[labels]
        known_rows, exact = rows.any(axis=1), rows.sum(axis=1) == 1
        first, second = (usable(each) for each in outputs)
        right = [rounded(each[exact]) == rows[exact].argmax(axis=1) for each in (first, second)]
        return {
            "log_loss": paired_by_record(
                losses(second[known_rows], rows[known_rows]) - losses(first[known_rows], rows[known_rows]), 1.0
            ),
            "accuracy": paired_accuracy(right[0], right[1]),
        }
