"""What a kind of question is to the rest of the house: one object that every other room asks.

    labels --target, row_loss--> training          outputs, labels --sums--> Sums --score, decide, figures--> record
    Sums --charts, decision_table, words--> report, model card, tables, ONNX

A new kind is one file with a class like this and one line in `wardround.tasks`. tests/tasks/task_conformance.py holds the laws.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wardround.study.sections.evaluation import Decision
from wardround.study.sections.training import TrainingSection
from wardround.tasks.sums import Sums
from wardround.values.tree import Shapes

if TYPE_CHECKING:
    import torch

Interval = tuple[float, float]
Floats = NDArray[np.float64]
REPLICATES = 400
"""Replicates of a bootstrapped interval."""


@dataclass(frozen=True)
class Figures:
    """values: every figure by its key, `n` (records) among them. intervals: 95 % (low, high) of those that are estimates.

    What a figure needs and the records do not hold is NaN, in values and in intervals alike.
    """

    values: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class PairedDifference:
    """Two models on the same patients: the second's figure less the first's.

    difference, interval: of the figure, 95 %. p_value: two-sided, of no difference. n: records. discordant: records that the two
    models treat differently. All but n and discordant are NaN where the records cannot say.
    """

    difference: float
    interval: Interval
    p_value: float
    n: int
    discordant: int


@dataclass(frozen=True)
class Dots:
    """Points of a chart, each with its 95 % interval."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """A drawing as data. x, y: what the axes show. lines: curves by the name of the model. diagonal: where perfection or chance
    lies. unit: whether both axes go from 0 to 1. label: the chart in words, for who cannot see it."""

    key: str
    x: str
    y: str
    label: str
    caption: str
    lines: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    dots: Dots | None = None
    diagonal: bool = False
    unit: bool = True


@dataclass(frozen=True)
class DecisionTable:
    """Counts of records by the truth (rows) and by what the model says (columns); each count with a word for it.

    notes: sentences about what an answer of the model is worth.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, str], ...]], ...]
    notes: tuple[str, ...] = ()


Estimate = tuple[float, Interval]
"""A figure and its interval; NaN where there is none."""


@dataclass(frozen=True)
class FigureTable:
    """Models side by side, as data. form: what the figures are. rows: a name, and an estimate for each column.

    notes: sentences below it.
    """

    key: str
    title: str
    form: Literal["percent", "count", "number"]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Estimate, ...]], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Words:
    """Names and words for tables, report, model card and ONNX.

    names: figure -> its name, in the order of tables; every figure but counts and the decision. in_text: the same inside a
    sentence. headline: with its article. tiles: the figures at the head of a report. judged: those shown of the federated
    model at each hospital. compared: those by which models are compared hospital by hospital, the headline first. counted:
    label count -> the head of its column; figures of the same keys count the evaluated records. counted_in_text: the same
    behind a number. decision: the key and the name of the decision among the figures; None where there is none, or several.
    decisions: of several, in the task's order, each key, its name, and what is decided there. outputs: of the ONNX file, by name.
    output_words: what they are, with {decision}. task_type: in the front matter of a model card.
    measures: sentences about the figures, the first with {decision}.
    """

    names: Mapping[str, str]
    in_text: Mapping[str, str]
    headline: str
    tiles: tuple[str, ...]
    judged: tuple[str, ...]
    compared: tuple[str, ...]
    counted: Mapping[str, str]
    counted_in_text: Mapping[str, str]
    decision: tuple[str, str] | None
    outputs: tuple[str, ...]
    output_words: str
    task_type: str
    measures: tuple[str, ...]
    decisions: tuple[tuple[str, str, str], ...] = ()

    @property
    def thresholds(self) -> tuple[tuple[str, str], ...]:
        """Key and name of whatever decides, one or several."""
        return tuple((key, name) for key, name, _ in self.decisions) if self.decision is None else (self.decision,)

    def decision_in(self, values: Mapping[str, float | None]) -> Decision:
        """The decision that figures were made at; None where there is none among them."""
        if self.decision is not None:
            return values.get(self.decision[0])
        cuts = [value for key, _, _ in self.decisions if (value := values.get(key)) is not None]
        return tuple(cuts) if cuts and len(cuts) == len(self.decisions) else None

    def shown_decision(self, decision: Decision, digits: int = 3) -> str:
        """A decision in words: the number, or each finding with its own; empty where there is none."""
        if isinstance(decision, tuple):
            named = zip(self.decisions, decision, strict=True)
            return ", ".join(f"{name} {value:.{digits}f}" for (_, _, name), value in named)
        return "" if decision is None else f"{decision:.{digits}f}"

    def output_of(self, decision: Decision) -> str:
        """What the output is, at a decision."""
        if isinstance(decision, tuple):
            return f"{self.output_words.format(decision='')} Called a yes at and above: {self.shown_decision(decision)}."
        return self.output_words.format(decision=self.shown_decision(decision) or "the threshold")


