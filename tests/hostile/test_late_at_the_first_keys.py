"""A hospital that is late when the first keys are made: afterwards everybody is there, and nobody answers."""

from pathlib import Path

import pytest

from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.site.config import identity_in
from wardround.values.errors import EngineError
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Ask, Order, Refusal

from ..federation.tiny_federation import study
from ..hub.test_honest_faults import HOSPITALS, BadDays


@pytest.mark.permission
@pytest.mark.parametrize("every", [True, False])
def test_a_hospital_late_at_the_first_keys_does_not_stop_the_study(tmp_path: Path, every: bool) -> None:
    """every: the hub waits for all hospitals. Else a second one misses the first order, once."""
    keys = {name: identity_in(tmp_path / "sites" / name).public for name in HOSPITALS}
    declared = study("fedavg", rounds=2, mode="masked", collusion=0).revised(sites={"names": HOSPITALS, "keys": keys})
    engine = BadDays(declared, tmp_path, 1, 0.0)
    missed: set[str] = set()
    words: list[str] = []

    def tamper(name, data, handle):  # type: ignore[no-untyped-def]
        message = from_bytes(data)
        if name == "west" and isinstance(message, Ask) and message.header.what == "keys" and "keys" not in missed:
            missed.add("keys")
            return None
        if not every and name == "south" and isinstance(message, Order) and "order" not in missed:
            missed.add("order")
            return None
        answer = handle(data)
        if isinstance(refusal := from_bytes(answer), Refusal):
            words.append(f"{name}:{refusal.header.code}")
        return answer

    engine.tamper = tamper
    try:
        for _ in range(5):
            try:
                coordinator = Coordinator(declared, engine, tmp_path, every_site_must_open=every)
                coordinator.run()
                coordinator.close()
                break
            except EngineError:
                engine.all_back()
        progress = load(tmp_path)
        assert progress is not None and progress.closed, sorted(set(words))
    finally:
        engine.close()
