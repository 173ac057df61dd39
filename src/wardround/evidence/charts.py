"""Charts as inline SVG. matplotlib's one home; its SVG backend alone, so no screen and no window is needed.

Colours are CSS variables of the page, so that one chart is readable on light and on dark paper: the drawing uses stand-in
colours that are exchanged for the variables in the text of the SVG. Lines also differ in dashes and markers, not in colour
alone. Nothing in an SVG depends on time or chance.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from wardround.evidence.matplotlib_folder import own_folder
from wardround.study.record.run_record import Evaluation, RunRecord
from wardround.tasks.protocol import Chart, Dots, Task

with own_folder():
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

INK, FAINT = "#010203", "#040506"
SERIES = tuple(f"#0a0b0{k}" for k in range(8))
"""Stand-ins: SERIES[0] for the federated model or all hospitals, the others for hospitals in the record's order."""
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)"} | {colour: f"var(--series-{k})" for k, colour in enumerate(SERIES)}
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (3, 3)), (0, (1, 3)))
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "wardround",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "path.simplify": False,
    "text.parse_math": False,
}


def styled(colours: Mapping[str, str] | None = None) -> Any:
    """Within this context figures have the page's look. colours: to be exchanged in it, for paper that is no page."""
    exchanged = colours or {}
    style = {name: exchanged.get(value, value) if isinstance(value, str) else value for name, value in STYLE.items()}
    return mpl.rc_context(style)


def blank_figure(width: float, height: float) -> Any:
    """A figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def learning_chart(record: RunRecord, task: Task) -> str | None:
    """The headline on validation patients by round, one line for all hospitals and one for each; None without any."""
    lines = {"all hospitals": {entry.round: entry.validation for entry in record.rounds}}
    if record.start is not None:
        lines["all hospitals"][0] = record.start
    for site in record.sites:
        lines[site] = {
            entry.round: site_round.validation for entry in record.rounds if (site_round := entry.per_site.get(site)) is not None
        }
    points = {name: _series(line, task.headline) for name, line in lines.items()}
    return _lines(
        {name: line for name, line in points.items() if line},
        tuple(record.sites),
        "round",
        f"{task.words.names[task.headline]} on validation patients",
    )


def loss_chart(record: RunRecord) -> str | None:
    """Training loss by round, one line for all counted hospitals and one for each; None without any."""
    lines = {"all hospitals": {entry.round: entry.train_loss for entry in record.rounds}}
    for site in record.sites:
        lines[site] = {
            entry.round: site_round.train_loss for entry in record.rounds if (site_round := entry.per_site.get(site)) is not None
        }
    kept = {name: [(k, value) for k, value in sorted(line.items()) if value is not None] for name, line in lines.items()}
    return _lines({name: line for name, line in kept.items() if line}, tuple(record.sites), "round", "training loss (nats)")


def drawing(chart: Chart, sites: Sequence[str] = (), key: str = "") -> str:
    """A task's chart as it is described: curves by model, the first one boldest, and points with their intervals.

    sites: the hospitals in the record's order, so that each has one colour on all charts of a page. key: of the drawing on its
    page, where a page has several of one kind.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _square(chart.x, chart.y) if chart.unit else _oblong(chart.x, chart.y)
        if chart.diagonal:
            _diagonal(axes, chart)
        for name, (x, y) in chart.lines.items():
            axes.plot(x, y, label=_label(name), drawstyle="default", **_look(_place_of(name, sites)))
        if chart.lines:
            _legend_above(axes, len(chart.lines))
        if chart.dots is not None:
            _dots(axes, chart.dots)
        return svg_text(figure, key or chart.key)


def _diagonal(axes: Any, chart: Chart) -> None:
    if chart.unit:
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
    else:
        axes.axline((0, 0), slope=1, color=FAINT, linewidth=0.8)


def _dots(axes: Any, dots: Dots) -> None:
    errors = [
        [max(y - low, 0) for y, low in zip(dots.y, dots.low, strict=True)],
        [max(high - y, 0) for y, high in zip(dots.y, dots.high, strict=True)],
    ]
    axes.errorbar(dots.x, dots.y, yerr=errors, fmt="o", markersize=4, color=SERIES[0], ecolor=SERIES[0], elinewidth=0.9)


