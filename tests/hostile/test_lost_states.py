"""A hospital loses its state at any moment: before the opening, in it, between rounds. No study dies of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wardround.crypto.identity import Identity
from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.hub.sum_coordinator import SumCoordinator
from wardround.plan.sum_plan import Quantity, SumPlan
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.store import STATE
from wardround.site.sum_site import SumSite
from wardround.study.declaration import Study
from wardround.values.canonical import sha256_hex
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import AskHeader, Order, OrderHeader

from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, Tamper, Ward, enrolled, site, study, ward
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


@pytest.mark.slow
@pytest.mark.parametrize(("after", "moment"), [(True, 2), (False, 3), (True, 3), (False, 4)])
def test_a_state_lost_in_the_opening_ends_no_study(tmp_path: Path, moment: int, after: bool) -> None:
    """Three hospitals, all needed. One that had signed the set of the opening was lost to it for good, and the study with it."""
    one_loss(tmp_path, moment, THREE, 1, after=after, everything=False)


OF_EVERY_RUN = {("3-1", True, False)}
"""What a run of all tests takes of the losses below."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "collusion", "after", "everything"),
    [
        pytest.param(
            *case,
            after,
            everything,
            id=f"{name}-{after}-{everything}",
            marks=[] if (name, after, everything) in OF_EVERY_RUN else pytest.mark.many,
        )
        for name, case in zip(("3-1", "4-1", "4-0"), CASES, strict=True)
        for after in (False, True)
        for everything in (False, True)
    ],
)
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


def forgetting_at(number: int, engine_of: Callable[[], Ward], declared: Study, *, after: bool) -> Tamper:
    """East's state file is gone at the first order of this round, before it answers or after; its ledger and key are there."""
    done: list[int] = []

    def tamper(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        message = from_bytes(data)
        training = isinstance(message, Order) and (message.header.step, message.header.round) == ("train", number)
        if name != EAST or not training or done:
            return handle(data)
        done.append(number)
        if after:
            handle(data)
        engine = engine_of()
        folder = engine._sites[EAST].store.folder
        engine._sites[EAST].close()
        (folder / STATE).unlink()
        engine._sites[EAST] = site("east", declared, folder)
        return None if after else engine._sites[EAST].handle(data)

    return tamper


STUDIES = {
    "plain": lambda: study("scaffold", rounds=4, own=True),
    "patient-distributed": lambda: private_study("patient-distributed", "fedsgd", rounds=4),
    "patient-local": lambda: private_study("patient-local", "fedavg", rounds=4),
}


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("plain", False),
        ("plain", True),
        pytest.param("patient-distributed", True, marks=pytest.mark.slow),
        pytest.param("patient-distributed", False, marks=[pytest.mark.slow, pytest.mark.many]),
        pytest.param("patient-local", False, marks=[pytest.mark.slow, pytest.mark.many]),
        pytest.param("patient-local", True, marks=[pytest.mark.slow, pytest.mark.many]),
    ],
)
def test_a_hospital_that_lost_its_state_between_rounds_of_any_study_comes_back(tmp_path: Path, kind: str, after: bool) -> None:
    """It had no model any more and was out for good, and a study that needs every hospital with it. A private step is charged
    once, and what has left is not worked out again."""
    declared = enrolled(STUDIES[kind](), tmp_path)
    with ward(declared, tmp_path) as engine:
        engine.tamper = forgetting_at(2, lambda: engine, declared, after=after)
        coordinator = Coordinator(declared, engine, tmp_path / "hub")
        coordinator.run()
        coordinator.close()
    history = coordinator.progress.history
    missed = [entry.round for entry in history if entry.counted != NAMES]
    assert missed == ([2, 3] if kind == "plain" and after else [2]), "a plain sum hears of the loss one order later"
    if declared.privacy.private:
        charges = Ledger(tmp_path / "sites" / "east" / "ledger.sqlite").charges()
        rounds = [int(release.split("/")[1]) for _, release in charges]
        assert rounds == ([1, 2, 3, 4] if after else [1, 3, 4])


