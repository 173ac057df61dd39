"""The charts of an analysis, drawn by matplotlib: in the variables of a page, or in colours of their own for a notebook."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wardround.analysis.result import Bars, Chart, Forest, Lines
from wardround.evidence.charts import DASHES, FAINT, INK, SERIES, blank_figure, styled, svg_text

ROW_INCHES = 0.27
WIDTH_INCHES = 7.2


@dataclass(frozen=True)
class Colours:
    """ink and faint: of text and rules. series: of lines, one after another."""

    ink: str
    faint: str
    series: tuple[str, ...]


PAGE = Colours(INK, FAINT, SERIES)
PAPER = Colours("#1b2430", "#68727e", ("#0b5cad", "#b84a00", "#16794a", "#8a3b94", "#7a6200", "#b3264a", "#3f7d86", "#5d6470"))
"""The page's colours on white, as report.css has them."""


def svg(chart: Chart) -> str:
    """The chart as inline SVG, in the variables of the page."""
    with styled():
        return svg_text(_DRAWINGS[type(chart)](chart, PAGE), chart.name)


def drawn(chart: Chart) -> Any:
    """The chart as a figure of matplotlib, on white."""
    with styled({INK: PAPER.ink, FAINT: PAPER.faint}):
        figure = _DRAWINGS[type(chart)](chart, PAPER)
    figure.set_facecolor("white")
    return figure


def _figure_of(height: float) -> tuple[Any, Any]:
    figure = blank_figure(WIDTH_INCHES, height)
    return figure, figure.add_subplot()


def _forest(chart: Forest, colours: Colours) -> Any:
    count = len(chart.intervals)
    figure, axes = _figure_of(1.0 + ROW_INCHES * count)
    for row, interval in enumerate(reversed(chart.intervals)):
        axes.plot([interval.low, interval.high], [row, row], color=colours.series[0], linewidth=1.4)
        axes.plot([interval.estimate], [row], "s", color=colours.series[0], markersize=5)
    axes.axvline(chart.neutral, color=colours.ink, linewidth=0.8, linestyle=DASHES[1])
    if chart.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
    axes.set_yticks(range(count), [interval.label for interval in reversed(chart.intervals)])
    axes.set_ylim(-0.7, count - 0.3)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(chart.axis)
    return figure


def _lines(chart: Lines, colours: Colours) -> Any:
    figure, axes = _figure_of(3.8 + 0.24 * len(chart.below))
    if chart.diagonal:
        axes.axline((0.0, 0.0), slope=1.0, color=colours.faint, linewidth=0.8)
    for number, line in enumerate(chart.lines):
        color = colours.series[number % len(colours.series)]
        steps: dict[str, Any] = {"drawstyle": "steps-post"} if line.step else {}
        axes.plot(line.x, line.y, color=color, linestyle=DASHES[number % len(DASHES)], label=line.label, **steps)
        if line.low and line.high:
            band: dict[str, Any] = {"step": "post"} if line.step else {}
            axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.14, linewidth=0, **band)
    if chart.ticks:
        axes.set_xticks(chart.ticks)
    if chart.y_range is not None:
        axes.set_ylim(*chart.y_range)
    axes.set_xlabel(chart.x_axis)
    axes.set_ylabel(chart.y_axis)
    if any(line.label for line in chart.lines):
        axes.legend()
    _table_below(axes, chart)
    return figure


def _table_below(axes: Any, chart: Lines) -> None:
    """A row of texts for each label, each under its tick."""
    for row, (label, texts) in enumerate(chart.below.items(), 1):
        height = -0.16 - 0.07 * row
        axes.text(-0.01, height, label, transform=axes.transAxes, ha="right", va="center", fontsize=9)
        for tick, text in zip(chart.ticks, texts, strict=True):
            axes.text(tick, height, text, transform=axes.get_xaxis_transform(), ha="center", va="center", fontsize=9)


def _bars(chart: Bars, colours: Colours) -> Any:
    figure, axes = _figure_of(3.2)
    axes.stairs(chart.heights, chart.edges, fill=True, color=colours.series[0], alpha=0.75)
    axes.set_xlabel(chart.x_axis)
    axes.set_ylabel(chart.y_axis)
    return figure


_DRAWINGS: Mapping[type, Callable[[Any, Colours], Any]] = {Forest: _forest, Lines: _lines, Bars: _bars}
