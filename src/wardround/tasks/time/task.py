"""The time to an event: a hazard for each interval of a public grid, and survival at public horizons."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary.score_sums import ONE
from wardround.tasks.intervals import UNDEFINED, Z
from wardround.tasks.protocol import (
    REPLICATES,
    Chart,
    DecisionTable,
    Dots,
    Estimate,
    Figures,
    FigureTable,
    Floats,
    PairedDifference,
    Words,
)
from wardround.tasks.shared.errors import paired_by_record
from wardround.tasks.shared.outputs import usable
from wardround.tasks.sums import Sums, packed, unpacked
from wardround.tasks.time.figures import (
    GROUPS,
    Grid,
    alive_at,
    check,
    concordance,
    losses,
    measure,
    paired_concordance,
    risk_bins,
    sums_of,
)
from wardround.tasks.time.label import BLANK, ticks_of
from wardround.tasks.time.survival import with_votes
from wardround.tasks.time.words import words_of
from wardround.values.head_outputs import SharedScore
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

FEWEST = 10


class TimeTask:
    """See `wardround.tasks.protocol.Task`."""

    headline = "c_index"
    bigger_is_better = True

    def __init__(self, label: LabelContract) -> None:
        asked = label.asked
        intervals = len(asked.grid) - 1
        self.proportional, self.event = asked.hazards == "proportional", label.name
        self.grid = Grid(intervals, ticks_of(intervals), tuple(asked.grid.index(horizon) for horizon in asked.horizons))
        self.horizons = tuple(f"{horizon:g} {asked.unit}".strip() for horizon in asked.horizons)

    @property
    def outputs(self) -> int:
        """With proportional hazards one score, and an offset for each interval."""
        return SharedScore(self.grid.intervals) if self.proportional else self.grid.intervals

    @cached_property
    def shapes(self) -> Shapes:
        return self.grid.shapes

    @cached_property
    def most_added(self) -> Mapping[str, int]:
        return self.grid.most_added

    @cached_property
    def words(self) -> Words:
        return words_of(self.event, self.horizons)

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        return {"events": int((_codes(labels) % 2 == 1).sum() - (_codes(labels) < 0).sum())}

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Without the event so far, with it, and blank ones."""
        codes = _codes(labels)
        return np.where(codes < 0, 2, codes % 2).astype(np.intp)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """(n, 2 j): the event, and the intervals that were lived through or ended by it; zeros for a blank."""
        return self.grid.targets(_codes(labels)).astype(np.float32)

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        return rng.integers(int(BLANK), 2 * self.grid.all_ticks + 1, n).astype(np.float32)

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        from wardround.tasks.time.loss import row_loss

        return row_loss(self.grid.intervals)

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """Survival at each horizon."""
        import torch

        summed, columns = torch.zeros_like(outputs[:, 0]), []
        for position in range(self.grid.intervals):
            summed = summed + torch.nn.functional.softplus(outputs[:, position])
            columns.append((-summed).exp())
        answers = torch.stack([columns[horizon - 1] for horizon in self.grid.horizons], dim=1)
        return answers if len(self.horizons) > 1 else answers[:, 0]

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        """file_outputs: survival at each horizon."""
        columns = file_outputs.reshape(len(file_outputs), len(self.horizons))
        return {name: columns[:, position] for position, name in enumerate(self.words.outputs)}

    def said(self, labels: NDArray[Any]) -> list[Any]:
        """Whether the event was seen, and in which interval of the grid."""
        words = []
        for code in _codes(labels).tolist():
            interval = min(code // 2 // self.grid.ticks, self.grid.intervals - 1) + 1
            words.append(None if code < 0 else f"{'event' if code % 2 else 'no event so far'}, interval {interval}")
        return words

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        return losses(usable(outputs), _codes(labels), self.grid)

    def votes(self, labels: NDArray[Any]) -> Floats:
        """As targets: whose mean over records is a hazard, as events among those who came so far."""
        return self.grid.targets(_codes(labels))

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        return with_votes(usable(outputs), votes, voters, share)

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        counted = votes * voters.unsqueeze(1)
        event, there = counted[:, : self.grid.intervals], counted[:, self.grid.intervals :]
        voted = (event + 0.5) / (there + 1.0)
        yes = share * voted + (1.0 - share) * outputs.sigmoid()
        no = share * (1.0 - voted) + (1.0 - share) * (-outputs).sigmoid()
        told = (there > 0).to(outputs.dtype)
        mixed: torch.Tensor = told * (yes.log() - no.log()) + (1.0 - told) * outputs
        return mixed

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        codes = _codes(labels)
        logits = usable(np.asarray(outputs).reshape(len(labels), self.grid.intervals))
        return sums_of(logits[codes >= 0], codes[codes >= 0], self.grid)

    def check(self, sums: Sums) -> None:
        check(sums, self.grid)

    def records(self, sums: Sums) -> int:
        return int(sums["when"].sum())

    def pack(self, sums: Sums) -> dict[str, Any]:
        return packed(sums)

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        return unpacked(value, self.shapes)

    def score(self, sums: Sums) -> float:
        return concordance(sums["when"])[0]

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """A chance of survival is no decision."""
        return None

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        return measure(sums, self.grid)

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        """Calibration of the first model at each horizon."""
        if not sums or not self.records(next(iter(sums.values()))):
            return ()
        model, first = next(iter(sums.items()))
        return tuple(
            Chart(
                key=f"calibration_{position + 1}",
                x=f"chance of {self.event} by {horizon}",
                y="share with it (Kaplan-Meier)",
                label=f"Calibration of the {model} model at {horizon}",
                caption=f"Where the model gives a chance by {horizon}, how many have had it by then? 10 bins, 95 % intervals.",
                dots=self._dots(first, position),
                diagonal=True,
            )
            for position, horizon in enumerate(self.horizons)
        )

    def _dots(self, sums: Sums, position: int) -> Dots:
        """Of the bins of the chance that hold records."""
        tick, rows = self.grid.horizons[position] * self.grid.ticks, []
        for group in range(GROUPS):
            when = sums["by_chance"][position, group]
            if count := int(when.sum()):
                alive, (low, high) = alive_at(when, tick)
                ends = (alive, alive) if math.isnan(low) else (low, high)
                rows.append((float(sums["chance"][position, group]) / ONE / count, 1 - alive, 1 - ends[1], 1 - ends[0]))
        x, y, lows, highs = (tuple(column) for column in zip(*rows, strict=True))
        return Dots(x=x, y=y, low=lows, high=highs)

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        return None

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        """The chance that the models give by each horizon, beside the share that has had the event."""
        if not models or not all(self.records(sums) for sums, _ in models.values()):
            return ()
        figures = {name: measure(sums, self.grid) for name, (sums, _) in models.items()}
        first = next(iter(figures.values()))
        rows: list[tuple[str, tuple[Estimate, ...]]] = []
        for position, horizon in enumerate(self.horizons, 1):
            seen = first.values[f"observed_{position}"], first.intervals[f"observed_{position}"]
            rows.append((f"by {horizon}", (*((one.values[f"said_{position}"], UNDEFINED) for one in figures.values()), seen)))
        return (
            FigureTable(
                key="horizons",
                title=f"How many have {self.event}, said and seen",
                form="percent",
                columns=(*(f"said, {name}" for name in figures), "seen (Kaplan-Meier)"),
                rows=tuple(rows),
            ),
        )

    def few(self, sums: Sums) -> bool:
        return int(sums["when"][1].sum()) < FEWEST

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        codes = _codes(labels)
        known_rows = codes >= 0
        first, second = (usable(each)[known_rows] for each in outputs)
        cost = [losses(each, codes[known_rows], self.grid) for each in (first, second)]
        ticks = self.grid.all_ticks
        change, error, discordant = paired_concordance(risk_bins(first), risk_bins(second), codes[known_rows], ticks)
        return {
            "c_index": _tested(change, error, int(known_rows.sum()), discordant),
            "log_loss": paired_by_record(cost[1] - cost[0], 1.0),
        }


def _codes(labels: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(labels, np.float64).astype(np.int64)


def _tested(change: float, error: float, n: int, discordant: int) -> PairedDifference:
    if math.isnan(change):
        return PairedDifference(math.nan, UNDEFINED, math.nan, n, 0)
    if not discordant or error == 0.0:
        return PairedDifference(change, UNDEFINED, 1.0 if not discordant else math.nan, n, discordant)
    return PairedDifference(
        change, (change - Z * error, change + Z * error), math.erfc(abs(change) / error / math.sqrt(2)), n, discordant
    )
