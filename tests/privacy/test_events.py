"""Events of the ledger and their JSON."""

import sys
from subprocess import run
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.privacy.events import Event, Slack, events_from_json
from wardround.values.canonical import canonical_json
from wardround.values.errors import RefusedError

GAUSSIAN = {"type": "Gaussian", "noise_multiplier": 1.5}
events = st.builds(
    Event,
    noise_multiplier=st.one_of(st.just(0.0), st.floats(0.01, 1e6)),
    sampling_rate=st.floats(1e-6, 1.0),
    unit=st.sampled_from(["patient", "site"]),
    slack=st.builds(Slack, st.floats(0, 1e-3), st.floats(0, 1e-6)),
)


@given(events, st.integers(1, 10**6))
def test_an_event_comes_back_from_its_json_as_it_was(event: Event, count: int) -> None:
    """A ledger that is read differently from how it was written forgets or invents spending."""
    assert events_from_json(event.to_json(count), event.unit) == (event, count)
    assert canonical_json(event.to_json(count))


def test_the_json_is_that_of_the_field() -> None:
    """Ledgers are read by other people's programs; the names are dp-accounting's."""
    assert Event(1.5).to_json() == GAUSSIAN
    assert Event(1.5, 0.1).to_json() == {"type": "PoissonSampled", "probability": 0.1, "event": GAUSSIAN}
    assert Event(0.0).to_json(3) == {"type": "SelfComposed", "count": 3, "event": {"type": "NonPrivate"}}


def test_without_noise_nothing_else_matters() -> None:
    """Two events that both promise nothing are one, or the ledger would list them twice."""
    assert Event(0.0, 0.1, slack=Slack(1e-9, 0)) == Event(0.0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "Gaussian",
        {},
        {"type": "Laplace", "noise_multiplier": 1.0},
        {"type": "Gaussian"},
        {**GAUSSIAN, "sensitivity": 1.0},
        {"type": "Gaussian", "noise_multiplier": "1.5"},
        {"type": "Gaussian", "noise_multiplier": True},
        {"type": "Gaussian", "noise_multiplier": -1.0},
        {"type": "Gaussian", "noise_multiplier": float("inf")},
        {"type": "PoissonSampled", "probability": 0.0, "event": GAUSSIAN},
        {"type": "PoissonSampled", "probability": 1.5, "event": GAUSSIAN},
        {"type": "PoissonSampled", "sampling_probability": 0.5, "event": GAUSSIAN},
        {
            "type": "PoissonSampled",
            "probability": 0.5,
            "event": {"type": "PoissonSampled", "probability": 0.5, "event": GAUSSIAN},
        },
        {"type": "SelfComposed", "count": 0, "event": GAUSSIAN},
        {"type": "SelfComposed", "count": 2.0, "event": GAUSSIAN},
        {"type": "SelfComposed", "count": 2, "event": {"type": "SelfComposed", "count": 2, "event": GAUSSIAN}},
        {"type": "Composed", "events": [GAUSSIAN, GAUSSIAN]},
        {"type": "Composed", "events": [GAUSSIAN]},
        {"type": "Composed", "events": [GAUSSIAN, {"type": "EpsilonDelta", "epsilon": -1.0, "delta": 0.0}]},
        {"type": "NonPrivate", "why": "x"},
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused_by_name(value: Any) -> None:
    """An event that is read as another one is charged wrongly."""
    with pytest.raises(RefusedError) as refused:
        events_from_json(value)
    assert refused.value.code == "event"


def test_one_event_is_not_read_from_many() -> None:
    """Dropping a count would charge a whole study as one step."""
    with pytest.raises(RefusedError):
        Event.from_json(Event(1.0).to_json(2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise_multiplier": -1.0},
        {"noise_multiplier": float("nan")},
        {"sampling_rate": 0.0},
        {"sampling_rate": 1.1},
        {"unit": "ward"},
    ],
)
def test_an_event_that_means_nothing_cannot_be_made(wrong: dict[str, Any]) -> None:
    """What cannot exist need not be checked again."""
    with pytest.raises(ValueError):
        Event(**{"noise_multiplier": 1.0, **wrong})


def test_scipy_is_loaded_only_to_compute() -> None:
    """A site that plans without privacy, and every --help, would pay for it."""
    code = (
        "import sys, wardround.privacy.ledger.ledger, wardround.privacy.accounting as a; "
        "loaded = {'scipy', 'dp_accounting'} & set(sys.modules); sys.exit(str(loaded) if loaded else 0)"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
