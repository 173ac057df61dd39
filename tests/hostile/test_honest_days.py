"""Honest days that end badly: one silent moment in the own rounds; other hospitals present at the second try of an opening."""

import contextlib
from pathlib import Path

import pytest

from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.values.errors import EngineError
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Order, Refusal

from ..federation.tiny_federation import Ward, study, ward


@pytest.mark.slow
@pytest.mark.permission
def test_one_silent_moment_in_the_own_rounds_does_not_stop_a_hospital(tmp_path: Path) -> None:
    """It refuses every later own round as `old-round`; after so many in a row it would stop, and the run have no score."""
    words: list[str] = []

    def tamper(name, data, handle):  # type: ignore[no-untyped-def]
        message = from_bytes(data)
        if name == "east" and isinstance(message, Order) and (message.header.step, message.header.round) == ("own", 1):
            return None
        answer = handle(data)
        if isinstance(refusal := from_bytes(answer), Refusal):
            words.append(refusal.header.code)
        return answer

    declared = study("fedavg", rounds=12, own=True)
    with contextlib.closing(Ward(declared, tmp_path, tamper=tamper, refusals_in_a_row=8)) as engine:
        coordinator = Coordinator(declared, engine, tmp_path)
        coordinator.run()
        coordinator.close()
        stopped = {str(name): one.store.stopped() for name, one in engine._sites.items() if one.store.stopped()}
    progress = load(tmp_path)
    assert progress is not None
    assert (stopped, bool(progress.evaluations["federated"])) == ({}, True), (len(words), set(words))


@pytest.mark.permission
def test_an_opening_that_failed_can_be_tried_with_the_hospitals_that_came(tmp_path: Path) -> None:
    """A plain study without a list of sites is run by whoever is there, so the second try may have another cohort."""
    declared = study("fedavg", rounds=2, minimum=2)
    words: list[str] = []

    def alone(name, data, handle):  # type: ignore[no-untyped-def]
        return handle(data) if name == "east" else None

    def here(name, data, handle):  # type: ignore[no-untyped-def]  # noqa: ARG001
        answer = handle(data)
        if isinstance(refusal := from_bytes(answer), Refusal):
            words.append(refusal.header.code)
        return answer

    with ward(declared, tmp_path, alone) as engine, pytest.raises(EngineError):
        Coordinator(declared, engine, tmp_path).run()
    with ward(declared, tmp_path, here, names=("east", "north")) as engine:
        try:
            Coordinator(declared, engine, tmp_path).run()
        except EngineError as error:
            pytest.fail(f"{words}: {error}")


@pytest.mark.permission
def test_a_hospital_silent_at_the_last_evaluation_costs_no_score_for_good(tmp_path: Path) -> None:
    """Nobody spoke for a set, so the sum could wait for --resume; the run ends without its score instead."""
    declared = study("fedavg", rounds=2)

    def tamper(name, data, handle):  # type: ignore[no-untyped-def]
        message = from_bytes(data)
        late = name == "east" and isinstance(message, Order) and message.header.step == "evaluate"
        return None if late else handle(data)

    with ward(declared, tmp_path, tamper) as engine, contextlib.suppress(EngineError):
        Coordinator(declared, engine, tmp_path).run()
    with ward(declared, tmp_path) as engine:
        Coordinator(declared, engine, tmp_path).run()
    progress = load(tmp_path)
    assert progress is not None and progress.evaluations["federated"]
