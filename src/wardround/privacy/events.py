"""What one release costs, as a value: the mechanism without its data.

An `Event` is one release of a sum in which one unit (a patient, or a whole site) moves the result by at most the clip norm, and
to which Gaussian noise of `noise_multiplier` clip norms was added. It is written as the field's own JSON, the names of
dp-accounting's DpEvent classes:

    {"type": "Gaussian", "noise_multiplier": 1.1}
    {"type": "PoissonSampled", "probability": 0.05, "event": {"type": "Gaussian", "noise_multiplier": 1.1}}
    {"type": "NonPrivate"}
    {"type": "Composed", "events": [<one of these>, {"type": "EpsilonDelta", "epsilon": 1e-12, "delta": 1e-13}]}
    {"type": "SelfComposed", "count": 60, "event": <one of these>}

What is not understood is refused: an event that is read as another one is charged wrongly. dp-accounting itself loads scipy, so
it is not imported here; `accounting` is its one home.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from wardround.values.errors import RefusedError

Unit = Literal["patient", "site"]
UNITS: tuple[Unit, ...] = get_args(Unit)


@dataclass(frozen=True)
class Slack:
    """What one release costs above the continuous mechanism that is accounted: integers instead of real numbers, a sampler that
    is not exact. Over n releases n times as much of both; both must be proved by whoever states them.

    Where each release's probabilities are, for any one data set, within a factor exp(eta) of the accounted mechanism's but for
    probability tau, n releases that there cost (epsilon, delta) together cost (epsilon + 2 n eta, exp(n eta) delta +
    (1 + exp(epsilon + n eta)) n tau). So the slack's delta is not tau alone: it grows with exp(epsilon).
    """

    epsilon: float = 0.0
    delta: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.epsilon < math.inf and 0 <= self.delta < 1):
            raise ValueError("slack is a finite epsilon from 0 and a delta in [0, 1)")


NO_SLACK = Slack()


@dataclass(frozen=True)
class Event:
    """noise_multiplier: the noise's standard deviation over the clip norm; 0 = no guarantee. sampling_rate: the probability with
    which each unit takes part, in (0, 1], drawn for each by itself (Poisson) and kept secret. unit: whose presence is hidden.

    Without noise a sampling rate or a slack means nothing, and both are dropped, so that equal costs are equal events.

    >>> Event(1.1, 0.05) == Event.from_json(Event(1.1, 0.05).to_json())
    True
    """

    noise_multiplier: float
    sampling_rate: float = 1.0
    unit: Unit = "patient"
    slack: Slack = NO_SLACK

    def __post_init__(self) -> None:
        if not 0 <= self.noise_multiplier < math.inf:
            raise ValueError("noise_multiplier must be finite and at least 0")
        if not 0 < self.sampling_rate <= 1:
            raise ValueError("sampling_rate must lie in (0, 1]")
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}")
        if self.noise_multiplier == 0:
            object.__setattr__(self, "sampling_rate", 1.0)
            object.__setattr__(self, "slack", NO_SLACK)

    @property
    def private(self) -> bool:
        return self.noise_multiplier > 0

    def to_json(self, count: int = 1) -> dict[str, Any]:
        """DpEvent JSON of `count` such releases. The unit is not part of it: it says who is protected, not how."""
        if not self.private:
            event: dict[str, Any] = {"type": "NonPrivate"}
        else:
            event = {"type": "Gaussian", "noise_multiplier": self.noise_multiplier}
            if self.sampling_rate < 1:
                event = {"type": "PoissonSampled", "probability": self.sampling_rate, "event": event}
            if self.slack != NO_SLACK:
                slack = {"type": "EpsilonDelta", "epsilon": self.slack.epsilon, "delta": self.slack.delta}
                event = {"type": "Composed", "events": [event, slack]}
        return event if count == 1 else {"type": "SelfComposed", "count": count, "event": event}

    @classmethod
    def from_json(cls, value: Any, unit: Unit = "patient") -> "Event":
        """The event of one release. Raises RefusedError(code="event") for anything but what `to_json` writes."""
        event, count = events_from_json(value, unit)
        if count != 1:
            raise _not_understood("one release", f"{count} releases")
        return event


def events_from_json(value: Any, unit: Unit = "patient") -> tuple[Event, int]:
    """(event, count) of what `Event.to_json(count)` wrote. Raises RefusedError(code="event") for anything else.

    >>> events_from_json({"type": "SelfComposed", "count": 60, "event": {"type": "NonPrivate"}})[1]
    60
    """
    if _type_of(value) != "SelfComposed":
        return _one(value, unit), 1
    _, count, event = _fields(value, "type", "count", "event")
    if type(count) is not int or count < 1:
        raise _not_understood("a count from 1", repr(count)[:40])
    return _one(event, unit), count


def _one(value: Any, unit: Unit) -> Event:
    if _type_of(value) == "NonPrivate":
        _fields(value, "type")
        return _made(0.0, 1.0, unit, NO_SLACK)
    slack, rate = NO_SLACK, 1.0
    if _type_of(value) == "Composed":
        _, events = _fields(value, "type", "events")
        if not isinstance(events, list) or len(events) != 2 or _type_of(events[1]) != "EpsilonDelta":
            raise _not_understood("a mechanism and its EpsilonDelta", "another composition")
        value, (_, epsilon, delta) = events[0], _fields(events[1], "type", "epsilon", "delta")
        slack = _slack(_number(epsilon), _number(delta))
    if _type_of(value) == "PoissonSampled":
        _, probability, value = _fields(value, "type", "probability", "event")
        rate = _number(probability)
    if _type_of(value) != "Gaussian":
        raise _not_understood("Gaussian, PoissonSampled, NonPrivate, Composed or SelfComposed", repr(_type_of(value))[:40])
    _, multiplier = _fields(value, "type", "noise_multiplier")
    return _made(_number(multiplier), rate, unit, slack)


def _made(multiplier: float, rate: float, unit: Unit, slack: Slack) -> Event:
    try:
        return Event(multiplier, rate, unit, slack)
    except ValueError as error:
        raise _not_understood(str(error), "another value") from None


def _slack(epsilon: float, delta: float) -> Slack:
    try:
        return Slack(epsilon, delta)
    except ValueError as error:
        raise _not_understood(str(error), "another value") from None


def _type_of(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else None


def _fields(value: Any, *names: str) -> tuple[Any, ...]:
    fields = cast(Mapping[str, Any], value)
    if set(fields) != set(names):
        raise _not_understood(f"the fields {', '.join(names)}", ", ".join(sorted(map(str, fields)))[:80])
    return tuple(fields[name] for name in names)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _not_understood("a finite number", repr(value)[:40])
    return float(value)


def _not_understood(expected: str, value: str) -> RefusedError:
    return RefusedError(
        "A privacy event is not one this release understands; it was not charged",
        expected=expected,
        found=value,
        hint="run the same release of Wardround that wrote it, or a newer one",
        code="event",
    )
