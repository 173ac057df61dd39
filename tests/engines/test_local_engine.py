"""Hospitals as processes: in order or side by side gives the same bits, and a process that dies is a lost site, once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from wardround.engines.local.engine import InOrder, SideBySide, in_process
from wardround.engines.local.fork_client import ForkServer, can_fork
from wardround.engines.local.scheduling import next_duration
from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.hub.notices import ExchangeStarted, Notice, SiteAnswered, SiteLost
from wardround.simulation.simulate import simulate
from wardround.site.config import SiteConfig
from wardround.study.declaration import Study
from wardround.values.ids import SiteId
from wardround.values.records_file import write_records
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Refusal

from ..federation.tiny_federation import NAMES, files_in, records, silent, study
from .processes import children_of, comm_of, descendants_of, is_running, wait_until_gone

EAST = SiteId("east")
TWO = ("east", "north")


def site_configs(of: Study, folder: Path, names: tuple[str, ...] = TWO) -> list[SiteConfig]:
    """Two hospitals: a process of its own takes seconds to load."""
    made = []
    for name in names:
        write_records(folder / "data" / f"{name}.npz", records(name))
        made.append(SiteConfig(name, of, folder / "data" / f"{name}.npz", folder / "sites" / name, "cpu", 1, prepared=True))
    return made


def run(engine: InOrder | SideBySide, of: Study, folder: Path, listener: Callable[[Notice], None] = silent) -> Tree:
    coordinator = Coordinator(of, engine, folder, listener=listener)
    coordinator.run()
    coordinator.close()
    return coordinator.model


KINDS = [
    pytest.param(True, id="forked", marks=pytest.mark.skipif(not can_fork(), reason="the fork server is for Linux")),
    pytest.param(False, id="fresh"),
]
"""Both ways to start a hospital's process keep the same promises."""


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    wanted: bool = getattr(request, "param", can_fork())
    monkeypatch.setattr("wardround.engines.local.engine.can_fork", lambda: wanted)
    return wanted


def pid_of(site: SiteId) -> int:
    """Found by its name among the processes below this one."""
    (pid,) = [pid for pid in descendants_of(os.getpid()) if is_running(pid) and comm_of(pid) == site]
    return pid


