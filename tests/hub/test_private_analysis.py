"""Analyses with noise over three hospitals: every sum is charged once, before it is worked out, and its noise is drawn once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.hub.analysis_coordinator import AnalysisCoordinator
from wardround.plan.plan import Plan
from wardround.plan.pricing import price_of, with_noise
from wardround.plan.private_plan import charged_step
from wardround.privacy.ledger.ledger import Ledger
from wardround.privacy.ledger.state import Charge, content_of
from wardround.simulation.analysing import analyse
from wardround.site.daemon import review
from wardround.site.site import Site
from wardround.site.store import SiteStore
from wardround.study.declaration import Study
from wardround.study.protection import protection
from wardround.study.reading import parse_study
from wardround.values.errors import EngineError, RefusedError, StudyError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import ContributionMessage, Order

from ..federation.tiny_federation import NAMES, Handle, Ward, enrolled, honest, rows, site, ward

STUDY = """
format = 1
[question]
title = "Who is ill"
[data]
kind = "table"
[[data.columns]]
name = "a"
range = [-8, 8]
[[data.columns]]
name = "b"
range = [-8, 8]
[[data.columns]]
name = "ill"
kind = "binary"
[privacy]
mode = "patient-distributed"
epsilon = 4.0
delta = 1e-4
public_patients = 40
[analysis]
largest_hospital = 100
[analysis.describe]
bins = 16
group = "ill"
"""


def study(**changes: Any) -> Study:
    return parse_study(STUDY).revised(**changes) if changes else parse_study(STUDY)


class Crash(BaseException):
    """What no handler catches: the process is gone."""


def sums(data: bytes) -> Any:
    """The header of an order for a sum; None of everything else."""
    message = from_bytes(data)
    return message.header if isinstance(message, Order) and message.header.step == "evaluate" else None


def charges_at(folder: Path, name: str) -> dict[str, Charge]:
    return {release: charge for (_, release), charge in Ledger(folder / "sites" / name / "ledger.sqlite").charges().items()}


def run(of: Study, folder: Path, tamper_of: Callable[[Callable[[], Ward], Study], Any] | None = None) -> None:
    """A whole run whose tamperer may restart sites."""
    signed = with_noise(enrolled(of, folder))
    made: list[Ward] = []
    with ward(signed, folder, honest) as engine:
        made.append(engine)
        if tamper_of is not None:
            engine.tamper = tamper_of(lambda: made[0], signed)
        coordinator = AnalysisCoordinator(signed, engine, folder)
        coordinator.run()
        coordinator.close()


def restarted(engine: Ward, name: SiteId, of: Study) -> Any:
    """What a process that was killed and started again is."""
    one = engine._sites[name]
    one.close()
    engine._sites[name] = site(name, of, one.store.folder)
    return engine._sites[name]


def assert_every_sum_was_charged_once(of: Study, folder: Path, numbers: int = 1) -> None:
    plan = Plan(with_noise(enrolled(of, folder))).private
    assert plan is not None
    for name in NAMES:
        charges = charges_at(folder, name)
        assert [release.split("/")[1] for release in charges] == [str(number) for number in range(1, numbers + 1)]
        assert {charge.status for charge in charges.values()} == {"released"}
        assert sum(charge.count for charge in charges.values()) <= plan.events
        assert {charge.event for charge in charges.values()} == {plan.event}


@pytest.mark.slow
def test_a_run_costs_what_the_study_says_and_its_ledgers_know(tmp_path: Path) -> None:
    """results.json, the page and every hospital's ledger hold the same epsilon."""
    done = analyse(study(), {name: rows(name) for name in NAMES}, out=tmp_path / "run", workers=0, progress=False)
    privacy = json.loads((done.folder / "results.json").read_bytes())["privacy"]
    assert privacy["epsilon"] <= 4.0 and privacy["delta"] == 1e-4 and privacy["events"] == 1
    assert privacy["spent"] == pytest.approx(dict.fromkeys(NAMES, privacy["epsilon"]))
    assert "for one patient, over all sums" in (done.folder / "report.html").read_text("utf-8")
    for name in NAMES:
        assert sum(Ledger(done.folder / "sites" / name / "ledger.sqlite").spent().values()) == 1