def test_a_sum_that_a_site_forgot_is_over_and_the_next_one_is_not(tmp_path: Path) -> None:
    """The hint of the error is followed: another number of the plan."""
    identities = {name: Identity.new() for name in NAMES}
    plan = SumPlan("t", {name: one.public for name, one in identities.items()}, {"v": Quantity((1,))}, numbers=4)
    sites: dict[SiteId, SumSite] = {}

    def begin(name: str) -> None:
        sites[SiteId(name)] = SumSite(plan, name, identities[name], lambda *_: {"v": np.ones(1, np.int64)}, tmp_path / name)

    for name in NAMES:
        begin(name)
    coordinator = SumCoordinator(
        plan, lambda out: {site: sites[site].handle(data) for site, data in out.items()}, tmp_path / "hub"
    )
    assert coordinator.sum(number=1)["v"].tolist() == [3]
    sites[EAST].close()
    (tmp_path / "east" / STATE).unlink()
    begin("east")
    with pytest.raises(EngineError, match="ask for another number"):
        coordinator.sum(number=2)
    assert coordinator.sum(number=3)["v"].tolist() == [3]
    for one in sites.values():
        one.close()


def hints_of(declared: Study, engine: BadDays, folder: Path) -> str:
    """The hint of the error that the run ends with; empty where it ends with a model."""
    try:
        coordinator = Coordinator(declared, engine, folder)
        coordinator.run()
        coordinator.close()
    except EngineError as error:
        return error.hint or ""
    return ""


def silent_at(what: str, step: str, number: int) -> Tamper:
    """East does not answer this ask, or the order itself, of one sum."""
    orders: set[str] = set()

    def tamper(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes | None:
        header = from_bytes(data).header
        if isinstance(header, OrderHeader) and (header.step, header.round) == (step, number):
            orders.add(sha256_hex(data))
        about = header.order if isinstance(header, AskHeader) else sha256_hex(data)
        asked = header.what if isinstance(header, AskHeader) else "order"
        return None if name == EAST and asked == what and about in orders else handle(data)

    return tamper


def test_a_round_that_waits_for_a_hospital_says_so_and_goes_on_when_resumed_without_it(tmp_path: Path) -> None:
    """Three hospitals, all needed; two have opened the second round, and east is silent in it for ever."""
    declared = masked_study(tmp_path, rounds=3, names=THREE)
    engine = BadDays(declared, tmp_path, 1, 0.0)
    engine.tamper = silent_at("open", "train", 2)
    assert "log of east" in (hint := hints_of(declared, engine, tmp_path)) and "still goes on without this sum" in hint
    assert hints_of(declared, engine, tmp_path) == ""
    progress = load(tmp_path)
    engine.close()
    assert progress is not None
    assert [entry.discarded for entry in progress.history] == ["", "closed-for-ever", ""]


def test_an_opening_that_others_have_answered_says_that_it_waits_for_good(tmp_path: Path) -> None:
    """They answer for no other set: without east there is no opening, and the hint promises nothing else."""
    declared = masked_study(tmp_path, rounds=2, names=THREE)
    engine = BadDays(declared, tmp_path, 1, 0.0)
    true, engine.tamper = engine.tamper, silent_at("open", "open", 0)
    for _ in range(2):
        assert "if one is gone for good, agree on a new study" in hints_of(declared, engine, tmp_path)
    engine.tamper = true
    assert hints_of(declared, engine, tmp_path) == ""
    engine.close()


def test_where_the_set_may_not_change_the_hint_names_whom_to_bring_back(tmp_path: Path) -> None:
    """Four hospitals, three needed, no change approved: the hint of a run that needs west is not that three would do."""
    declared = masked_study(tmp_path, rounds=2, max_set_changes=0)
    engine = BadDays(declared, tmp_path, 1, 0.0)
    true, engine.tamper = engine.tamper, silent_at("order", "train", 2)
    assert "bring back east" in hints_of(declared, engine, tmp_path)
    engine.tamper = true
    assert hints_of(declared, engine, tmp_path) == ""
    engine.close()