def benefit_chart(record: RunRecord, task: Task) -> str | None:
    """Each hospital's own model against the federated one on its own test patients, with 95 % intervals; None without any."""
    metric = task.headline
    pairs = {site: (entry.own, entry.federated) for site, entry in record.sites.items() if entry.own or entry.federated}
    if not any(evaluation and evaluation.value(metric) is not None for pair in pairs.values() for evaluation in pair):
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 1.1 + 0.5 * len(pairs)), layout="constrained")
        axes = figure.add_subplot()
        for column, (name, colour, marker, offset) in enumerate(
            (("own data only", SERIES[7], "s", 0.14), ("federated", SERIES[0], "o", -0.14))
        ):
            for row, pair in enumerate(pairs.values()):
                _dot(axes, pair[column], metric, row + offset, {"color": colour, "marker": marker}, name if row == 0 else None)
        axes.set_yticks(range(len(pairs)), [_label(site) for site in pairs])
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_xlabel(f"{task.words.names[metric]}, own test patients")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return svg_text(figure, "benefit")


def _dot(axes: Any, evaluation: Evaluation | None, metric: str, height: float, look: dict[str, Any], label: str | None) -> None:
    value = evaluation.value(metric) if evaluation else None
    if evaluation is None or value is None:
        axes.plot([], [], linestyle="none", label=label, **look)
        return
    low, high = evaluation.interval(metric) or (value, value)
    axes.plot([low, high], [height, height], color=look["color"], linewidth=1.2)
    axes.plot([value], [height], linestyle="none", markersize=5, label=label, **look)


def _series(line: Mapping[int, Evaluation | None], metric: str) -> list[tuple[int, float]]:
    return [
        (k, value) for k, evaluation in sorted(line.items()) if evaluation and (value := evaluation.value(metric)) is not None
    ]


def _lines(lines: Mapping[str, list[tuple[int, float]]], sites: Sequence[str], x: str, y: str) -> str | None:
    if not lines:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.3), layout="constrained")
        axes = figure.add_subplot()
        for name, line in lines.items():
            marker = "o" if len(line) < 2 else None
            axes.plot(*zip(*line, strict=True), label=_label(name), marker=marker, **_look(_place_of(name, sites)))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend_above(axes, len(lines))
        return svg_text(figure, y)


def _oblong(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.6, 3.3), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def _square(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    return figure, axes


def _place_of(name: str, sites: Sequence[str]) -> int:
    """0 for what is of all hospitals, then the hospitals in their order; other models come behind them."""
    if name in sites:
        return 1 + list(sites).index(name)
    return 0 if name in ("federated", "evaluated", "all hospitals") else 1 + len(sites)


def _legend_above(axes: Any, entries: int) -> None:
    """Where no curve can run behind it."""
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(entries, 3))


def _look(position: int) -> dict[str, Any]:
    return {
        "color": SERIES[position % len(SERIES)],
        "linestyle": DASHES[position % len(DASHES)],
        "linewidth": 2.2 if position == 0 else 1.4,
    }


def _label(name: str) -> str:
    """Short enough to draw. matplotlib hides labels that begin with an underscore, hence the invisible space."""
    shown = name if len(name) <= 28 else name[:27] + "…"
    return "\u200b" + shown if shown.startswith("_") else shown


def svg_text(figure: Figure, key: str) -> str:
    """The bare <svg> element: no declaration, no metadata, no size of its own, no name that another chart on the page has."""
    buffer = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's fonts draw the text, not matplotlib's
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1, flags=re.DOTALL)
    used = set(re.findall(r"url\(#([^)]+)\)|xlink:href=\"#([^\"]+)\"", text))
    names = {name for pair in used for name in pair if name}
    prefix = re.sub(r"\W+", "-", key)
    text = re.sub(r' id="([^"]*)"', lambda hit: f' id="{prefix}-{hit[1]}"' if hit[1] in names else "", text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'xlink:href="#', f'href="#{prefix}-', text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text
