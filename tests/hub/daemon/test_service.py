"""The hub as a service: a study from its submission to its model, whatever happens on the way."""

import json
import threading
from pathlib import Path

import pytest

import wardround.hub.daemon.service as service_module
from wardround.hub.artifacts import CARD, MODEL, RECORD, REPORT
from wardround.hub.daemon.studies import folders
from wardround.hub.daemon.study_state import StudyState, now_ms
from wardround.plan.networks import IN_THIS_PROCESS, NetworkFacts
from wardround.plan.plan import Plan
from wardround.site.store import REPORT as REPORT_JSON
from wardround.study.declaration import Study
from wardround.study.record.run_record import RunRecord
from wardround.study.run_settings import run_file_of
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import verify
from wardround.values.errors import RefusedError, RunError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree

from ...federation.private_studies import private_study
from ...federation.tiny_federation import NAMES, study
from .hub_ward import HubWard, hub_ward, until, until_state


def masked(**changes: object) -> Study:
    return study(mode="masked", **{"rounds": 2, "collusion": 0, **changes})


def losing(number: int, gate: threading.Event):
    """A hospital that refuses at its hours from the order with this number on, until the gate opens."""
    orders = []

    def before(order: bytes) -> None:
        orders.append(order)
        if len(orders) >= number and not gate.is_set():
            raise RefusedError("not now", code="hours")

    return before


@pytest.mark.slow
def test_a_study_that_all_approve_ends_with_a_model_and_a_report(tmp_path: Path) -> None:
    """The whole way, without a person at the hub after `hub run`."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(masked())
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "finished", state.reason
        record = RunRecord.from_json((folder.run / RECORD).read_bytes())
        assert state.model == sha256_hex((folder.run / MODEL).read_bytes())
        assert (folder.run / REPORT).exists() and (folder.run / CARD).exists()
        codes = [entry.code for entry in hub.home.log.entries()]
        assert not verify(hub.home.log.folder).problem
    assert record.hospitals == NAMES and record.sites == {} and record.cross == {} and record.engine == "network"
    assert record.pooled is not None and record.totals is not None and record.totals.patients == 114
    assert [line.number for line in state.rounds] == [1, 2] and state.score_name == "AUC"
    assert [code for code in codes if code in ("submitted", "round", "model")] == ["submitted", "round", "round", "model"]


@pytest.mark.slow
def test_personal_models_are_made_at_the_hospitals_and_the_hub_hears_nothing_of_them(tmp_path: Path) -> None:
    """What ran on a laptop runs between hospitals: each keeps its model in its own folder."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(masked().revised(personal={"candidates": ["own", "federated", "mixed"]}))
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "finished", state.reason
        record = RunRecord.from_json((folder.run / RECORD).read_bytes())
        kept = [path.parent for path in tmp_path.rglob("chosen.onnx")]
        choices = [json.loads((one / REPORT_JSON).read_bytes())["personal"]["choice"] for one in kept]
    assert record.sites == {} and b"chosen" not in (folder.run / RECORD).read_bytes()
    assert len(kept) == len(NAMES) and folder.run not in {parent for one in kept for parent in one.parents}
    assert all(set(choice["chosen"].split(" + ")) <= {"own", "federated", "mixed"} for choice in choices)


@pytest.mark.slow
def test_a_private_study_ends_with_its_price_and_no_figure_of_patients(tmp_path: Path) -> None:
    """Evaluations and ledgers stay at the hospitals; a zero in their place would read as a figure."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(private_study(rounds=2, collusion=0))
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "finished", state.reason
        record = RunRecord.from_json((folder.run / RECORD).read_bytes())
        page = (folder.run / REPORT).read_text()
    assert record.pooled is None and record.start is None and record.totals is None
    assert record.privacy is not None and record.privacy.epsilon and record.privacy.spent == {}
    assert all(entry.validation is None and entry.train_loss is None for entry in record.rounds)
    assert "hospital&#39;s own ledger" in page or "hospital's own ledger" in page


def test_submitting_the_same_study_again_changes_nothing(tmp_path: Path) -> None:
    """A command that was interrupted is given again."""
    with hub_ward(tmp_path) as hub:
        first = hub.submit(masked())
        before = {path.name: path.read_bytes() for path in first.path.iterdir()}
        assert hub.submit(masked()) == first
        assert {path.name: path.read_bytes() for path in first.path.iterdir()} == before


@pytest.mark.slow
def test_too_few_hospitals_are_waited_for_and_the_study_goes_on_when_they_are_back(tmp_path: Path) -> None:
    """Nights, reboots and holes in the network are the ordinary case."""
    with hub_ward(tmp_path) as hub:
        gate = threading.Event()
        for name in NAMES[1:]:
            hub.hospitals[name].before = losing(6, gate)
        folder = hub.submit(masked())
        with hub.up():
            waiting = until(folder, "waiting", "failed", "finished")
            assert waiting.phase == "waiting" and set(waiting.awaits) <= set(NAMES[1:]) and "(hours)" in waiting.reason
            gate.set()
            assert until(folder, "finished", "failed").phase == "finished"


@pytest.mark.slow
def test_a_clock_that_was_set_back_costs_a_waiting_study_no_year(tmp_path: Path) -> None:
    """The time of the next try was written by a clock that ran ahead."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(masked())
        year_ms = 365 * 86_400_000
        folder.keep(folder.state.to("running", begun=True).to("waiting", retry_at=now_ms() + year_ms))
        with hub.up():
            assert until(folder, "finished", "failed").phase == "finished"


