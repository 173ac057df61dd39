"""What is watched, in at most 80 columns for a terminal, and as JSON without any case, patient or person."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from wardround.clinic.watch.alerts import Alert
from wardround.clinic.watch.drift import Drift, Figure
from wardround.clinic.watch.shared_counts import PooledDrift
from wardround.values.printable import printable

COLUMNS = 80
_HEADER = f"{'':<27}{'cases':>6}{'now':>8}{'95 % interval':>17}   limit"
_STATES = {"too-few": "too few", "steady": "steady", "unclear": "unclear", "beyond": "BEYOND"}
_NAMES = {"cannot tell": "more `cannot tell`", "unusual": "more unusual"}


def summary(hospital: str, drift: Drift | None, alerts: Sequence[Alert]) -> str:
    """Lines of at most COLUMNS signs."""
    return "\n".join(line for part in _parts(hospital, drift, alerts) for line in _wrapped(part))


def pooled_summary(pooled: PooledDrift) -> str:
    """The same of a sum over hospitals, for a study's lead."""
    head = f"{pooled.cases} cases of {pooled.hospitals} hospitals that had enough of them"
    return "\n".join(line for part in (head, "", _HEADER, *map(figure_line, pooled.figures)) for line in _wrapped(part))


def pooled_json(pooled: PooledDrift) -> dict[str, Any]:
    """The same as JSON."""
    return {"hospitals": pooled.hospitals, "cases": pooled.cases, "figures": [_figure_json(one) for one in pooled.figures]}


def as_json(drift: Drift | None, alerts: Sequence[Alert]) -> dict[str, Any]:
    """Figures and alerts. Names are those of figures and of the contract's columns."""
    watched = None
    if drift is not None:
        watched = {
            "acceptance": drift.acceptance,
            "model": drift.model,
            "since": _iso(drift.since),
            "until": _iso(drift.until),
            "cases": drift.cases,
            "reference": drift.reference,
            "figures": [_figure_json(one) for one in drift.figures],
        }
    told = [
        {
            "figure": one.figure,
            "raised": _iso(one.raised),
            "value": one.value,
            "interval": [one.low, one.high],
            "limit": one.limit,
            "seen": bool(one.seen_by),
        }
        for one in alerts
    ]
    return {"watched": watched, "alerts": told}


def _figure_json(one: Figure) -> dict[str, Any]:
    names = ("name", "kind", "cases", "value", "interval", "limit", "state")
    return {name: getattr(one, name) for name in names}


def thousandths(value: float) -> str:
    """With three digits, and no minus before nothing.

    >>> thousandths(-0.0001), thousandths(-0.25)
    ('0.000', '-0.250')
    """
    return f"{round(value, 3) + 0.0:.3f}"


def figure_line(one: Figure) -> str:
    """A line of the table."""
    name = textwrap.shorten(printable(_NAMES.get(one.name, one.name)), 26, placeholder="…")
    now, ends = "–", ""
    if one.value is not None and one.interval is not None:
        now, ends = thousandths(one.value), f"{thousandths(one.interval[0])} to {thousandths(one.interval[1])}"
    bound = "≥" if one.kind == "agreement" else "≤"
    return f"{name:<27}{one.cases:>6}{now:>8}{ends:>17} {bound} {one.limit:<7.3f}{_STATES[one.state]}"


def _parts(hospital: str, drift: Drift | None, alerts: Sequence[Alert]) -> Iterator[str]:
    yield f"Watch at {hospital}"
    if drift is None:
        yield "No model is in service: wardround clinic activate ACCEPTANCE --by NAME"
    else:
        yield f"Model {drift.model[:12]}, acceptance {drift.acceptance}"
        yield f"{_day(drift.since)} to {_day(drift.until)}: {drift.cases} cases"
        if not drift.reference:
            yield "The acceptance kept no counts to compare with: accept the model again."
        yield ""
        yield _HEADER
        yield from map(figure_line, drift.figures)
        yield ""
        yield (
            "The score and the inputs by their population stability index, less what chance adds; shares less those at "
            "acceptance; calibration: the share with the finding, by doctors, less the mean probability."
        )
    yield ""
    for one in alerts:
        read, ends = "read" if one.seen_by else "not read yet", f"{one.low:.3f} to {one.high:.3f}"
        yield f"ALERT {one.id}  {one.figure}: {one.value:.3f} ({ends}), limit {one.limit:.3f}; since {_day(one.raised)}, {read}"
    if not alerts:
        yield "No alert."


def _wrapped(line: str) -> list[str]:
    line = printable(line)
    return [line] if len(line) <= COLUMNS else textwrap.wrap(line, COLUMNS, subsequent_indent="  ")


def _day(at: float) -> str:
    return _iso(at)[:10]


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
