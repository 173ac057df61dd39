"""An answer to another question than yes or no in words: a function a kind, rows for its parts, a drawing.

parts --> rows: name, chance, range, mark      number --> a line over the contract's range
                                               survival --> a curve with the intervals of like patients
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from wardround.clinic.kinds.limits import TimeLimits
from wardround.clinic.kinds.number import number_text
from wardround.clinic.kinds.time import too_wide
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.web.drawing import NumberDrawn, number_line, survival_curve
from wardround.clinic.web.frequencies import counted, percent
from wardround.clinic.web.words import Words
from wardround.study.label import LabelContract

Answer = Mapping[str, Any]
"""As JSON holds it."""


@dataclass(frozen=True)
class Row:
    """One part of an answer. chance: in percent, for a bar. mark: what is said of it, and state for its look."""

    name: str
    text: str
    range: str
    mark: str
    state: str
    chance: float


@dataclass(frozen=True)
class PartsSaid:
    """verdict: what is told. short: behind it in one line. lines: sentences below it. drawing: inline SVG; empty where there is
    none."""

    verdict: str
    short: str
    lines: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    drawing: str = ""


@dataclass(frozen=True)
class Asked:
    """A record's question and an answer to it. counted: what sentences count, film or row. promise, widest: of the record."""

    label: LabelContract
    counted: str
    promise: float
    widest: float
    answer: Answer
    words: Words

    @property
    def parts(self) -> list[Mapping[str, Any]]:
        return list(self.answer["parts"])

    def named(self, state: str) -> list[str]:
        """Names of the parts in a state, in the reader's language where the catalogue knows them."""
        return [self.words.sentence(part["name"]) for part in self.parts if part["state"] == state]

    def listed(self, names: list[str]) -> str:
        return self.words("answer.between").join(names)

    def range(self, low: str, high: str) -> str:
        return self.words("answer.range", low=low, high=high)


def said_of_parts(record: AcceptanceRecord, answer: Answer, words: Words) -> PartsSaid:
    """What a page says. Where nothing is told the verdict says so, and the parts stand below all the same."""
    limits = None if record.tuned is None else record.tuned.limits
    promise = 0.9 if limits is None or isinstance(limits, TimeLimits) else limits.promise
    widest = 1.0 if record.tuned is None else record.tuned.widest
    asked = Asked(record.statement.data.label, counted_as(record), promise, widest, answer, words)
    said = _KINDS[answer["kind"]](asked)
    if answer["verdict"] != "cannot-tell":
        return said
    return PartsSaid(words("verdict.cannot_tell"), said.short, said.lines, said.rows, said.drawing)


def counted_as(record: AcceptanceRecord) -> str:
    """Whether films, patients or compounds are counted in sentences."""
    return {"image": "film", "molecule": "compound"}.get(record.statement.data.kind, "row")


def _chances(asked: Asked, name: str) -> PartsSaid:
    """Classes and grades. name: of the sentences."""
    held, words = asked.named("held"), asked.words
    short = words("answer.may_be", names=asked.listed(held)) if len(held) > 1 else ""
    if not held:
        line = words("answer.none_fits")
    elif len(held) > 1:
        line = words(f"answer.held_{name}", names=asked.listed(held))
    else:
        count, total = counted(next(part["value"] for part in asked.parts if part["state"] == "held"))
        line = words(f"answer.often_{name}_{asked.counted}", count=count, total=total, answer=held[0])
    told = words(f"answer.{name}", answer=words.sentence(asked.answer["answer"]))
    return PartsSaid(told, short, (line,), _chance_rows(asked))


def _chance_rows(asked: Asked) -> tuple[Row, ...]:
    words = asked.words
    return tuple(
        Row(
            name=words.sentence(part["name"]),
            text=percent(part["value"]),
            range="",
            mark=words(f"state.{part['state']}"),
            state=part["state"],
            chance=100 * part["value"],
        )
        for part in asked.parts
    )


def _findings(asked: Asked) -> PartsSaid:
    there, open_ones, words = asked.named("positive"), asked.named("cannot-tell"), asked.words
    nothing = words("answer.no_finding_told" if open_ones else "answer.no_finding")
    told_some = asked.answer["verdict"] != "cannot-tell"
    short = words("answer.open", names=asked.listed(open_ones)) if open_ones and told_some else ""
    return PartsSaid(asked.listed(there) if there else nothing, short, (words("answer.each_by_itself"),), _chance_rows(asked))


def _number(asked: Asked, end: Callable[[float, float], str]) -> PartsSaid:
    """A number or a count. end: how an end of the range is written, by the width of the contract's."""
    part, words = asked.parts[0], asked.words
    bounds = asked.label.asked.range or (0.0, 1.0)
    width = bounds[1] - bounds[0]
    unit, value = words.sentence(asked.label.asked.unit), number_text(part["value"], width)
    low, high = end(part["low"], width), end(part["high"], width)
    count, total = counted(asked.promise)
    line = words(f"answer.within_{asked.counted}", count=count, total=total, low=low, high=high, unit=unit)
    label = words("answer.number_drawn", value=value, low=low, high=high, unit=unit)
    ends = (end(bounds[0], width), end(bounds[1], width))
    drawing = number_line(NumberDrawn(part["value"], (part["low"], part["high"]), bounds, ends, label))
    return PartsSaid(words("answer.number", value=value, unit=unit).strip(), asked.range(low, high), (line,), (), drawing)


def _whole(number: float, width: float) -> str:  # noqa: ARG001  as `number_text`
    return f"{number:.0f}"


def _time(asked: Asked) -> PartsSaid:
    words, parts, unit = asked.words, asked.parts, asked.words.sentence(asked.label.asked.unit)
    event, horizons = words.sentence(asked.label.name), asked.label.asked.horizons
    names = [words("answer.horizon", time=f"{horizon:g}", unit=unit).strip() for horizon in horizons]
    ranges = [_like(part, asked) for part in parts]
    said = "; ".join(f"{name}: {percent(part['value'])} {like}" for name, part, like in zip(names, parts, ranges, strict=True))
    told = [k for k, part in enumerate(parts) if not too_wide(part["low"], part["high"], asked.widest)]
    shown = told[-1] if told else len(parts) - 1
    points = [(time, part["value"], part["low"], part["high"]) for time, part in zip(horizons, parts, strict=True)]
    return PartsSaid(
        verdict=words("answer.time", percent=percent(parts[shown]["value"]), event=event, horizon=names[shown]),
        short="",
        lines=(words("answer.like_patients", event=event),),
        rows=tuple(
            Row(name, percent(part["value"]), like, "", "value", 100 * part["value"])
            for name, part, like in zip(names, parts, ranges, strict=True)
        ),
        drawing=survival_curve(points, unit, words("answer.curve_drawn", event=event, said=said)),
    )


def _like(part: Mapping[str, Any], asked: Asked) -> str:
    if part["low"] is None or part["high"] is None:
        return asked.words("answer.nobody_followed")
    return asked.range(percent(part["low"]), percent(part["high"]))


_KINDS: dict[str, Callable[[Asked], PartsSaid]] = {
    "classes": partial(_chances, name="classes"),
    "grades": partial(_chances, name="grades"),
    "findings": _findings,
    "number": partial(_number, end=number_text),
    "count": partial(_number, end=_whole),
    "time": _time,
}
