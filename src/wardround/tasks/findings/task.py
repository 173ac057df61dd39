"""Several findings, each a yes or no of its own with blanks: k logits for a record."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.figures import is_positive
from wardround.tasks.binary.score_sums import cross_entropy
from wardround.tasks.binary.threshold import HALF, chosen_by_rule
from wardround.tasks.binary.voting import with_votes
from wardround.tasks.findings.figures import figures_of
from wardround.tasks.findings.label import codes_of, truths_of
from wardround.tasks.findings.words import keys_of, threshold_keys, words_of
from wardround.tasks.findings.worth import decision_table, worth_of
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
from wardround.tasks.shared.drawings import MOST_CURVES, confidence_chart, curve_of
from wardround.tasks.shared.errors import paired_by_record
from wardround.tasks.shared.outputs import usable
from wardround.tasks.shared.paired_means import paired_mean_auc
from wardround.tasks.shared.score_stack import BLANK, mean_auc, part, parts, stack_most_added, stack_shapes, stacked
from wardround.tasks.sums import Sums, impossible, packed, unpacked
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

FEWEST = 10


class FindingsTask:
    """See `wardround.tasks.protocol.Task`."""

    headline = "macro_auc"
    bigger_is_better = True

    def __init__(self, label: LabelContract) -> None:
        self.names = tuple(one.name for one in label.asked.findings)

    @property
    def outputs(self) -> int:
        return len(self.names)

    @cached_property
    def shapes(self) -> Shapes:
        """records (): those of whom anything is known. The others: each finding, as `score_stack` has them."""
        return {"records": (), **stack_shapes(len(self.names))}

    @cached_property
    def most_added(self) -> Mapping[str, int]:
        return {"records": 1, **stack_most_added(len(self.names))}

    @cached_property
    def words(self) -> Words:
        return words_of(self.names)

    def _truths(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        return truths_of(labels, len(self.names))

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return dict(zip(keys_of(self.names), (self._truths(labels) == 1).sum(axis=0).tolist(), strict=True))

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """By how many findings there are: none, one, two, more."""
        return np.asarray(np.minimum((self._truths(labels) == 1).sum(axis=1), 3), np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """(n, 2k): yeses, then whether each finding is known."""
        truths = self._truths(labels)
        return np.concatenate([truths == 1, truths != BLANK], axis=1).astype(np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        return codes_of(rng.integers(BLANK, 2, (n, len(self.names))))

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        from wardround.tasks.findings.loss import row_loss

        return row_loss(training, len(self.names))

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """The probability of each finding."""
        return outputs.sigmoid()

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        """file_outputs: probabilities (n, k). No answers without thresholds, as in models of earlier releases."""
        chances = {f"probability of {name}": file_outputs[:, position] for position, name in enumerate(self.names)}
        if decision is None:
            return chances
        yes = [is_positive(_logits(file_outputs[:, k]), cut) for k, cut in enumerate(self._cuts(decision))]
        return chances | {f"answer of {name}": np.where(one, "yes", "no") for name, one in zip(self.names, yes, strict=True)}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        """The findings that are there; None where nothing is known."""
        words = ["|".join(name for name, one in zip(self.names, row, strict=True) if one == 1) for row in self._truths(labels)]
        known_rows = (self._truths(labels) != BLANK).any(axis=1)
        return [(word or "none") if there else None for word, there in zip(words, known_rows.tolist(), strict=True)]

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        """The mean cross-entropy of the findings that are known; 0 where none is."""
        truths = self._truths(labels)
        known_rows = truths != BLANK
        cost = np.where(known_rows, cross_entropy(usable(outputs), np.where(known_rows, truths, 0)), 0.0)
        return np.asarray(cost.sum(axis=1) / np.maximum(known_rows.sum(axis=1), 1))

    def votes(self, labels: NDArray[Any]) -> Floats:
        """Yeses, and which findings are known."""
        return self.targets(labels).astype(np.float64)

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        """Finding by finding, by those voters who know it."""
        logits, mixed = usable(outputs), usable(outputs).copy()
        for position in range(len(self.names)):
            known_shares = votes[:, len(self.names) + position]
            told = known_shares > 0
            shares = votes[told, position] / known_shares[told]
            mixed[told, position] = with_votes(logits[told, position], shares, known_shares[told] * voters[told], share)
        return mixed

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        known_votes = votes[:, len(self.names) :] * voters.unsqueeze(1)
        told = (known_votes > 0).to(outputs.dtype)
        chances = (votes[:, : len(self.names)] * voters.unsqueeze(1) + 0.5) / (known_votes + 1.0)
        yes = share * chances + (1.0 - share) * outputs.sigmoid()
        no = share * (1.0 - chances) + (1.0 - share) * (-outputs).sigmoid()
        return told * (yes.log() - no.log()) + (1.0 - told) * outputs

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        truths = self._truths(labels)
        logits = usable(np.asarray(outputs).reshape(len(labels), len(self.names)))
        records = int((truths != BLANK).any(axis=1).sum())
        return Sums({"records": np.asarray(records), **stacked(logits, truths)})

    def check(self, sums: Sums) -> None:
        each = parts(sums)
        for one in each:
            one.check()
        counts = [one.n for one in each]
        if not max(counts) <= sums["records"] <= sum(counts):
            raise impossible("as many records as findings are known of", "others")

    def records(self, sums: Sums) -> int:
        return int(sums["records"])

    def pack(self, sums: Sums) -> dict[str, Any]:
        return packed(sums)

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return unpacked(value, self.shapes)

    def score(self, sums: Sums) -> float:
        return mean_auc(parts(sums))[0]

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """A threshold of each finding, in order: one for all would find nobody of a rare one."""
        return tuple(
            chosen_by_rule(rule, {split: part(one, position) for split, one in sums.items()})
            for position in range(len(self.names))
        )

    def _cuts(self, decision: Decision) -> tuple[float, ...]:
        """One for each finding; HALF where none was chosen, as in models of earlier releases."""
        if decision is None:
            return (HALF,) * len(self.names)
        if not isinstance(decision, tuple) or len(decision) != len(self.names):
            raise ValueError(f"{len(self.names)} findings have a threshold each, not {decision}")
        return decision

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        cuts = dict(zip(threshold_keys(self.names), self._cuts(decision), strict=True))
        return figures_of(parts(sums), cuts, self.records(sums), keys_of(self.names), replicates)

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        """Each finding; calibration of all findings of the first model together."""
        curves = [
            curve_of(key, name, {model: part(one, position) for model, one in sums.items()})
            for position, (key, name) in enumerate(zip(keys_of(self.names)[:MOST_CURVES], self.names, strict=False))
        ]
        calibration = confidence_chart(
            "calibration",
            "probability of a finding",
            "share that has it",
            "All findings together: when the model says 70 %, is it right 7 times in 10? 15 bins, 95 % intervals as "
            "if the findings were of different records.",
            {model: one["calibration"].sum(axis=0) for model, one in sums.items()},
        )
        return tuple(chart for chart in (*curves, calibration) if chart is not None)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        return None if decision is None else decision_table(self.names, parts(sums), self._cuts(decision))

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        """Finding by finding: AUC; found and rightly cleared."""
        if not models or not all(self.records(sums) for sums, _ in models.values()):
            return ()
        return worth_of(self.names, {model: (parts(sums), self._cuts(cuts)) for model, (sums, cuts) in models.items()})

    def few(self, sums: Sums) -> bool:
        return not any(min(one.positives, one.negatives) >= FEWEST for one in parts(sums))

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        truths = self._truths(labels)
        known_rows = (truths != BLANK).any(axis=1)
        first, second = (usable(each)[known_rows] for each in outputs)
        cost = [self.losses(each, labels[known_rows]) for each in (first, second)]
        return {
            "macro_auc": paired_mean_auc(first, second, truths[known_rows]),
            "log_loss": paired_by_record(cost[1] - cost[0], 1.0),
        }


def _logits(chances: Floats) -> Floats:
    """Of probabilities; those that float32 rounded to 0 or 1 lie in the first and the last bin."""
    inside = np.clip(chances, 1e-12, 1.0 - 1e-12)
    return np.asarray(np.log(inside) - np.log1p(-inside))
