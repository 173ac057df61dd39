"""What every engine promises, whatever carries its bytes. A test class inherits this and says how its engine is opened."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from wardround.engines.local.engine import InOrder
from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.hub.engine import Engine
from wardround.site.config import SiteConfig
from wardround.study.declaration import Study
from wardround.values.ids import SiteId
from wardround.values.records_file import write_records
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Refusal

from ..federation.tiny_federation import NAMES, enrolled, records, silent, study

JUNK = b"not an order"


def site_configs(of: Study, folder: Path) -> list[SiteConfig]:
    made = []
    for name in NAMES:
        write_records(folder / "data" / f"{name}.npz", records(name))
        made.append(SiteConfig(name, of, folder / "data" / f"{name}.npz", folder / "sites" / name, "cpu", 1, prepared=True))
    return made


def run(engine: Engine, of: Study, folder: Path) -> Tree:
    coordinator = Coordinator(of, engine, folder / "run", listener=silent)
    coordinator.run()
    coordinator.close()
    return coordinator.model


class EngineConformance:
    """Three hospitals with real records behind the engine."""

    def opened(self, configs: Sequence[SiteConfig], folder: Path) -> AbstractContextManager[Engine]:
        """The engine over these hospitals, which are closed with it."""
        raise NotImplementedError

    def test_sites_are_named_in_order(self, tmp_path: Path) -> None:
        """Cohorts are written into orders, and equal orders must have equal bytes."""
        with self.opened(site_configs(study(), tmp_path), tmp_path) as engine:
            assert engine.sites() == tuple(sorted(NAMES))

    def test_every_site_is_heard_of_once_and_answers_for_itself(self, tmp_path: Path) -> None:
        """A site that were heard of twice, or for another, would be counted so."""
        with self.opened(site_configs(study(), tmp_path), tmp_path) as engine:
            heard: list[SiteId] = []
            answers = engine.exchange(dict.fromkeys(engine.sites(), JUNK), 60.0, heard.append)
            assert sorted(heard) == sorted(answers) == list(engine.sites())
            for site in engine.sites():
                message = from_bytes(answers[site])
                assert isinstance(message, Refusal) and message.header.site == site

    def test_only_those_who_are_asked_answer(self, tmp_path: Path) -> None:
        """A cohort may be a part of the hospitals."""
        with self.opened(site_configs(study(), tmp_path), tmp_path) as engine:
            assert set(engine.exchange({engine.sites()[1]: JUNK}, 60.0)) == {engine.sites()[1]}
            assert set(engine.exchange(dict.fromkeys(engine.sites(), JUNK), 60.0)) == set(engine.sites())

    def test_nobody_asked_is_nobody_answered(self, tmp_path: Path) -> None:
        """An empty exchange ends at once and not at its deadline."""
        with self.opened(site_configs(study(), tmp_path), tmp_path) as engine:
            assert dict(engine.exchange({}, 3600.0)) == {}

    @pytest.mark.slow
    @pytest.mark.parametrize("mode", ["plain", "masked"])
    def test_a_run_gives_the_bits_of_one_process(self, mode: str, tmp_path: Path) -> None:
        """Between hospitals and on one machine the same study has the same model and the same sums."""
        models, progress = [], []
        for name in ("local", "other"):
            folder = tmp_path / name
            of = enrolled(study("scaffold", own=True, rounds=2, mode=mode), folder)
            configs = site_configs(of, folder)
            if name == "local":
                engine = InOrder(configs)
                models.append(run(engine, of, folder))
                engine.close()
            else:
                with self.opened(configs, folder) as other:
                    models.append(run(other, of, folder))
            progress.append(load(folder / "run"))
        assert same_bits(*models)
        assert progress[0] is not None and progress[1] is not None
        assert progress[0].evaluations == progress[1].evaluations
