"""Private runs over real processes: in order or side by side gives the same bits where there is no noise, and kill -9 leaves
a run that ends, and ledgers that count each step once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wardround.engines.local.fork_client import can_fork
from wardround.hub.checkpoint import load
from wardround.privacy.ledger.ledger import Ledger
from wardround.simulation.simulate import simulate
from wardround.values.tree import same_bits

from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, records
from .processes import descendants_of, wait_until_gone

SCRIPT = Path(__file__).with_name("killed_simulation.py")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "algorithm"), [("patient-distributed", "fedsgd"), ("patient-local", "scaffold")])
def test_without_noise_private_runs_have_the_same_bits_in_order_and_side_by_side(
    tmp_path: Path, mode: str, algorithm: str
) -> None:
    """The law of engines, where it can be seen: everybody is drawn and no noise is added. What a private run draws else
    comes from each process's own operating system."""
    of, sites = private_study(mode, algorithm, rounds=2, noise=0.0), {name: records(name) for name in NAMES}
    for which, workers in (("order", 0), ("side", 3)):
        simulate(of, sites, out=tmp_path / which, workers=workers, register=False)
    found = [load(tmp_path / which) for which in ("order", "side")]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].state.keys() == found[1].state.keys()
    assert all(same_bits(found[0].state[part], found[1].state[part]) for part in found[0].state)
    reports = [
        [(tmp_path / which / "sites" / name / "report.json").read_bytes() for name in NAMES] for which in ("order", "side")
    ]
    assert reports[0] == reports[1]


def kill_at(moment: str, folder: Path, algorithm: str, workers: int, mode: str) -> None:
    """Runs the simulation, new or resumed, and kills it as soon as it has said `moment`."""
    command = [sys.executable, str(SCRIPT), str(folder), algorithm, str(workers), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if moment in line:
                break
        else:
            pytest.fail(f"the run ended before it said {moment}")
        children = descendants_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    wait_until_gone(children)


@pytest.mark.slow
@pytest.mark.skipif(not can_fork(), reason="watches the processes through /proc")
@pytest.mark.parametrize(
    ("mode", "algorithm", "workers", "moments"),
    [
        ("patient-distributed", "fedsgd", 2, ["ExchangeStarted(step='train', number=2", "RoundFinished(number=3"]),
        pytest.param("patient-local", "fedavg", 0, ["ExchangeStarted(step='train', number=3"], marks=pytest.mark.many),
    ],
)
def test_killed_and_resumed_private_runs_end_with_one_release_for_each_step(
    tmp_path: Path, mode: str, algorithm: str, workers: int, moments: list[str]
) -> None:
    """A power cut may not cost a patient twice, nor be forgotten by the ledger. Whatever was marked as released before a kill is
    what it was after it: the very same bytes, or nothing."""
    folder, of = tmp_path / "run", private_study(mode, algorithm)
    released: dict[tuple[str, str], str] = {}
    for moment in moments:
        kill_at(moment, folder, algorithm, workers, mode)
        for name in NAMES:
            for (_, release), charge in Ledger(folder / "sites" / name / "ledger.sqlite").charges().items():
                if charge.digest:
                    assert released.setdefault((name, release), charge.digest) == charge.digest
    simulate(of, out=folder, resume=True, workers=0, register=False)
    for name in NAMES:
        ledger = Ledger(folder / "sites" / name / "ledger.sqlite")
        charges = {release: charge for (_, release), charge in ledger.charges().items()}
        assert [release[: len("train/1/")] for release in charges] == [
            f"train/{number}/" for number in range(1, of.algorithm.rounds + 1)
        ]
        assert {charge.status for charge in charges.values()} == {"released"}
        assert sum(ledger.spent().values()) == of.algorithm.rounds * (of.privacy.steps or 1)
        assert all(charges[release].digest == digest for (site, release), digest in released.items() if site == name)
        assert all(found.closed for found in ledger.history().values())
    assert released
