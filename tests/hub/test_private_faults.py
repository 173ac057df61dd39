"""Private runs in which processes die, folders come back from backups, answers are lost and budgets end: every step is charged
once, noise is drawn once for a charge that was used, and what remains carries the noise that was promised."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wardround.hub.coordinator import Coordinator
from wardround.privacy.ledger.ledger import Ledger
from wardround.privacy.ledger.state import Charge
from wardround.site.site import Site
from wardround.site.store import STATE, SiteStore
from wardround.study.declaration import Study
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import ContributionMessage, Order

from ..federation.private_site import LOCAL, opened, order, said
from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, Handle, Ward, enrolled, files_in, honest, run, site, ward

NORTH = SiteId("north")
MODES = [("patient-distributed", "fedsgd"), ("patient-local", "scaffold"), ("site", "fedavg")]


class Crash(BaseException):
    """What no handler catches: the process is gone."""


def ledger_at(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.sqlite")


def charges_of(folder: Path) -> dict[str, Charge]:
    """Charges by release, all sites' folders apart."""
    return {release: charge for (_, release), charge in ledger_at(folder).charges().items()}


def trains(data: bytes) -> Any:
    """The header of a training order; None of everything else."""
    message = from_bytes(data)
    return message.header if isinstance(message, Order) and message.header.step == "train" else None


def restarted(engine: Ward, name: SiteId, of: Study) -> Site:
    """What a process that was killed and started again is."""
    one = engine._sites[name]
    one.close()
    engine._sites[name] = site(name, of, one.store.folder)
    return engine._sites[name]


def full_run(of: Study, folder: Path, tamper_of: Callable[[Callable[[], Ward], Study], Any]) -> None:
    """A whole run whose tamperer may restart sites."""
    of = enrolled(of, folder)
    made: list[Ward] = []
    with ward(of, folder, honest) as engine:
        made.append(engine)
        engine.tamper = tamper_of(lambda: made[0], of)
        coordinator = Coordinator(of, engine, folder)
        coordinator.run()
        coordinator.close()


def assert_one_charge_a_round(of: Study, folder: Path) -> None:
    for name in NAMES:
        charges = charges_of(folder / "sites" / name)
        assert [release[: len("train/1/")] for release in charges] == [
            f"train/{number}/" for number in range(1, of.algorithm.rounds + 1)
        ]
        assert {charge.status for charge in charges.values()} == {"released"}
        assert sum(ledger_at(folder / "sites" / name).spent(of.privacy.unit).values()) == of.algorithm.rounds * (
            of.privacy.steps or 1
        )


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "algorithm"), MODES)
@pytest.mark.parametrize("point", ["before the store", "before the mark", "before the answer"])
def test_a_site_killed_in_a_step_gives_one_release_for_one_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, algorithm: str, point: str
) -> None:
    """Nothing was stored: the step is worked out anew, under the charge that was made. Stored: those very bytes leave, and no
    second noise about the same sum ever exists."""
    of = private_study(mode, algorithm, rounds=2)

    def dying(engine_of: Callable[[], Ward], study: Study) -> Any:
        def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
            if trains(data) is None:
                return handle(data)
            folder = engine_of()._sites[name].store.folder
            before = len(charges_of(folder))
            first = None
            with monkeypatch.context() as patched:
                if point == "before the store":
                    patched.setattr(SiteStore, "write", _crash)
                if point == "before the mark":
                    patched.setattr(Ledger, "released", _crash)
                try:
                    first = handle(data)
                except Crash:
                    assert point != "before the answer"
            assert len(charges_of(folder)) == before + 1
            stored = None if point == "before the store" else engine_of()._sites[name].store.last_answer().reply
            again = restarted(engine_of(), name, study).handle(data)
            assert stored is None or again == stored
            assert first is None or again == first
            assert restarted(engine_of(), name, study).handle(data) == again
            return again

        return tamper

    full_run(of, tmp_path, dying)
    assert_one_charge_a_round(of, tmp_path)


def _crash(*_: Any) -> None:
    raise Crash


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "algorithm"), MODES)
def test_a_repeated_order_gets_the_same_bytes_and_is_one_charge(tmp_path: Path, mode: str, algorithm: str) -> None:
    """A network that delivers twice, or a coordinator that asks again in the hope of other noise."""
    of = private_study(mode, algorithm, rounds=2)

    def twice(name: SiteId, data: bytes, handle: Handle) -> bytes | None:  # noqa: ARG001
        answer = handle(data)
        assert trains(data) is None or (handle(data), handle(data)) == (answer, answer)
        return answer

    run(of, tmp_path, twice)
    assert_one_charge_a_round(of, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "algorithm"), MODES)
