"""Yes or no: one logit for a record, labels 0 and 1, judged by the AUC, decided by a threshold of the probability."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.charts import charts_of, decision_table
from wardround.tasks.binary.figures import auc, edge_of, is_positive, measure
from wardround.tasks.binary.paired import paired_accuracy, paired_auc
from wardround.tasks.binary.score_sums import BINS, MOST_ADDED, SHAPES, ScoreSums, bin_of, cross_entropy, probability
from wardround.tasks.binary.threshold import chosen_by_rule, cut_of
from wardround.tasks.binary.voting import smoothed, with_votes
from wardround.tasks.binary.words import words_of
from wardround.tasks.binary.worth import worth_of
from wardround.tasks.protocol import REPLICATES, Chart, DecisionTable, Figures, FigureTable, Floats, PairedDifference, Words
from wardround.tasks.sums import Sums, counts_of_json, filled, impossible, spread
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

FEWEST = 10
"""With fewer records of a class, one patient moves the AUC by more than most models differ."""
_PACKED = ("bins", "negatives", "positives", "calibration", "brier", "loss")


class BinaryTask:
    """See `wardround.tasks.protocol.Task`."""

    outputs = 1
    headline = "auc"
    bigger_is_better = True
    shapes: Shapes = SHAPES

    most_added = MOST_ADDED

    def __init__(self, label: LabelContract) -> None:
        self.label = label

    @property
    def finding(self) -> str:
        """What a yes means, as the study calls it."""
        return "the finding" if self.label.name == type(self.label).model_fields["name"].default else self.label.name

    @property
    def words(self) -> Words:
        return words_of(self.finding)

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return {"positives": int(labels.sum())}

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Negative and positive records."""
        return labels.astype(np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """0 and 1."""
        return labels.astype(np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        return rng.integers(0, 2, n).astype(np.int8)

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        from wardround.tasks.binary.loss import row_loss

        return row_loss(training, labels)

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The probability of a yes."""
        return outputs.sigmoid()

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        """file_outputs: logits."""
        positive = is_positive(file_outputs, cut_of(decision))
        return {"probability": probability(file_outputs), "answer": positive.astype(np.int8)}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        return list(labels.tolist())

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        """Cross-entropy, as the sums hold it."""
        return cross_entropy(np.asarray(outputs, np.float64), labels)

    def votes(self, labels: NDArray[Any]) -> Floats:
        """1 for a yes, 0 for a no."""
        return np.asarray(labels, np.float64)[:, None]

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        return with_votes(np.asarray(outputs, np.float64), votes[:, 0], voters, share)

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        chances = smoothed(votes[:, 0], voters)
        yes = share * chances + (1.0 - share) * outputs.sigmoid()
        no = share * (1.0 - chances) + (1.0 - share) * (-outputs).sigmoid()
        return yes.log() - no.log()

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        return ScoreSums.from_scores(outputs, labels).as_sums()

    def check(self, sums: Sums) -> None:
        ScoreSums.of(sums).check()

    def records(self, sums: Sums) -> int:
        return ScoreSums.of(sums).n

    def pack(self, sums: Sums) -> dict[str, Any]:
        """Of the histogram the filled bins alone, class by class."""
        scores = ScoreSums.of(sums)
        negatives, positives = (filled(row) for row in scores.histogram)
        return {
            "bins": BINS,
            "negatives": negatives,
            "positives": positives,
            "calibration": scores.calibration.tolist(),
            "brier": int(scores.brier),
            "loss": int(scores.loss),
        }

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        if sorted(value) != sorted(_PACKED) or value["bins"] != BINS:
            raise impossible(f"{', '.join(_PACKED)}, in {BINS} bins", ", ".join(sorted(value)) or "nothing")
        histogram = np.stack([spread(value[side], BINS) for side in ("negatives", "positives")])
        others = counts_of_json({name: value[name] for name in ("calibration", "brier", "loss")})
        return {"histogram": histogram, **others, "calibration": others["calibration"].reshape(-1, 3)}

    def score(self, sums: Sums) -> float:
        return auc(ScoreSums.of(sums))

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """By the study's rule; 0.5 where validation holds one class only, since there is nothing to choose by."""
        return chosen_by_rule(rule, {split: ScoreSums.of(one) for split, one in sums.items()})

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        return measure(ScoreSums.of(sums), cut_of(decision), replicates=replicates)

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        return charts_of({name: ScoreSums.of(one) for name, one in sums.items()}, self.finding)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        return None if decision is None else decision_table(ScoreSums.of(sums), cut_of(decision), self.finding)

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        """Calibration, whole people, and predictive values at other shares of ill people."""
        return worth_of({name: (ScoreSums.of(sums), cut_of(cut)) for name, (sums, cut) in models.items()}, self.finding)

    def few(self, sums: Sums) -> bool:
        scores = ScoreSums.of(sums)
        return min(scores.positives, scores.negatives) < FEWEST

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        """On the same bins as the figures, so that each difference is that of the figures."""
        first, second = (bin_of(np.asarray(scores, np.float64)) for scores in outputs)
        right = [(bins >= edge_of(cut_of(cut))) == (labels == 1) for bins, cut in zip((first, second), decisions, strict=True)]
        return {
            "auc": paired_auc(first.astype(np.float64), second.astype(np.float64), labels),
            "accuracy": paired_accuracy(right[0], right[1]),
        }
