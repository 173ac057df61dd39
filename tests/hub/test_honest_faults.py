"""Honest hospitals on bad days: late, silent, killed, asked twice, without memory; and a hub that is killed. No run ends in a
deadlock.

a run with faults --named refusal--> the hospitals are back, somebody has looked --resume--> a model
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.site.config import identity_in
from wardround.site.site import Site
from wardround.site.store import STATE
from wardround.study.declaration import Study
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId, site_id
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Refusal

from ..federation.tiny_federation import Ward, records, study

HOSPITALS = ("east", "north", "south", "west")
FAULTS = ("silent", "late", "killed before", "killed after", "twice", "hub killed", "forgets before", "forgets after")
CURABLE = {"internal"}


class HubKilled(BaseException):
    """What no handler catches."""


class BadDays(Ward):
    """Four hospitals, of which something happens to each message with a small chance."""

    def __init__(self, declared: Study, folder: Path, seed: int, chance: float) -> None:
        self._declared, self._folder, self._chance = declared, folder, chance
        self._draw = random.Random(seed)
        self._sites = {site_id(name): self._site(name) for name in declared.sites.names}
        self.tamper = self._fate
        self.orders, self.answers = [], []

    def _site(self, name: str) -> Site:
        def load() -> object:
            return records("east", shift=0.4) if name == "west" else records(name)

        folder = self._folder / "sites" / name
        return Site(
            site_id(name),
            self._declared,
            load,  # type: ignore[arg-type]
            folder,
            identity=identity_in(folder),
            device="cpu",
            threads=1,
            counter=self._folder / "counters" / name,
        )

    def _restarted(self, name: SiteId) -> Site:
        self._sites[name].close()
        self._sites[name] = self._site(name)
        return self._sites[name]

    def _forgotten(self, name: SiteId) -> Site:
        """The hospital's disk is new: its key is there, and nothing else; or an early state from a backup, or none."""
        folder, early = self._folder / "sites" / name, self._folder / "backups" / name
        self._sites[name].close()
        if not early.exists():
            early.parent.mkdir(exist_ok=True)
            shutil.copytree(folder, early)
        elif self._draw.random() < 0.3:
            shutil.rmtree(folder)
            shutil.copytree(early, folder)
        for path in sorted(folder.iterdir()) if self._draw.random() < 0.5 else [folder / STATE]:
            if path.name != "identity.key" and self._draw.random() < 0.9:
                path.unlink(missing_ok=True)
        if self._draw.random() < 0.3:
            (self._folder / "counters" / name).unlink(missing_ok=True)
        self._sites[name] = self._site(name)
        return self._sites[name]

    def _fate(self, name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        fault = self._draw.choice(FAULTS) if self._draw.random() < self._chance else ""
        match fault:
            case "silent":
                return None
            case "late":
                handle(data)
                return None
            case "killed before":
                return self._restarted(name).handle(data)
            case "killed after":
                handle(data)
                self._restarted(name)
                return None
            case "forgets before":
                return self._forgotten(name).handle(data)
            case "forgets after":
                handle(data)
                self._forgotten(name)
                return None
            case "twice":
                first = handle(data)
                assert handle(data) == first or isinstance(from_bytes(first), Refusal)
                return first
            case "hub killed":
                handle(data)
                raise HubKilled
        return handle(data)

    def all_back(self) -> None:
        """The hospitals are there again, and somebody has looked at each that had stopped and did what the others' logs say."""
        self._chance = 0.0
        for name in self._sites:
            if self._states_less(name):
                state = self._folder / "sites" / name / STATE
                shutil.copy(state, state.with_name("state.copy"))
                state.with_name("state.copy").replace(state)
            self._restarted(name).store.go_on()

    def _states_less(self, name: SiteId) -> bool:
        """Whether another hospital's log says what to run in this one's folder, since an older state was brought back there."""
        logs = [path.read_text("utf-8") for path in self._folder.glob("sites/*/log.ndjson")]
        return any(f"in the site's folder at {name}, run `cp state.safetensors state.copy" in log for log in logs)


def masked_study(
    folder: Path, *, collusion: int = 1, rounds: int = 6, names: tuple[str, ...] = HOSPITALS, **settings: object
) -> Study:
    keys = {name: identity_in(folder / "sites" / name).public for name in names}
    declared = study("fedavg", rounds=rounds, mode="masked", collusion=collusion)
    return declared.revised(sites={"names": names, "keys": keys}, summation=settings)


def ended(declared: Study, engine: BadDays, folder: Path) -> bool:
    """Whether the run came to its end. It may end with a named refusal instead."""
    try:
        coordinator = Coordinator(declared, engine, folder, every_site_must_open=True)
        coordinator.run()
        coordinator.close()
    except (EngineError, HubKilled):
        return False
    return True


def one_run(folder: Path, seed: int, chance: float) -> None:
    declared = masked_study(folder, collusion=seed % 2)  # with 0 fewer witness a beginning than there are hospitals
    assert declared.quorum.threshold == 3
    engine = BadDays(declared, folder, seed, chance)
    try:
        tries = 0
        while not ended(declared, engine, folder):
            tries += 1
            assert tries < 8, f"seed {seed}: no end although all hospitals are back"
            if tries >= 3:
                engine.all_back()
        progress = load(folder)
        assert progress is not None and progress.closed and len(progress.history) == 6
        codes = {refusal.header.code for answer in engine.answers if isinstance(refusal := from_bytes(answer), Refusal)}
        assert not codes & CURABLE, f"seed {seed}: {codes}"
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.permission
@pytest.mark.parametrize("seed", range(2))
def test_a_few_runs_with_faults_end_with_a_model(tmp_path: Path, seed: int) -> None:
    """What a developer sees at once; the many runs are below."""
    one_run(tmp_path, seed, 0.08)


@pytest.mark.slow
@pytest.mark.permission
@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.many) for block in range(1, 20))])
def test_five_hundred_runs_with_faults_end_with_a_model(tmp_path: Path, block: int) -> None:
    """Six rounds, four hospitals, three needed: none of the sequences of honest faults may stop a study for good. All tests
    together take twenty-five of them; `-m permission` takes all."""
    for seed in range(25):
        one_run(tmp_path / str(seed), 1000 + 25 * block + seed, (0.03, 0.06, 0.12)[seed % 3])