def fork_server_pid() -> int:
    """The fork server: the one child of this process that has its module on the command line."""
    children = [pid for pid in children_of(os.getpid()) if is_running(pid)]
    (pid,) = [pid for pid in children if b"fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return pid


linux = pytest.mark.skipif(not can_fork(), reason="the fork server is for Linux")


@contextmanager
def side_by_side(of: Study, folder: Path, workers: int = 2) -> Iterator[SideBySide]:
    with closing(SideBySide(site_configs(of, folder), workers)) as engine:
        yield engine


@pytest.mark.slow
@pytest.mark.parametrize("forked", KINDS, indirect=True)
@pytest.mark.usefixtures("forked")
def test_side_by_side_gives_the_same_bits_as_in_order(tmp_path: Path) -> None:
    """The number of workers is a matter of speed: model, sums, memories and reports may not depend on it. Afterwards no process
    is left, and nobody holds the hospitals' folders."""
    of = study("scaffold", own=True, rounds=2)
    with closing(in_process(site_configs(of, tmp_path / "order"), 0)) as engine:
        assert isinstance(engine, InOrder)
        assert engine.sites() == TWO
        one = run(engine, of, tmp_path / "order")
    with side_by_side(of, tmp_path / "side") as engine:
        assert engine.sites() == TWO
        other = run(engine, of, tmp_path / "side")
        pids = [pid_of(site) for site in engine.sites()]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with closing(InOrder(site_configs(of, tmp_path / "side"))) as again:
        assert len(again.exchange(dict.fromkeys(again.sites(), b""), 60.0)) == 2
    assert same_bits(one, other)
    progress = [load(tmp_path / which) for which in ("order", "side")]
    assert progress[0] is not None
    assert progress[1] is not None
    assert progress[0].evaluations == progress[1].evaluations
    assert files_in(tmp_path / "order" / "sites") == files_in(tmp_path / "side" / "sites")


@pytest.mark.slow
def test_a_masked_run_side_by_side_or_in_order_gives_the_plain_bits(tmp_path: Path) -> None:
    """Masks come from each process's own operating system and must cancel whoever answers first; what is left of them would show
    in every bit. Keys, words and sums between exchanges are gone in the end."""
    runs = {"plain": ("plain", 0), "order": ("masked", 0), "side": ("masked", 3)}
    for name, (mode, workers) in runs.items():
        of, sites = study("scaffold", own=True, rounds=2, mode=mode), {site: records(site) for site in NAMES}
        simulate(of, sites, out=tmp_path / name, workers=workers, register=False)
    progress = {name: load(tmp_path / name) for name in runs}
    plain = progress["plain"]
    assert plain is not None
    for name in ("order", "side"):
        found = progress[name]
        assert found is not None
        assert same_bits(found.state["model"], plain.state["model"])
        assert same_bits(found.state["control"], plain.state["control"])
        assert found.evaluations == plain.evaluations
        assert [entry.exchanges for entry in found.history] == [2, 2]
        assert not (tmp_path / name / "sum.safetensors").exists()


class Deaf(InOrder):
    """East does not hear round 2."""

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        message = from_bytes(next(iter(outbox.values())))
        absent = not isinstance(message, Refusal) and (message.header.step, message.header.round) == ("train", 2)
        heard = {site: data for site, data in outbox.items() if not (absent and site == EAST)}
        return super().exchange(heard, deadline_s, arrived)


@pytest.mark.slow
@pytest.mark.parametrize("forked", KINDS, indirect=True)
@pytest.mark.usefixtures("forked")
def test_a_process_killed_in_the_middle_of_a_round_is_lost_for_that_round_and_back_in_the_next(tmp_path: Path) -> None:
    """SIGKILL, as the kernel does when memory runs out. The model is that of a run in which the site did not hear the order."""
    of = study("scaffold", minimum=1)
    lost: list[SiteLost] = []
    with side_by_side(of, tmp_path / "killed") as engine:
        stopped = threading.Event()

        def watch(event: Notice) -> None:
            if isinstance(event, ExchangeStarted) and (event.step, event.number) == ("train", 2):
                os.kill(pid_of(EAST), signal.SIGSTOP)  # the order lies in its pipe; it does not answer
                stopped.set()
            if isinstance(event, SiteAnswered) and stopped.is_set():
                stopped.clear()
                os.kill(pid_of(EAST), signal.SIGKILL)
            if isinstance(event, SiteLost):
                lost.append(event)

        model = run(engine, of, tmp_path / "killed", watch)
    assert lost == [SiteLost(EAST, "no-answer")]
    progress = load(tmp_path / "killed")
    assert progress is not None
    assert [entry.counted for entry in progress.history] == [TWO, ("north",), TWO]
    with closing(Deaf(site_configs(of, tmp_path / "deaf"))) as deaf:
        assert same_bits(run(deaf, of, tmp_path / "deaf"), model)


@pytest.mark.slow
@pytest.mark.parametrize("forked", KINDS, indirect=True)
@pytest.mark.usefixtures("forked")
def test_a_process_that_hangs_is_dropped_at_the_deadline_and_started_again(tmp_path: Path) -> None:
    """One hospital's hanging disk must not hold the others for longer than the study says."""
    with side_by_side(study(), tmp_path) as engine:
        echo = dict.fromkeys(engine.sites(), b"not an order")
        assert engine.exchange(echo, 60.0).keys() == {"east", "north"}
        hanging = pid_of(EAST)
        os.kill(hanging, signal.SIGSTOP)
        began = time.monotonic()
        answers = engine.exchange(echo, 1.0)
        assert time.monotonic() - began < 20.0
        assert answers.keys() == {"north"}
        again = engine.exchange(echo, 60.0)
        assert again.keys() == {"east", "north"}
        assert pid_of(EAST) != hanging
        assert all(isinstance(from_bytes(answer), Refusal) for answer in again.values())


def test_a_slow_site_in_order_is_counted_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline means the same with one process as with many."""
    with closing(InOrder(site_configs(study(), tmp_path, NAMES))) as engine:
        engine.exchange(dict.fromkeys(engine.sites(), b"not an order"), 60.0)  # opens them, which takes longer than an answer
        clock = iter([0.0, 1.0, 10.0, 15.0, 20.0, 22.0])
        with monkeypatch.context() as patched:
            patched.setattr("wardround.engines.local.engine.time.monotonic", lambda: next(clock))
            answers = engine.exchange(dict.fromkeys(engine.sites(), b"not an order"), 3.0)
    assert answers.keys() == {"east", "south"}


def test_a_brief_exchange_does_not_change_whose_turn_is_first() -> None:
    """Between two trainings a masked sum asks for signatures and shares: milliseconds, by which nobody should be put in order."""
    assert next_duration(1000.0, 0.01) == 1000.0
    assert next_duration(1000.0, 400.0) == 400.0
    assert next_duration(0.0, 0.01) == 0.01


def test_a_seat_survives_the_way_to_its_process(tmp_path: Path) -> None:
    """A process of its own must serve the very study that the coordinator runs."""
    for site_config in site_configs(study("fedopt"), tmp_path):
        again = SiteConfig.from_json(site_config.to_json())
        assert again == site_config
        assert again.study.hash == site_config.study.hash


@pytest.mark.slow
@linux
def test_the_fork_server_forks_while_it_has_one_thread(tmp_path: Path) -> None:
    """A fork copies one thread: a lock that another held would stay locked in every hospital's process, now and then."""
    with side_by_side(study(), tmp_path) as engine:
        assert engine.exchange(dict.fromkeys(engine.sites(), b""), 60.0).keys() == {"east", "north"}
        assert len(list(Path(f"/proc/{fork_server_pid()}/task").iterdir())) == 1


@pytest.mark.slow
@linux
def test_a_fork_server_that_dies_is_replaced_for_the_next_child(tmp_path: Path) -> None:
    """The kernel may choose it when memory runs out; that may cost a hospital a round, never all of them the run."""
    with side_by_side(study(), tmp_path) as engine:
        echo = dict.fromkeys(engine.sites(), b"")
        assert len(engine.exchange(echo, 60.0)) == 2
        dead, east, north = fork_server_pid(), pid_of(EAST), pid_of(SiteId("north"))
        os.kill(dead, signal.SIGKILL)
        os.kill(east, signal.SIGKILL)
        wait_until_gone([dead, east])  # while it is still dying, a request to it may be lost, and with it one exchange
        assert len(engine.exchange(echo, 60.0)) == 2
        assert fork_server_pid() != dead
    wait_until_gone([north])


@pytest.mark.slow
@linux
def test_a_fork_server_without_its_coordinator_takes_even_stopped_children_along(tmp_path: Path) -> None:
    """A stopped process does not hear that its orders have ended; somebody else must end it."""
    fork_server = ForkServer()
    with closing(SideBySide(site_configs(study(), tmp_path), 2, fork_server)) as engine:
        assert len(engine.exchange(dict.fromkeys(engine.sites(), b""), 60.0)) == 2
        stopped = pid_of(EAST)
        os.kill(stopped, signal.SIGSTOP)
        fork_server.close()
        wait_until_gone([stopped])