@pytest.mark.slow
def test_a_hospital_that_is_away_is_asked_for_no_round_until_it_is_seen(tmp_path: Path) -> None:
    """Each try without it would cost the others a round."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(masked())

        def leaving(_: bytes) -> None:
            hub.hospitals["north"].away = hub.hospitals["south"].away = True

        hub.hospitals["north"].before = leaving
        with hub.up():
            until(folder, "waiting")
            orders = hub.hospitals["east"].orders
            seen = len(hub.post.asked)
            until_state(folder, lambda _: len(hub.post.asked) > seen + 5)
            assert hub.hospitals["east"].orders == orders and folder.state.phase == "waiting"
            hub.hospitals["north"].before = lambda _: None
            hub.hospitals["north"].away = hub.hospitals["south"].away = False
            assert until(folder, "finished", "failed").phase == "finished"


@pytest.mark.slow
def test_a_hospital_at_other_hours_is_asked_for_nothing_and_the_others_neither(tmp_path: Path) -> None:
    """A hospital that is asked in vain night after night stops until a person has looked."""
    with hub_ward(tmp_path) as hub:
        closed = threading.Event()
        closed.set()
        hub.hospitals["south"].closed = closed.is_set
        folder = hub.submit(masked())
        with hub.up():
            until_state(folder, lambda state: state.sites["south"].state == "hours")
            asked = len(hub.post.asked)
            until_state(folder, lambda _: len(hub.post.asked) > asked + 3)
            assert folder.state.phase == "offered" and {topic for topic, _ in hub.post.asked} == {"offer"}
            closed.clear()
            assert until(folder, "finished", "failed").phase == "finished"


@pytest.mark.slow
def test_tries_in_vain_do_not_stop_the_hospitals_that_are_there(tmp_path: Path) -> None:
    """Fifty refusals in a row are an alarm at a hospital: the hub's own patience must not raise it."""
    with hub_ward(tmp_path) as hub:
        away = threading.Event()

        def refusing(_: bytes) -> None:
            if not away.is_set():
                raise RefusedError("not now", code="hours")

        hub.hospitals["south"].before = refusing  # and its status says that it has approved
        folder = hub.submit(masked())
        with hub.up():
            until_state(folder, lambda state: state.tries >= 12)
            away.set()
            assert until(folder, "finished", "failed").phase == "finished"
        refusals = [entry for entry in hub.home.log.entries() if entry.code == "lost" and entry.facts["site"] != "south"]
        assert refusals == []


def test_what_hospitals_refuse_again_and_again_is_for_a_person(tmp_path: Path) -> None:
    """An engine that asks for ever hides the fault."""
    with hub_ward(tmp_path) as hub:

        def broken(_: bytes) -> None:
            raise RefusedError("cannot", code="arithmetic")

        for name in NAMES:
            hub.hospitals[name].before = broken
        folder = hub.submit(masked())
        with hub.up():
            state = until(folder, "failed")
        assert "arithmetic" in state.reason and state.mend