def test_another_attempt_masks_the_same_words(tmp_path: Path, mode: str, algorithm: str) -> None:
    """Two noises about one sum would average out. The masks are other ones, and the words under them the same bits."""
    of = private_study(mode, algorithm, rounds=2)
    words: dict[tuple[str, int], list[Tree]] = {}
    masked: dict[tuple[str, int], list[Tree]] = {}

    def watching(engine_of: Callable[[], Ward], study: Study) -> Any:
        def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
            answer, header = handle(data), trains(data)
            if header is None:
                return answer
            said_now = from_bytes(answer)
            assert isinstance(said_now, ContributionMessage)
            key = name, header.round
            words.setdefault(key, []).append(engine_of()._sites[name].store.last_answer().words)
            masked.setdefault(key, []).append({part: said_now.arrays[part] for part in words[key][-1]})
            restarted(engine_of(), name, study)
            return None if header.masked.attempt == 1 and name != "south" else answer

        return tamper

    full_run(of, tmp_path, watching)
    assert len(words) == len(NAMES) * 2
    for key, (first, second) in words.items():
        assert same_bits(first, second)
        assert all((masked[key][0][part] != masked[key][1][part]).mean() > 0.9 for part in first)
        assert all((masked[key][0][part] != first[part]).mean() > 0.9 for part in first)
    assert_one_charge_a_round(of, tmp_path)


# --- Restored folders -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def trained_once(tmp_path: Path) -> Iterator[Callable[[], Site]]:
    """North, which has answered round 1 of 3; the folder as it was then is kept at `copy`."""
    running = [opened(LOCAL, tmp_path / "north")]
    assert said(running[0], order(LOCAL, "train", 1)) == "contribution"
    shutil.copytree(tmp_path / "north", tmp_path / "copy")

    def again() -> Site:
        running.pop().close()
        running.append(site("north", LOCAL, tmp_path / "north"))
        return running[0]

    yield again
    for one in running:
        one.close()


@pytest.mark.slow
def test_a_restored_state_with_an_intact_ledger_gives_nothing_twice(trained_once: Callable[[], Site], tmp_path: Path) -> None:
    """The ledger remembers what the state forgot; later rounds are open to it."""
    assert said(trained_once(), order(LOCAL, "train", 2)) == "contribution"
    for name in (STATE, *(path.name for path in (tmp_path / "copy").glob("answer-*"))):
        shutil.copy(tmp_path / "copy" / name, tmp_path / "north" / name)
    spent = ledger_at(tmp_path / "north").spent()
    restored = trained_once()
    before = files_in(tmp_path / "north")
    assert said(restored, order(LOCAL, "train", 2, counted={"north": 1})) == "released-before"
    assert files_in(tmp_path / "north") == before
    assert ledger_at(tmp_path / "north").spent() == spent
    assert said(restored, order(LOCAL, "train", 3)) == "contribution"


@pytest.mark.slow
@pytest.mark.parametrize("what", [["ledger.sqlite"], ["ledger.sqlite", "ledger.sqlite.receipt"]])
def test_an_older_ledger_ends_every_step(trained_once: Callable[[], Site], tmp_path: Path, what: list[str]) -> None:
    """It does not know what was spent since. Not even the stored bytes leave, whose mark it cannot keep."""
    one = trained_once()
    assert said(one, order(LOCAL, "train", 2)) == "contribution"
    for name in what:
        shutil.copy(tmp_path / "copy" / name, tmp_path / "north" / name)
    assert said(one, order(LOCAL, "train", 3)) == "ledger-restored"
    assert said(one, order(LOCAL, "train", 2)) == "ledger-restored"


def test_an_older_ledger_that_agrees_with_itself_does_not_agree_with_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ledger and receipt of one backup, on a disk that does not tell a file from its copy, met by a fresh process."""
    monkeypatch.setattr("wardround.values.durable.place_of", lambda path: "")  # noqa: ARG005
    monkeypatch.setattr("wardround.privacy.ledger.file.place_of", lambda path: "")  # noqa: ARG005
    one = opened(LOCAL, tmp_path / "north")
    assert said(one, order(LOCAL, "train", 1)) == "contribution"
    shutil.copytree(tmp_path / "north", tmp_path / "copy")
    assert said(one, order(LOCAL, "train", 2)) == "contribution"
    one.close()
    for name in ("ledger.sqlite", "ledger.sqlite.receipt"):
        shutil.copy(tmp_path / "copy" / name, tmp_path / "north" / name)
    again = site("north", LOCAL, tmp_path / "north")
    assert said(again, order(LOCAL, "train", 3)) == "ledger-restored"
    again.close()


def test_a_state_and_a_ledger_restored_together_are_noticed(trained_once: Callable[[], Site], tmp_path: Path) -> None:
    """A backup of the whole folder: both agree with one another, and neither knows of round 2."""
    one = trained_once()
    assert said(one, order(LOCAL, "train", 2)) == "contribution"
    one.close()
    shutil.rmtree(tmp_path / "north")
    shutil.copytree(tmp_path / "copy", tmp_path / "north")
    with pytest.raises(Exception, match="older than its receipt, or was copied"):
        trained_once()
