"""What an analysis is: sums that follow from the study, what a site adds to them, and how the coordinator goes on.

    coordinate:  Ask -> Total -> Ask -> Total -> ... -> Result
                  |      ^
                  v      |  the masked sum, over all hospitals of the run
        contribution(rows, ask)

Everything that a site must know before it answers follows from the study: labels, how often each is asked, names, shapes and
bounds of the sums, shapes of the orders. The coordinator sees totals alone. `coordinate` is a generator without a clock, a random
draw or a file: the totals so far are its whole state, so that a killed run goes on by giving it the same totals again.

Laws that every analysis keeps (tests/analysis/analysis_conformance.py): the same rows divided otherwise give the same result,
within its stated error; the order of hospitals does not matter; a site's arrays have the stated names and shapes and lie within
their bounds, whatever the order and the rows hold, also where it has no rows at all.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays, Quantity
from wardround.values.rows import Rows
from wardround.values.tree import Shapes, Tree

MOST_QUANTITIES = 60
"""Arrays of one reply, but for those of its mask."""


@dataclass(frozen=True)
class Noised:
    """How one patient's part of a sum with noise is bounded, and what the sum costs.

    weights: name of a quantity -> what its numbers are multiplied by in the one vector that gets the noise. In it a patient's
    part is at most 1 long: longer ones are shortened. events: as how many of the study's events the sum is charged; its noise is
    that of one event over the root of so many."""

    weights: Mapping[str, float]
    events: int = 1


@dataclass(frozen=True)
class Exchange:
    """One kind of sum of an analysis. All of it follows from the study.

    label: its name in the finite list of what the study asks; letters, digits, `_` and `-`. quantities: what each site adds, by
    name. order: names and shapes of the float64 arrays that go with each ask. times: how often it is asked at most. noised: None
    where the sum has no noise.
    """

    label: str
    quantities: Mapping[str, Quantity]
    order: Shapes = field(default_factory=dict)
    times: int = 1
    noised: Noised | None = None

    def __post_init__(self) -> None:
        if len(self.quantities) > MOST_QUANTITIES:
            raise ValueError(f"{self.label} sums {len(self.quantities)} arrays, and a reply holds {MOST_QUANTITIES}: join some")


@dataclass(frozen=True)
class Ask:
    """One sum that the coordinator asks for.

    order: float64 arrays of the shapes that the exchange states, every value finite and within 2**20 (`plan/usable_arrays.py`).
    number: its place among the asks of the run, from 1; the run sets it."""

    label: str
    order: Tree = field(default_factory=dict)
    number: int = 1


@dataclass(frozen=True)
class Total:
    """What all sites added to an ask. sums: int64 of whole numbers, float64 of real ones, in the stated shapes. error: name ->
    the largest error of one number of that sum; 0 for whole numbers. sites: whose arrays are in it.

    clipped: how many numbers of all sites lay beyond their bound, or were not finite (these count as 0). Above 0 the sums are not
    those of the rows, and an analysis says so or refuses (`require_unclipped`). noise: name -> the standard deviation of the
    noise in one number of that sum, of a sum with noise."""

    sums: Mapping[str, NDArray[Any]]
    error: Mapping[str, float] = field(default_factory=dict)
    sites: tuple[str, ...] = ()
    clipped: int = 0
    noise: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.sums[name]


class Analysis(Protocol):
    """One analysis of a study. Made by its kind's `build(study)`; it holds public things only."""

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every sum that it may ask for. Labels differ."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the rows that it reads."""
        ...

    def contribution(self, rows: Rows, ask: Ask) -> Arrays:
        """At the site: what its rows add, exactly the arrays of the exchange.

        Whole numbers as int64, real ones as float64. It never raises for what rows or order hold, since a refusal would be an
        answer: what cannot be computed is NaN, which counts as 0 and is told as clipped."""
        ...

    def coordinate(self) -> Generator[Ask, Total, Result]:
        """At the coordinator: the asks, one after another, and what comes of the totals.

        It asks each label at most `times` times. DataError where the totals allow no result, with what is wrong and its mend."""
        ...


@runtime_checkable
class PrivateAnalysis(Analysis, Protocol):
    """An analysis whose sums have noise: all its exchanges are `noised`, and a site bounds what each patient adds. Its
    `contribution` is the sum without bound and noise, which no site sends."""

    def of_each(self, rows: Rows, ask: Ask) -> Arrays:
        """At the site: what each row adds, (n, *shape) for every quantity of the exchange, float64.

        A row's numbers are made of that row and the order alone, by products and sums one after another: how many other rows
        there are may change their last digit and no more. It never raises for what rows or order hold; a row with a number that
        is not finite counts as nothing."""
        ...


@runtime_checkable
class OwnTables(Protocol):
    """An analysis that describes a hospital's own rows for that hospital alone."""

    def own_tables(self, rows: Rows) -> Mapping[str, Any]:
        """What stands in the hospital's own report, as JSON holds it; it never leaves the site."""
        ...


@runtime_checkable
class OwnTablesOfSums(Protocol):
    """An analysis that describes a hospital's own rows for that hospital alone, once an order says something of all of them."""

    def own_tables_of(self, rows: Rows, ask: Ask) -> Mapping[str, Any]:
        """What stands in the hospital's own report after this ask, as JSON holds it; nothing for most. It never leaves the
        site."""
        ...


@runtime_checkable
class OwnCounts(Protocol):
    """An analysis that counts something of a hospital's own rows for that hospital alone."""

    def own_counts(self, rows: Rows) -> Mapping[str, int]:
        """What stands in the hospital's own report, by name; it never leaves the site. It never raises for what rows hold."""
        ...