@pytest.mark.slow
def test_a_budget_that_does_not_reach_refuses_before_anything_is_computed(tmp_path: Path) -> None:
    """The hospital's own number, whatever the study says."""
    for name in NAMES:
        Ledger(tmp_path / "ledgers" / f"{name}.sqlite").set_budget(1.0 if name == "south" else 8.0, 1e-4)
    hospitals = {name: rows(name) for name in NAMES}
    with pytest.raises((EngineError, RefusedError), match="budget"):
        analyse(study(), hospitals, out=tmp_path / "run", workers=0, progress=False, ledgers=tmp_path / "ledgers")
    assert not any(Ledger(tmp_path / "ledgers" / f"{name}.sqlite").spent() for name in NAMES)


@pytest.mark.slow
def test_a_second_study_is_paid_for_from_what_the_first_left(tmp_path: Path) -> None:
    """The ledger is of the patients, and not of a study."""
    for name in NAMES:
        Ledger(tmp_path / "ledgers" / f"{name}.sqlite").set_budget(5.0, 1e-4)
    hospitals = {name: rows(name) for name in NAMES}
    kept: dict[str, Any] = {"workers": 0, "progress": False, "ledgers": tmp_path / "ledgers"}
    analyse(study(), hospitals, out=tmp_path / "first", **kept)
    other = study(question={"title": "Who is ill, again"})
    with pytest.raises((EngineError, RefusedError), match="budget"):
        analyse(other, hospitals, out=tmp_path / "second", **kept)
    analyse(other, hospitals, out=tmp_path / "third", epsilon=0.5, **kept)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before the store", "before the mark", "before the answer"])
def test_a_site_killed_in_a_sum_gives_one_release_for_one_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Nothing was stored: the sum is worked out anew, under the charge that was made. Stored: those very bytes leave, and no
    second noise about the same sum ever exists."""

    def crash(*_: Any) -> None:
        raise Crash

    def dying(engine_of: Callable[[], Ward], of: Study) -> Any:
        def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
            if sums(data) is None:
                return handle(data)
            folder, first = engine_of()._sites[name].store.folder, None
            with monkeypatch.context() as patched:
                if point == "before the store":
                    patched.setattr(SiteStore, "write", crash)
                if point == "before the mark":
                    patched.setattr(Ledger, "released", crash)
                try:
                    first = handle(data)
                except Crash:
                    assert point != "before the answer"
            assert len(Ledger(folder / "ledger.sqlite").charges()) == 1
            stored = None if point == "before the store" else engine_of()._sites[name].store.last_answer().reply
            again = restarted(engine_of(), name, of).handle(data)
            assert stored is None or again == stored
            assert first is None or again == first
            assert restarted(engine_of(), name, of).handle(data) == again
            return again

        return tamper

    run(study(), tmp_path, dying)
    assert_every_sum_was_charged_once(study(), tmp_path)


def test_a_repeated_order_gets_the_same_bytes_and_is_one_charge(tmp_path: Path) -> None:
    """A coordinator that asks again in the hope of other noise."""

    def twice(_: Callable[[], Ward], __: Study) -> Any:
        def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:  # noqa: ARG001
            answer = handle(data)
            assert sums(data) is None or (handle(data), handle(data)) == (answer, answer)
            return answer

        return tamper

    run(study(), tmp_path, twice)
    assert_every_sum_was_charged_once(study(), tmp_path)


def test_another_attempt_masks_the_same_words(tmp_path: Path) -> None:
    """Two noises about one sum would average out. The masks are other ones, and the words under them the same bits."""
    words: dict[str, list[Tree]] = {}

    def watching(engine_of: Callable[[], Ward], of: Study) -> Any:
        def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
            answer, header = handle(data), sums(data)
            if header is None:
                return answer
            assert isinstance(from_bytes(answer), ContributionMessage)
            words.setdefault(name, []).append(engine_of()._sites[name].store.last_answer().words)
            restarted(engine_of(), name, of)
            return None if header.masked.attempt == 1 and name != "south" else answer

        return tamper

    run(study(), tmp_path, watching)
    assert sorted(map(len, words.values())) == [2, 2, 2]
    assert all(same_bits(first, second) for first, second in words.values())
    assert_every_sum_was_charged_once(study(), tmp_path)


def test_the_charge_is_of_the_noise_that_is_added(tmp_path: Path) -> None:
    """The study's multiplier is in the words' grid and in the event; a sum worth several events has noise over their root."""
    signed = with_noise(enrolled(study(), tmp_path))
    plan = Plan(signed)
    assert plan.private is not None and plan.analysis is not None
    (exchange,) = plan.analysis.exchanges
    grid = plan.private.words_of(exchange).grid
    assert grid.multiplier == plan.private.event.noise_multiplier == signed.privacy.noise_multiplier
    assert grid.clip_norm == 1.0 and (grid.sites, grid.honest) == (3, signed.quorum.threshold - 1)
    assert price_of(signed).epsilon <= 4.0


def test_two_studies_that_differ_by_one_patient_do_not_show_him(tmp_path: Path) -> None:
    """The attack that the disclosure rules cannot stop: the same question with and without a patient. Without noise the
    difference of the totals is the patient's row; with it nobody guesses better than epsilon allows."""
    hospitals = {name: rows(name) for name in NAMES}
    fewer = {**hospitals, "north": hospitals["north"].select(np.arange(1, 48))}
    plain = parse_study(STUDY[: STUDY.index("[privacy]")] + STUDY[STUDY.index("[analysis]") :])
    kept: dict[str, Any] = {"workers": 0, "progress": False}
    numbers = [
        analyse(plain.revised(analysis={"smallest_cell": 1}), part, out=tmp_path / f"plain-{place}", **kept).figures["numbers"]
        for place, part in enumerate((hospitals, fewer))
    ]
    with_him, without_him = (next(row for row in one["rows"] if row[:2] == ["a", "all"]) for one in numbers)
    seen = int(with_him[2]) * with_him[4] - int(without_him[2]) * without_him[4]
    assert seen == pytest.approx(hospitals["north"]["a"][0], abs=1e-9)  # read to the last digit
    signed = with_noise(study(sites={"names": NAMES}))
    plan = Plan(signed).private
    assert plan is not None and plan.analysis is not None
    (exchange,) = plan.analysis.exchanges
    words = plan.words_of(exchange)
    # His part is at most 1 long in the vector; the noise that nobody knows is `multiplier` in every direction, so that a test
    # along his own row tells the two worlds apart as two normal laws at a distance of 1 / multiplier, and no better.
    known = words.grid.step * np.sqrt(plan.study.quorum.threshold - 1) * 131073
    assert known >= plan.event.noise_multiplier


