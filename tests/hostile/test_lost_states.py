"""A hospital loses its state at any moment: before the opening, in it, between rounds. No study dies of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.site.store import STATE
from wardround.study.declaration import Study
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId

from ..hub.test_honest_faults import HOSPITALS, BadDays, masked_study

pytestmark = pytest.mark.permission

EAST = SiteId("east")
THREE, FOUR = HOSPITALS[:3], HOSPITALS


class Losing(BadDays):
    """East loses its state at its message number `moment`, from 0: before it answers, or after it did and before the answer
    leaves. everything: the whole folder but the key, and the counter beside it."""

    def __init__(self, declared: Study, folder: Path, moment: int, *, after: bool, everything: bool) -> None:
        super().__init__(declared, folder, 1, 0.0)
        self.moment, self.after, self.everything, self.messages = moment, after, everything, 0
        self.tamper = self.lose

    def lose(self, name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        if name != EAST:
            return handle(data)
        self.messages += 1
        if self.messages != self.moment + 1:
            return handle(data)
        if self.after:
            handle(data)
        self.forget()
        return None if self.after else self._sites[EAST].handle(data)

    def forget(self) -> None:
        folder = self._folder / "sites" / "east"
        self._sites[EAST].close()
        for path in list(folder.iterdir()) if self.everything else [folder / STATE]:
            if path.name != "identity.key":
                path.unlink(missing_ok=True)
        if self.everything:
            (self._folder / "counters" / "east").unlink(missing_ok=True)
        self._sites[EAST] = self._site("east")


def tries_until_the_end(declared: Study, engine: Losing, folder: Path) -> int:
    """How often the run stopped by name before it came to its end, each time with a hint that was followed."""
    for tries in range(6):
        try:
            coordinator = Coordinator(declared, engine, folder, every_site_must_open=True)
            coordinator.run()
            coordinator.close()
        except EngineError as error:
            assert "--resume" in (error.hint or "")
            engine.all_back()
        else:
            return tries
    pytest.fail("no end, although all hospitals are back")


CASES = [(THREE, 1), (FOUR, 1), (FOUR, 0)]


@pytest.mark.parametrize(("after", "moment"), [(True, 2), (False, 3), (True, 3), (False, 4)])
def test_a_state_lost_in_the_opening_ends_no_study(tmp_path: Path, moment: int, after: bool) -> None:
    """Three hospitals, all needed. One that had signed the set of the opening was lost to it for good, and the study with it."""
    one_loss(tmp_path, moment, THREE, 1, after=after, everything=False)


@pytest.mark.slow
@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("names", "collusion"), CASES, ids=["3-1", "4-1", "4-0"])
def test_a_state_lost_at_any_message_ends_no_study(
    tmp_path: Path, names: tuple[str, ...], collusion: int, after: bool, everything: bool
) -> None:
    """Every message of a run, in turn, until the run has no more."""
    moments = 0
    while one_loss(tmp_path / str(moments), moments, names, collusion, after=after, everything=everything):
        moments += 1
    assert moments >= 10, "keys; an opening, two rounds and an evaluation with two exchanges each; the close"


def one_loss(folder: Path, moment: int, names: tuple[str, ...], collusion: int, *, after: bool, everything: bool) -> bool:
    """Whether the run had a message of this number. It ended with a model of two rounds."""
    declared = masked_study(folder, rounds=2, names=names, collusion=collusion)
    engine = Losing(declared, folder, moment, after=after, everything=everything)
    try:
        assert tries_until_the_end(declared, engine, folder) <= 3, moment
    finally:
        engine.close()
    progress = load(folder)
    assert progress is not None and progress.closed and progress.sites == names and len(progress.history) == 2
    return engine.messages > moment