def test_a_hospital_that_revokes_in_the_middle_is_named(tmp_path: Path) -> None:
    """Its people have the last word, and the hub's people have to hear of it."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=6, collusion=0, minimum=3))
        seen: list[bytes] = []

        def revoking(order: bytes) -> None:
            seen.append(order)
            if len(seen) == 8:
                hub.hospitals["south"].revoked.add(folder.hash)

        hub.hospitals["south"].before = revoking
        with hub.up():
            state = until(folder, "waiting", "failed", "finished")
            assert state.phase == "waiting" and state.sites["south"].word == "revoked" and "revoked" in state.mend
            answered = hub.hospitals["south"].orders
            until_state(folder, lambda now: now.sites["south"].state == "revoked")
            assert hub.hospitals["south"].orders == answered  # it is not asked again by itself


def shut_out(hub: HubWard, name: str) -> None:
    """As `wardround hub revoke` does: what the hub says no longer reaches it."""
    del hub.roster.entries[SiteId(name)]
    hub.hospitals[name].away = True


@pytest.mark.slow
def test_a_study_that_is_offered_goes_on_without_a_hospital_that_was_shut_out(tmp_path: Path) -> None:
    """Others have approved it, with a signature each; the stolen keys of one are no fault of theirs."""
    with hub_ward(tmp_path) as hub:
        hub.hospitals["east"].approves = False
        folder = hub.submit(study(rounds=2))
        with hub.up():
            until_state(folder, lambda state: state.sites["north"].state == "approved")
            shut_out(hub, "south")
            until_state(folder, lambda state: state.sites["south"].state == "unproved")
            assert folder.state.phase == "offered", "another has yet to approve"
            hub.hospitals["east"].approves = True
            state = until(folder, "waiting", "failed", "finished")
            assert "south is not enrolled any more" in state.reason and "wardround hub resume" in state.mend
            folder.say("resume")
            assert until(folder, "finished", "failed").phase == "finished"
        assert [line.number for line in folder.state.rounds] == [1, 2] and hub.hospitals["south"].orders == 0


def test_a_study_that_too_few_hospitals_are_left_for_ends(tmp_path: Path) -> None:
    """It waited for a hospital that is revoked meanwhile, which never comes back: nobody waits in vain."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=4, collusion=0, minimum=3))

        def leaving(_: bytes) -> None:
            if len(folder.state.rounds) == 2:
                hub.hospitals["south"].away = True
                raise RefusedError("away", code="policy")

        hub.hospitals["south"].before = leaving
        with hub.up():
            until(folder, "waiting")
            shut_out(hub, "south")
            state = until_state(folder, lambda state: "enrolled" in state.reason or state.phase == "failed")
        assert state.phase == "failed" and "at least 3 hospitals" in state.reason and "anew" in state.mend


def test_a_hospital_that_was_never_offered_a_study_ends_it(tmp_path: Path) -> None:
    """Nobody has approved anything yet: it is submitted anew with the hospitals that are there."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(masked())
        shut_out(hub, "south")
        with hub.up():
            state = until(folder, "failed", "finished", "waiting")
        assert state.phase == "failed" and "south is not enrolled any more" in state.reason


@pytest.mark.slow
def test_a_person_stops_a_study_and_lets_it_go_on(tmp_path: Path) -> None:
    """Also in the middle of an exchange that no hospital answers."""
    with hub_ward(tmp_path) as hub:
        hanging, gate = threading.Event(), threading.Event()

        def slow(_: bytes) -> None:
            if hub.hospitals["east"].orders == 5:
                hanging.set()
                gate.wait(30)

        hub.hospitals["east"].before = slow
        folder = hub.submit(masked())
        with hub.up():
            assert hanging.wait(30)
            folder.say("stop")
            assert until(folder, "stopped").reason == "A person stopped it."
            gate.set()
            folder.say("resume")
            assert until(folder, "finished", "failed").phase == "finished"


def test_a_stopped_study_stays_stopped_over_a_restart(tmp_path: Path) -> None:
    """A reboot of the hub is nobody's decision to go on."""
    with hub_ward(tmp_path) as hub:
        hub.hospitals["south"].approves = False
        folder = hub.submit(masked())
        folder.say("stop")
        with hub.up():
            until(folder, "stopped")
        hub.hospitals["south"].approves = True
        asked = len(hub.post.asked)
        with hub.up() as service:
            until_state(folder, lambda _: bool(service.states()))
            service.look()
        assert folder.state.phase == "stopped" and len(hub.post.asked) == asked


