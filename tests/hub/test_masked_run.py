"""Whole runs under the masked sum give the bits of plain ones, whoever is lost."""

from pathlib import Path

import pytest

from wardround.hub.coordinator import Coordinator
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import same_bits

from ..federation.tiny_federation import NAMES, enrolled, run, study, ward
from .masked_runs import Handle, header_of, history_of, is_training, losing_train, masked

ALGORITHMS = ["fedavg", "fedprox", "fedopt", "scaffold", "fedbn"]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_masked_run_gives_the_bits_of_the_plain_one_in_two_exchanges_a_round(tmp_path: Path, algorithm: str) -> None:
    """Hiding the contributions must cost no accuracy: not one bit, in any algorithm."""
    plain = run(study(algorithm, own=True, rounds=2), tmp_path / "plain")
    hidden = run(masked(algorithm, own=True, collusion=1), tmp_path / "masked")
    assert same_bits(plain, hidden)
    progress = [history_of(tmp_path / which) for which in ("plain", "masked")]
    assert progress[0].evaluations == progress[1].evaluations
    assert progress[0].dataset_counts == progress[1].dataset_counts
    assert [entry.exchanges for entry in progress[1].history] == [2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold", "fedbn"])
@pytest.mark.parametrize("heard", [False, True])
def test_a_lost_site_leaves_the_others_mean_in_three_exchanges(tmp_path: Path, algorithm: str, heard: bool) -> None:
    """The same bits as the plain run with the same loss, also in the rounds after: no memory of what was not counted."""
    lost = losing_train(2, "east", heard=heard)
    plain = run(study(algorithm), tmp_path / "plain", lost)
    hidden = run(masked(algorithm, rounds=3), tmp_path / "masked", lost)
    assert same_bits(plain, hidden)
    history = history_of(tmp_path / "masked").history
    assert [entry.exchanges for entry in history] == [2, 3, 2]
    assert [entry.counted for entry in history] == [NAMES, ("north", "south"), NAMES]
    assert history[1].lost == {"east": "no-answer"}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "scaffold", "fedbn"])
def test_attempts_that_fail_change_no_bit(tmp_path: Path, algorithm: str) -> None:
    """Round 1 loses all words but one site's at first; round 2 loses east, then a signature, then works. Memory is committed by
    what was counted in the end, and nobody trains twice."""
    plain = run(study(algorithm), tmp_path / "plain", losing_train(2, "east", heard=True))
    dropped: list[str] = []
    second: list[bytes] = []

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        answer = handle(data)
        header = header_of(data)
        second.extend([data] if is_training(data, 2) else [])
        if is_training(data, 1) and header.masked.attempt == 1 and name != "south":
            return None
        if is_training(data, 2) and header.masked.attempt == 1 and name == "east":
            return None
        if header.kind == "ask" and header.what == "sign" and name == "north" and second and not dropped:
            dropped.append(name)
            return None
        return answer

    hidden = run(masked(algorithm, rounds=3), tmp_path / "masked", tamper)
    assert dropped
    assert same_bits(plain, hidden)
    history = history_of(tmp_path / "masked").history
    assert [entry.counted for entry in history] == [NAMES, ("north", "south"), NAMES]
    assert [entry.exchanges for entry in history] == [1 + 2, 2 + 2, 2]


@pytest.mark.slow
def test_too_few_sites_stop_the_run_by_name_and_it_goes_on_when_they_are_back(tmp_path: Path) -> None:
    """Three attempts, then the checkpoint stays. Who answered masks the same words once more: the same bits in the end."""
    of = enrolled(masked("scaffold", rounds=3), tmp_path / "run")
    with ward(of, tmp_path / "run", losing_train(2, "east", "north", heard=True)) as engine:
        with pytest.raises(EngineError, match=r"at least 2.*Found: 1 \(east: no-answer, north: no-answer\)"):
            Coordinator(of, engine, tmp_path / "run").run()
        assert history_of(tmp_path / "run").round == 1
        engine.tamper = lambda name, data, handle: handle(data)  # noqa: ARG005
        coordinator = Coordinator(of, engine, tmp_path / "run")
        coordinator.run()
        assert same_bits(coordinator.model, run(study("scaffold"), tmp_path / "plain"))
