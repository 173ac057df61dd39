"""Two drawings of an answer as inline SVG: no script, nothing loaded, every text escaped. Colours are those of the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 480, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 16, 12, 40


@dataclass(frozen=True)
class NumberDrawn:
    """A number on its public range. held: the part that is to hold the truth. ends: of the range, in words. label: all of it."""

    value: float
    held: tuple[float, float]
    bounds: tuple[float, float]
    ends: tuple[str, str]
    label: str


def number_line(drawn: NumberDrawn) -> Markup:
    """The range as a line, what is held as a bar, the number as a point."""
    low, high = drawn.bounds

    def at(number: float) -> float:
        return _LEFT + min(max((number - low) / (high - low), 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    start, end = at(drawn.held[0]), at(drawn.held[1])
    bar = Markup('<rect class="range" x="{:.1f}" y="15" width="{:.1f}" height="14"/>')
    return _drawn(
        56,
        drawn.label,
        _line(at(low), 22, at(high), 22, "axis"),
        bar.format(start, max(end - start, 2)),
        Markup('<circle class="point" cx="{:.1f}" cy="22" r="7"/>').format(at(drawn.value)),
        _text(at(low), 50, drawn.ends[0], "start"),
        _text(at(high), 50, drawn.ends[1], "end"),
    )


def survival_curve(points: Sequence[tuple[float, float, float | None, float | None]], unit: str, label: str) -> Markup:
    """Survival from 1 at time 0 over (time, value, low, high); intervals stand at their times, None where there is none."""
    last = max(time for time, *_ in points)

    def x(time: float) -> float:
        return _LEFT + time / last * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)

    path = " ".join(
        f"{x(time):.1f},{y(share):.1f}" for time, share in [(0.0, 1.0), *((time, value) for time, value, *_ in points)]
    )
    parts = [_line(_LEFT, y(share), _WIDTH - _RIGHT, y(share), "grid") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    parts += [_text(_LEFT - 6, y(share) + 4, f"{100 * share:.0f} %", "end") for share in (0.0, 0.5, 1.0)]
    parts.append(Markup('<polyline class="curve" points="{}"/>').format(path))
    for time, value, low, high in points:
        if low is not None and high is not None:
            parts.append(_line(x(time), y(low), x(time), y(high), "interval"))
            parts += [_line(x(time) - 6, y(end), x(time) + 6, y(end), "interval") for end in (low, high)]
        parts.append(Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(x(time), y(value)))
        parts.append(_text(x(time), _HEIGHT - 22, f"{time:g}", "end" if time == last else "middle"))
    parts.append(_text(_LEFT, _HEIGHT - 22, "0", "middle"))
    parts.append(_text(_WIDTH - _RIGHT, _HEIGHT - 5, unit, "end"))
    return _drawn(_HEIGHT, label, *parts)


def _drawn(height: int, label: str, *parts: Markup) -> Markup:
    head = Markup('<svg class="drawing" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(_WIDTH, height, label)
    return head + Markup("").join(parts) + Markup("</svg>")


def _line(x1: float, y1: float, x2: float, y2: float, look: str) -> Markup:
    drawn = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return drawn.format(look, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, escape(text))
