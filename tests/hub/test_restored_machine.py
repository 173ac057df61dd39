"""A hospital's machine that was brought back from a snapshot, and what its page of security says to do then."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wardround.hub.coordinator import Coordinator
from wardround.site.site import Site
from wardround.site.store import STATE
from wardround.study.declaration import Study
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.records import Records

from ..docs.pages import read
from ..federation.tiny_federation import NAMES, Ward, enrolled, records
from .masked_runs import EAST, Handle, history_of, is_training, masked


class SnapshotWard(Ward):
    """East's machine is photographed before round 2 and brought back before round 3: its folder, and the counter outside.

    mend: what its administrator then does with the state file."""

    def __init__(self, declared: Study, folder: Path, mend: Callable[[Path], None]) -> None:
        super().__init__(declared, folder)
        self.declared, self.folder, self.mend, self.returned = declared, folder, mend, False
        self._start(EAST)
        self.tamper = self.brought_back

    @property
    def state(self) -> Path:
        return self._sites[EAST].store.folder / STATE

    def brought_back(self, name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        if name != EAST:
            return handle(data)
        if is_training(data, 2) and not self._snapshot.exists():
            self._photograph()
        if is_training(data, 3) and not self.returned:
            self._bring_back()
        return self._sites[EAST].handle(data)

    @property
    def _snapshot(self) -> Path:
        return self.folder / "snapshot"

    def _photograph(self) -> None:
        """A link keeps the very file, as a snapshot of a disk does: a copy would have another place, and be known by it."""
        shutil.copytree(self.state.parent, self._snapshot)
        (self._snapshot / STATE).unlink()
        os.link(self.state, self._snapshot / STATE)
        shutil.copy2(self.folder / "counter", self._snapshot / "counter")

    def _bring_back(self) -> None:
        self.returned = True
        folder = self.state.parent
        self._sites[EAST].close()
        shutil.copy2(self._snapshot / "counter", self.folder / "counter")
        for later in folder.glob("*.safetensors"):
            later.unlink()
        for earlier in self._snapshot.glob("*.safetensors"):
            os.link(earlier, folder / earlier.name)
        self.mend(folder)
        self._start(EAST)

    def _start(self, name: SiteId) -> None:
        before = self._sites[name]
        before.close()
        identity = before.participant._party.identity if before.participant is not None else None
        load: Callable[[], Records] = lambda: records(name)  # noqa: E731
        self._sites[name] = Site(
            name, self.declared, load, before.store.folder, identity=identity, device="cpu", counter=self.folder / "counter"
        )


def left_alone(folder: Path) -> None:
    """The administrator does not know that there is anything to do."""
    assert (folder / STATE).exists()


def as_the_page_says(folder: Path) -> None:
    (command,) = re.findall(r"`(cp .*state\.safetensors)`", read("docs/security.md"))
    subprocess.run(command, shell=True, check=True, cwd=folder)
    assert [path.name for path in folder.glob("*.copy*")] == []


def deleted(folder: Path) -> None:
    (folder / STATE).unlink()


def rounds_of(folder: Path, mend: Callable[[Path], None]) -> tuple[list[tuple[str, ...]], str]:
    """Who was counted in each round of a run of five, and what east takes its memory for at the end."""
    declared = enrolled(masked(rounds=5), folder)
    engine = SnapshotWard(declared, folder, mend)
    try:
        with suppress(EngineError):
            Coordinator(declared, engine, folder).run()
        status = engine._sites[EAST].store.read().masked.memory_status
    finally:
        engine.close()
    assert engine.returned
    return [tuple(entry.counted) for entry in history_of(folder).history], status


OTHERS = ("north", "south")


def test_a_machine_that_was_brought_back_takes_part_again_after_the_command_of_the_page(tmp_path: Path) -> None:
    """Its site must stay out of what it may have said, and come back; deleted, it was `not-open` for good."""
    counted, status = rounds_of(tmp_path, as_the_page_says)
    assert counted == [NAMES, NAMES, OTHERS, NAMES, NAMES]
    assert status == "forgetful"


def test_a_site_without_its_state_comes_back_as_one_that_has_forgotten(tmp_path: Path) -> None:
    """Deleting is what one thinks of first. It gets the model once more, and stays out of what it may have answered."""
    counted, status = rounds_of(tmp_path, deleted)
    assert counted[:4] == [NAMES, NAMES, OTHERS, OTHERS] and counted[4] == NAMES
    assert status == "forgetful"


def test_a_machine_that_was_brought_back_and_left_so_does_not_notice(tmp_path: Path) -> None:
    """Why the page says what to do. If this fails, the site has learned to notice, and the page may promise more."""
    counted, status = rounds_of(tmp_path, left_alone)
    assert counted == [NAMES] * 5 and status == "member"