def test_people_read_that_there_is_noise_and_what_it_costs() -> None:
    """`study check` and the page of a hospital's review."""
    named = with_noise(study(sites={"names": NAMES}))
    said = " ".join(protection(named))
    assert "epsilon at most 4" in said and "Every sum has noise" in said and "reads every total" not in said
    page = " ".join((*review._computed(Plan(named)), *review._leaving(Plan(named)), *review._protection(named)))
    assert "numbers with noise" in page and "charged as 1 step" in page and "counts below 5 are withheld" in page
    assert "reads every total" not in page and "READABLE" not in page and "!" not in page


def test_a_study_whose_noise_nobody_worked_out_does_not_run(tmp_path: Path) -> None:
    """Hospitals approve the number, and not only what it should reach."""
    signed = enrolled(study(), tmp_path)
    with ward(with_noise(signed), tmp_path) as engine, pytest.raises(StudyError, match="how much noise"):
        AnalysisCoordinator(signed, engine, tmp_path)


def test_an_epsilon_of_a_study_without_privacy_is_refused(tmp_path: Path) -> None:
    """It would do nothing without a word."""
    plain = parse_study(STUDY[: STUDY.index("[privacy]")] + STUDY[STUDY.index("[analysis]") :])
    with pytest.raises(StudyError, match="needs a private study"):
        analyse(plain, {name: rows(name) for name in NAMES}, out=tmp_path / "run", epsilon=1.0)


def test_a_hospital_can_log_which_entry_paid_for_each_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its evidence ties what left to what was charged, as it does for a training (`evidence/pack_charges.py`)."""
    handle, told = Site.handle, []

    def listened(one: Site, data: bytes) -> bytes:
        reply = handle(one, data)
        if sums(data) is not None:
            told.append((str(one.name), dict(one.sent)))
        return reply

    monkeypatch.setattr(Site, "handle", listened)
    run(study(), tmp_path)
    charges = {name: charges_at(tmp_path, name) for name in NAMES}
    assert {name for name, _ in told} == set(NAMES) and charged_step(study()) == "evaluate"
    for name, facts in told:
        charge = charges[name][facts["release"]]
        assert (facts["ledger_entry"], facts["ledger_chain"]) == (charge.entry, charge.chain) != (0, "")
        assert facts["charged"] == content_of(charge.event, charge.count)
        assert facts["release"].startswith(facts["sum"]) and facts["sum"].startswith("evaluate/")