class Task(Protocol):
    """One kind of question, for one study. Made from the study's label section; it holds no state."""

    @property
    def outputs(self) -> int:
        """How many numbers a network's head gives for one record."""
        ...

    @property
    def shapes(self) -> Shapes:
        """The arrays of its sums, in the order in which they travel."""
        ...

    @property
    def most_added(self) -> Mapping[str, int]:
        """The most that one record adds to each of these arrays, all entries together: what one patient more can change."""
        ...

    @property
    def headline(self) -> str:
        """The key of the figure by which models are judged."""
        ...

    @property
    def bigger_is_better(self) -> bool:
        """Of the headline."""
        ...

    @property
    def words(self) -> Words: ...

    def count_labels(self, labels: NDArray[Any]) -> dict[str, int]:
        """What a site counts of its labels at the opening; the same keys for any labels."""
        ...

    def strata(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Each record's group, from 0 on: one data set is divided into hospitals so that all have alike shares of the groups."""
        ...

    def targets(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """What a loss compares outputs with, (n,) or (n, width): rows that can be mixed. A blank is a row of weight 0."""
        ...

    def drawn(self, rng: np.random.Generator, n: int) -> NDArray[Any]:
        """Labels of n made-up records, of every sort that the contract knows: for trials on no patient's data."""
        ...

    def row_loss(
        self, training: TrainingSection, labels: NDArray[Any] | None
    ) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
        """outputs (n,) or (n, outputs), targets (n, ...) float32 -> (n,): the loss of each row, from that row alone.

        A target may lie between two labels, since mixup mixes them. labels: of the site's training records, for settings that
        follow from them; None in a private study, where nothing but the row may count.
        """
        ...

    def shown(self, outputs: "torch.Tensor") -> "torch.Tensor":
        """What the ONNX file shows of a network's outputs: (n,), or (n, k) where `words.outputs` names k."""
        ...

    def answers(self, file_outputs: Floats, decision: Decision) -> Mapping[str, NDArray[Any]]:
        """The columns of an answer table, each (n,). file_outputs: what the ONNX file gives for n records, (n, k) or
        (n,); of a yes or no the number before its probability."""
        ...

    def said(self, labels: NDArray[Any]) -> list[Any]:
        """Labels as an answer table says them: a word, a number, None for a blank."""
        ...

    def losses(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Floats:
        """The proper loss of each record (n,), in nats where outputs stand for chances: least where the outputs are true. It
        knows no weights of classes and no smoothing."""
        ...

    def votes(self, labels: NDArray[Any]) -> Floats:
        """What each record whose answer is known says in a vote (n, voices): numbers whose mean over records is an answer to the
        question, as 1 for a yes and 0 for a no, or the number itself."""
        ...

    def with_votes(self, outputs: NDArray[Any], votes: Floats, voters: Floats, share: float) -> Floats:
        """Outputs that stand for 1 - share of what `outputs` stand for and `share` of a vote, mixed where answers can be meaned:
        as chances, and not before.

        votes: (n, voices), means of `votes` over some records; voters: (n,), how many those were. Finite where the outputs are:
        no number of voters makes sure of anything. share: above 0, at most 1.
        """
        ...

    def with_votes_in_torch(
        self, outputs: "torch.Tensor", votes: "torch.Tensor", voters: "torch.Tensor", share: float
    ) -> "torch.Tensor":
        """The same for the ONNX file, in torch's functions alone."""
        ...

    def sums(self, outputs: NDArray[Any], labels: NDArray[Any]) -> Sums:
        """Of n records. RunError where an output is not a number."""
        ...

    def check(self, sums: Sums) -> None:
        """WireError where no records have these sums."""
        ...

    def records(self, sums: Sums) -> int:
        """How many records were evaluated."""
        ...

    def pack(self, sums: Sums) -> dict[str, Any]:
        """The JSON form that a run record keeps."""
        ...

    def unpack(self, value: Mapping[str, Any]) -> dict[str, NDArray[np.int64]]:
        """The arrays of `pack`. WireError where it is no such form."""
        ...

    def score(self, sums: Sums) -> float:
        """The headline alone; NaN where the records cannot give it."""
        ...

    def decide(self, rule: str, sums: Mapping[str, Sums]) -> Decision:
        """By what an output becomes a decision, chosen on sums by split; None where the question has none.

        rule: `evaluation.threshold` of the study. sums: never those of test.
        """
        ...

    def figures(self, sums: Sums, decision: Decision, *, replicates: int = REPLICATES) -> Figures:
        """Every figure. replicates: 0 saves the time of bootstrapped intervals, which are then NaN."""
        ...

    def charts(self, sums: Mapping[str, Sums]) -> tuple[Chart, ...]:
        """Drawings of models by name, the one to be judged first; none that the sums cannot give."""
        ...

    def decision_table(self, sums: Sums, decision: Decision) -> DecisionTable | None:
        """What the model says against the truth; None where there is nothing to set against each other."""
        ...

    def worth(self, models: Mapping[str, tuple[Sums, Decision]]) -> tuple[FigureTable, ...]:
        """What the models' answers are worth to whoever acts on them; none that the sums cannot give.

        models: by name, sums on the same records and the decision.
        """
        ...

    def few(self, sums: Sums) -> bool:
        """Whether the headline rests on so few records that it says next to nothing."""
        ...

    def paired(
        self, outputs: tuple[NDArray[Any], NDArray[Any]], labels: NDArray[Any], decisions: tuple[Decision, Decision]
    ) -> dict[str, PairedDifference]:
        """Two models on the same records at one site, by figure; empty where the task has no such test."""
        ...


def read_sums(task: Task, counts: Mapping[str, NDArray[Any]]) -> Sums:
    """Sums that came from elsewhere. WireError where they cannot be the sums of any records."""
    sums = Sums.of_counts(counts, task.shapes)
    task.check(sums)
    return sums


def fall(task: Task, before: Sums, after: Sums) -> float:
    """By how much the headline got worse from one model to the next; NaN where either has none."""
    worse = task.score(before) - task.score(after)
    return worse if task.bigger_is_better else -worse