@pytest.mark.slow
def test_a_study_goes_on_in_the_next_process_from_where_it_was(tmp_path: Path) -> None:
    """An upgrade in the middle of a run."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=6, collusion=0))
        with hub.up():
            until_state(folder, lambda state: len(state.rounds) == 2)
        halted = folder.state
        assert halted.phase == "running" and len(halted.rounds) < 6
        with hub.up():
            assert until(folder, "finished", "failed").phase == "finished"
        assert [line.number for line in folder.state.rounds] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_two_studies_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """One waits for a person; the other must not."""
    with hub_ward(tmp_path) as hub:
        first, second = hub.submit(masked()), hub.submit(masked(rounds=3))
        stuck = hub.submit(masked(rounds=4))
        hub.hospitals["east"].revoked.add(stuck.hash)
        with hub.up():
            assert until(first, "finished", "failed").phase == "finished"
            assert until(second, "finished", "failed").phase == "finished"
            assert stuck.state.phase == "offered"
        assert (first.state.model, len(second.state.rounds)) != (second.state.model, 2)


@pytest.mark.parametrize("name", ["study.toml", "run", "submission.json", "state.json"])
def test_a_study_that_was_changed_on_the_disk_is_not_run(tmp_path: Path, name: str) -> None:
    """Hospitals approved the hash, not the folder."""
    with hub_ward(tmp_path) as hub:
        hub.hospitals["south"].approves = False
        folder = hub.submit(masked())
        path = run_file_of(folder.path / "study.toml") if name == "run" else folder.path / name
        path.write_bytes(path.read_bytes().replace(b"2", b"3").replace(b"6", b"7"))
        hub.hospitals["south"].approves = True
        with hub.up() as service:
            if name == "state.json":
                until_damaged(service, folder.hash)
            else:
                assert "is not what was submitted" in until(folder, "failed").reason
        assert not any(topic == "order" for topic, _ in hub.post.asked)


def until_damaged(service, study_hash: str) -> None:
    for _ in range(200):
        if study_hash in service.damaged:
            return
        threading.Event().wait(0.02)
    raise AssertionError("nobody noticed")


def test_the_service_outlives_a_disk_that_fails_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One study's folder must not end the process in which the others run."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(masked())
        broken, tries = threading.Event(), []
        broken.set()
        listed = folders

        def failing(home):
            tries.append(home)
            if broken.is_set():
                raise OSError(5, "Input/output error")
            return listed(home)

        monkeypatch.setattr(service_module, "folders", failing)
        monkeypatch.setattr(service_module, "LOOK_S", 0.02)
        service, stop = service_module.HubService(hub.means), threading.Event()
        thread = threading.Thread(target=service.run, args=(stop,))
        thread.start()
        try:
            until_state(folder, lambda _: len(tries) > 3)
            broken.clear()
            assert until(folder, "finished", "failed").phase == "finished"
        finally:
            stop.set()
            thread.join()


def test_a_fault_of_ours_is_this_studys_alone_and_is_in_the_log(tmp_path: Path) -> None:
    """A traceback that nobody keeps is a fault that nobody mends; one that ends the service ends every study."""
    with hub_ward(tmp_path) as hub:
        good, bad = hub.submit(masked()), hub.submit(masked(rounds=3))

        class Broken(HubWard):
            def engine(self, study: str, sites: tuple[object, ...]):
                if study == bad.hash:
                    raise ZeroDivisionError("a secret")
                return super().engine(study, sites)

        hub.__class__ = Broken
        with hub.up():
            state: StudyState = until(bad, "failed")
            assert until(good, "finished", "failed").phase == "finished"
        assert "fault of Wardround (ZeroDivisionError)" in state.reason and "secret" not in state.reason
        assert any(entry.code == "fault" and "secret" in entry.text for entry in hub.home.log.entries())


def test_what_takes_another_process_is_worked_out_while_people_read(tmp_path: Path) -> None:
    """PyTorch takes seconds to load: the first order need not wait for it. A fault there is told when the study runs."""
    asked: list[str] = []

    class Counting:
        def facts(self, plan: Plan) -> NetworkFacts:
            asked.append(plan.study.hash)
            if len(asked) == 1:
                raise RunError("no memory left")
            return IN_THIS_PROCESS.facts(plan)

        def initial_model(self, plan: Plan) -> Tree:
            return IN_THIS_PROCESS.initial_model(plan)

    with hub_ward(tmp_path) as hub:
        hub.hospitals["south"].approves = False
        folder = hub.submit(masked())
        hub.networks = Counting()
        with hub.up():
            until_state(folder, lambda _: len([topic for topic, _ in hub.post.asked if topic == "offer"]) > 2)
            assert asked == [folder.hash]
            hub.hospitals["south"].approves = True
            assert until(folder, "finished", "failed").phase == "finished"
