"""The settings of the machine that runs a study: they reach what they are for, and change nothing that was agreed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

import wardround as wr
from tests.simulation.small_study import write_hospital, write_hospitals, write_study
from wardround.engines.local.engine import InOrder
from wardround.hub.notices import Notice, RoundFinished
from wardround.study.run_settings import load_run
from wardround.study.sections.simulation import SimulatedHospital, SimulationSection
from wardround.values.errors import EngineError, RunError, StudyError
from wardround.values.ids import SiteId

THREE = '[simulation]\nby = "iid"\nhospitals = [{ name = "a" }, { name = "b" }, { name = "c" }]\n'
ABROAD = '[external]\npath = "abroad.csv"\nsplit = "all"\n'
EXTERNAL = '[evaluation.external]\nname = "abroad"\n'


class Stopped(Exception):
    """Stands for whatever ends a process."""


def stop_after_two_rounds(notice: Notice) -> None:
    if isinstance(notice, RoundFinished) and notice.number == 2:
        raise Stopped


def whole(folder: Path) -> Path:
    return write_hospital(folder / "all.csv", rows=240, seed=1)


@pytest.mark.slow
def test_a_study_takes_the_run_file_beside_it_and_its_hash_stays(tmp_path: Path) -> None:
    """One command runs an example; and what this machine needs, no hospital is asked about."""
    bare = wr.load_study(write_study(tmp_path))
    study = write_study(tmp_path, run=f"[run]\nworkers = 0\ndeadline_s = 7.0\n{THREE}")
    run = wr.simulate(study, data=whole(tmp_path), out=tmp_path / "run", register=False)
    assert set(run.metrics["sites"]) == {"a", "b", "c"} and run.record.workers == 0
    assert wr.load_study(run.folder / "study.toml").hash == bare.hash
    kept = load_run(run.folder / "study.run.toml")
    assert kept.run.deadline_s == 7.0 and kept.simulation is not None


@pytest.mark.slow
def test_keywords_win_over_the_run_file(tmp_path: Path) -> None:
    """A file is for every day, a keyword for once."""
    study = write_study(tmp_path, run=f"[run]\nworkers = 5\n{THREE}")
    two = tuple(SimulatedHospital(name=name) for name in ("left", "middle", "right"))
    run = wr.simulate(
        study,
        data=whole(tmp_path),
        division=SimulationSection(by="iid", hospitals=two),
        workers=0,
        out=tmp_path / "run",
        register=False,
    )
    assert set(run.metrics["sites"]) == {"left", "middle", "right"} and run.record.workers == 0


@pytest.mark.slow
def test_the_deadline_reaches_every_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that nothing reads would leave a run waiting for an hour."""
    deadlines: set[float] = set()
    exchange = InOrder.exchange

    def listening(
        self: InOrder, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        deadlines.add(deadline_s)
        return exchange(self, outbox, deadline_s, arrived)

    monkeypatch.setattr(InOrder, "exchange", listening)
    settings = wr.RunSettings().with_run(workers=0, deadline_s=1234.0)
    wr.simulate(write_study(tmp_path), write_hospitals(tmp_path), out=tmp_path / "run", register=False, run=settings)
    assert deadlines == {1234.0}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_the_device_reaches_the_hospitals(tmp_path: Path) -> None:
    """One that the machine lacks is refused, where a setting that nothing reads would train on."""
    settings = wr.RunSettings().with_run(workers=0, device="cuda")
    with pytest.raises(EngineError, match="north: study"):
        wr.simulate(write_study(tmp_path), write_hospitals(tmp_path), out=tmp_path / "run", register=False, run=settings)


@pytest.mark.slow
def test_a_run_goes_on_with_other_workers_and_deadline_to_the_same_model(tmp_path: Path) -> None:
    """They change no result; and what the run was started with need not be said again."""
    study = write_study(tmp_path, run=f"[run]\nworkers = 0\n{THREE}")
    straight = wr.simulate(study, data=whole(tmp_path), out=tmp_path / "straight", register=False)
    with pytest.raises(Stopped):
        wr.simulate(study, data=whole(tmp_path), out=tmp_path / "run", register=False, listener=stop_after_two_rounds)
    (tmp_path / "study.run.toml").unlink()
    settings = wr.RunSettings().with_run(workers=2, deadline_s=99.0)
    resumed = wr.simulate(tmp_path / "run" / "study.toml", out=tmp_path / "run", resume=True, register=False, run=settings)
    assert resumed.record.workers == 2
    assert (resumed.folder / "model.safetensors").read_bytes() == (straight.folder / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "words"),
    [
        (THREE.replace('{ name = "c" }', '{ name = "d" }') + ABROAD, "another division"),
        (THREE + ABROAD.replace("abroad", "elsewhere"), "another external test set"),
    ],
)
def test_a_run_does_not_go_on_with_other_hospitals_or_another_external_test(tmp_path: Path, run: str, words: str) -> None:
    """Its report would describe what it was not."""
    write_hospital(tmp_path / "abroad.csv", rows=60, seed=8)
    study = write_study(tmp_path, more=EXTERNAL, run=THREE + ABROAD)
    with pytest.raises(Stopped):
        wr.simulate(study, data=whole(tmp_path), out=tmp_path / "run", workers=0, register=False, listener=stop_after_two_rounds)
    (tmp_path / "study.run.toml").write_text(run, "utf-8")
    with pytest.raises(RunError, match=words) as error:
        wr.simulate(study, out=tmp_path / "run", resume=True, workers=0, register=False)
    advised = tmp_path / "run" / "study.run.toml"
    assert f"--run {advised}" in error.value.hint
    run_again = wr.simulate(study, out=tmp_path / "run", resume=True, workers=0, register=False, run=advised)
    assert set(run_again.metrics["external"]) == {"abroad"}


@pytest.mark.parametrize(
    ("more", "run", "words"),
    [
        (EXTERNAL, THREE, "no run file says where it lies"),
        ("", THREE + ABROAD, "the study is not judged on one"),
    ],
)
def test_study_and_run_file_must_agree_that_there_is_an_external_test(tmp_path: Path, more: str, run: str, words: str) -> None:
    """A test that is promised and not made, and one that is given and not read, are both mistakes."""
    write_hospital(tmp_path / "abroad.csv", rows=60, seed=8)
    events: list[Notice] = []
    with pytest.raises(StudyError, match=words):
        wr.simulate(
            write_study(tmp_path, more=more, run=run),
            data=whole(tmp_path),
            out=tmp_path / "run",
            workers=0,
            register=False,
            listener=events.append,
        )
    assert not events
