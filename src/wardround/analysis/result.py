"""What an analysis found: tables, charts and unrounded figures. Frozen, and the same whatever it is shown in.

Result --evidence--> the terminal, report.html, tables.csv, results.json
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Cell = str | int | float | None
"""None: there is no such value. A count that the disclosure rules withhold is the text that stands in its place (`< 5`)."""

Form = Literal["text", "count", "number", "p", "percent"]
"""How a column's numbers are shown: a whole number; four significant digits; a p-value; a share of 1 as per cent."""


@dataclass(frozen=True)
class Column:
    """One column of a table. digits: significant digits on paper; files have all of them."""

    name: str
    form: Form = "number"
    digits: int = 4


@dataclass(frozen=True)
class Table:
    """One table. name: of its file and its key in results.json; letters, digits and `_`. notes: what a reader must know of it.

    detail: whether only files and the page hold it, folded up there: too long for a terminal."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    detail: bool = False

    def __post_init__(self) -> None:
        wrong = [number for number, row in enumerate(self.rows, 1) if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"row {wrong[0]} of the table {self.name} has another length than its head")

    def column(self, name: str) -> tuple[Cell, ...]:
        """The cells of one column, by its name."""
        position = [column.name for column in self.columns].index(name)
        return tuple(row[position] for row in self.rows)


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval, under a label."""

    label: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Forest:
    """A forest plot. neutral: where nothing is found, 1 for ratios. log: whether the axis is logarithmic."""

    name: str
    title: str
    axis: str
    intervals: tuple[Interval, ...]
    neutral: float = 0.0
    log: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a chart; low and high: its band, empty where there is none. step: whether it is constant between its points."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    step: bool = False


@dataclass(frozen=True)
class Lines:
    """Lines over one axis. below: a table under the axis, such as the numbers at risk: label -> a text for each of `ticks`.
    diagonal: whether the line of equal values is drawn, as under a calibration."""

    name: str
    title: str
    x_axis: str
    y_axis: str
    lines: tuple[Line, ...]
    ticks: tuple[float, ...] = ()
    below: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    y_range: tuple[float, float] | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class Bars:
    """Heights between neighbouring edges; edges are one more than heights."""

    name: str
    title: str
    x_axis: str
    y_axis: str
    edges: tuple[float, ...]
    heights: tuple[float, ...]


Chart = Forest | Lines | Bars


@dataclass(frozen=True)
class Result:
    """What came of an analysis.

    kind: of the study's analysis. figures: unrounded values by name, of JSON's kinds; lists stand in the order of a table's rows.
    notes: what a reader must know of all of it. error: the largest error that the sums themselves have brought into a figure.
    """

    kind: str
    title: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: float = 0.0

    def table(self, name: str) -> Table:
        """The table of that name."""
        return next(table for table in self.tables if table.name == name)
