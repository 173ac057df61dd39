"""What a hospital answers to the hub: nothing before a person approved, nothing after she took it back."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.hub.coordinator import Coordinator
from wardround.registry import open_registry
from wardround.site.daemon.approvals import DAY_MS, Deciding, Facts
from wardround.site.daemon.approvals import FILE as DECISION
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.desk import GO_ON, WORK, SiteDesk
from wardround.site.daemon.offers import Offers
from wardround.site.daemon.policy import load_policy
from wardround.site.own_record import FILE
from wardround.site.refusals import REFUSALS_IN_A_ROW
from wardround.site.site import Site
from wardround.study.record.run_record import RunRecord
from wardround.values.chained_log import ChainedLog, verify
from wardround.values.durable import write_atomic
from wardround.values.errors import EngineError, RefusedError, RunError
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Order, OrderHeader
from wardround.wire.offers import HeardHead, Offer, SiteCard

from ...federation.tiny_federation import MARKER, NAMES, study
from .hospitals import DATA, DeskEngine, Hospitals, header

NORTH = "north"


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[Hospitals]:
    made = Hospitals(tmp_path / "hospitals")
    yield made
    made.close()


def an_order(hospitals: Hospitals) -> bytes:
    return to_bytes(Order(OrderHeader(study=hospitals.study.hash, step="close", round=2, cohort=NAMES, opening="a" * 64)))


def approved_everywhere(hospitals: Hospitals) -> Hospitals:
    for name in NAMES:
        hospitals.offered(name)
        hospitals.approve(name)
    return hospitals


def test_a_study_runs_once_every_hospital_has_approved(hospitals: Hospitals, tmp_path: Path) -> None:
    """The whole way from offer to model, over the desks of three hospitals with files of their own."""
    approved_everywhere(hospitals)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run")
    coordinator.run()
    coordinator.close()
    assert all(np.isfinite(array).all() for array in coordinator.model.values())
    assert {hospitals.offered(name).state for name in NAMES} == {"finished"}
    with open_registry() as registry:  # also where no hospital keeps a model: its clinic asks there what was promised
        assert {run.id for run in registry.runs(study_hash=hospitals.study.hash)} == {
            f"{name}-{hospitals.study.hash[:12]}" for name in NAMES
        }


@pytest.mark.slow
def test_it_is_the_model_of_a_simulation(hospitals: Hospitals, tmp_path: Path) -> None:
    """What is tried on a laptop holds between hospitals, to the last bit."""
    import wardround as wr

    approved_everywhere(hospitals)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run")
    coordinator.run()
    sites = {name: hospitals.folder / f"{name}.csv" for name in NAMES}
    simulated = wr.simulate(study(mode="masked", rounds=2), sites, out=tmp_path / "simulated", workers=0, register=False)
    for name, array in coordinator.model.items():
        np.testing.assert_array_equal(array, simulated.model[name])


@pytest.mark.slow
def test_a_study_that_is_over_leaves_this_hospital_its_record_and_its_model(tmp_path: Path) -> None:
    """What each hospital joins for stays with it: the page for its board, the model in its registry, and whether the records were
    made up. Nothing of another hospital is in it."""
    personal = {"candidates": ["own", "federated", "mixed"]}
    hospitals = Hospitals(tmp_path / "hospitals", study(mode="masked", rounds=2, own=True).revised(personal=personal))
    sets = DataSets(hospitals.homes[NORTH].data_file)
    sets.add(DATA, sets.get(DATA).data, mapping=None, ledger=None, replace=True, synthetic=True)
    coordinator = Coordinator(approved_everywhere(hospitals).study, DeskEngine(hospitals), tmp_path / "run")
    coordinator.run()
    coordinator.personalise()
    coordinator.close()
    kept = {name: hospitals.homes[name].study(hospitals.study.hash) for name in NAMES}
    records = {name: RunRecord.from_json((folder / WORK / FILE).read_bytes()) for name, folder in kept.items()}
    assert {name: tuple(record.sites) for name, record in records.items()} == {name: (name,) for name in NAMES}
    assert [record.synthetic for name, record in sorted(records.items())] == [False, True, False]
    assert "records were generated" in (kept[NORTH] / WORK / "chosen.md").read_text("utf-8")
    site, model = records[NORTH].sites[NORTH], records[NORTH].model
    assert site.own is not None and site.federated is not None and site.personal is not None and site.personal.test is not None
    assert model is not None
    with open_registry() as registry:
        assert registry.model(model.sha256).synthetic
        assert registry.read_model(model.sha256, "onnx") == (kept[NORTH] / WORK / "chosen.onnx").read_bytes()
        assert registry.metrics(f"{NORTH}-{hospitals.study.hash[:12]}")
    done = CliRunner().invoke(app, ["benefit", str(kept[NORTH]), "--to", str(tmp_path / "pages")])
    page = (tmp_path / "pages" / f"{NORTH}.html").read_text("utf-8")
    assert done.exit_code == 0 and "What north gains" in page and "Synthetic data" in page
    assert (kept[NORTH] / WORK / FILE).stat().st_mode & 0o77 == 0
    hospitals.close()


def test_a_record_that_cannot_be_kept_is_a_line_of_the_log(
    hospitals: Hospitals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal would tell the hub what went wrong with these records; and the study is over here all the same."""

    def broken(*_: object, **__: object) -> None:
        raise RunError("the disk is full")

    monkeypatch.setattr("wardround.site.daemon.desk.write_own_record", broken)
    coordinator = Coordinator(approved_everywhere(hospitals).study, DeskEngine(hospitals), tmp_path / "run")
    coordinator.run()
    coordinator.close()
    assert {hospitals.offered(name).state for name in NAMES} == {"finished"}
    assert any(entry.code == "record" and "disk is full" in entry.text for entry in hospitals.homes[NORTH].log.entries())


def test_nothing_is_answered_before_a_person_approved(hospitals: Hospitals) -> None:
    """An offer alone permits nothing."""
    assert hospitals.word(NORTH, an_order(hospitals)) == "not-approved"  # not even offered
    assert hospitals.offered(NORTH).state == "offered"
    assert hospitals.word(NORTH, an_order(hospitals)) == "not-approved"
    assert not (hospitals.homes[NORTH].study(hospitals.study.hash) / "work").exists()


def test_revoking_while_a_round_is_worked_out_keeps_its_answer_here(
    hospitals: Hospitals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made before is not sent after."""
    approved_everywhere(hospitals)
    decisions, handle = hospitals.decisions(NORTH), Site.handle

    def revoked_meanwhile(site: Site, order: bytes) -> bytes:
        reply = handle(site, order)
        if site.name == NORTH:
            facts = decisions.of(hospitals.study.hash).facts
            who = Deciding("Anna Weber", 1, 1)
            decisions.decide(hospitals.study.hash, "revoked", facts, load_policy(tmp_path / "none"), who)
        return reply

    monkeypatch.setattr(Site, "handle", revoked_meanwhile)
    with pytest.raises(EngineError, match="revoked"):
        Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run", every_site_must_open=True).run()
    assert hospitals.offered(NORTH).state == "revoked"


def test_numbers_that_wait_for_the_line_do_not_leave_once_they_are_revoked(
    hospitals: Hospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line may be broken for hours while an answer is tried; words leave at any time."""
    approved_everywhere(hospitals)
    asked, order, desk = hospitals.study.hash, b"an order", hospitals.desks[NORTH]
    monkeypatch.setattr(Site, "handle", lambda _site, _order: b"numbers")
    told = header("order", asked, order)
    assert desk.answer(told, order) == ("reply", b"numbers")
    assert desk.may_leave(told)
    decisions, who = hospitals.decisions(NORTH), Deciding("Anna Weber", 1, 1)
    decisions.decide(asked, "revoked", decisions.of(asked).facts, load_policy(hospitals.homes[NORTH].policy_file), who)
    assert not desk.may_leave(told)
    assert hospitals.word(NORTH, order) == "revoked"
    assert desk.may_leave(told)  # the hub hears that it is revoked
    hospitals.offered(NORTH)
    assert desk.may_leave(told)


@pytest.mark.parametrize("change", ["signature", "facts", "study", "site"])
def test_a_forged_approval_is_none(hospitals: Hospitals, change: str) -> None:
    """A record that this hospital's key did not sign as it stands lets nothing out, and says so."""
    approved_everywhere(hospitals)
    path = hospitals.homes[NORTH].study(hospitals.study.hash) / DECISION
    text = path.read_text()
    path.write_text(
        {
            "signature": lambda: text.replace('"signature":"', '"signature":"00', 1).replace('00"}', '"}', 1)[: len(text) + 2],
            "facts": lambda: text.replace(f'"data_set":"{DATA}"', '"data_set":"oncology"'),
            "study": lambda: text.replace(hospitals.study.hash, "b" * 64),
            "site": lambda: text.replace('"site":"north"', '"site":"south"'),
        }[change]()
    )
    assert hospitals.word(NORTH, an_order(hospitals)) == "disk"
    assert hospitals.offered(NORTH).state == "unfit"


def test_an_approval_ends_with_its_day(hospitals: Hospitals) -> None:
    """Nobody has to remember to take it back."""
    hospitals.offered(NORTH)
    hospitals.approve(NORTH, now_ms=int(datetime.now().timestamp() * 1000) - 31 * DAY_MS)
    assert hospitals.offered(NORTH).state == "expired"
    assert hospitals.word(NORTH, an_order(hospitals)) == "not-approved"


def test_an_approval_falls_with_the_policy(hospitals: Hospitals) -> None:
    """It was given under other rules."""
    approved_everywhere(hospitals)
    (policy := hospitals.homes[NORTH].policy_file).write_text("smallest_hospitals = 2\n")
    policy.chmod(0o600)
    assert hospitals.word(NORTH, an_order(hospitals)) == "policy"
    assert hospitals.offered(NORTH).state == "expired"


def test_outside_its_hours_the_machine_does_not_work(hospitals: Hospitals) -> None:
    """The word follows from the clock alone; and the hub hears it before it asks, so that it asks nobody in vain."""
    home = hospitals.homes[NORTH]
    home.policy_file.write_text('from_hour = "20:00"\nuntil_hour = "06:00"\n')
    home.policy_file.chmod(0o600)
    approved_everywhere(hospitals)
    for hour, word in ((19, "hours"), (20, "not-open"), (3, "not-open"), (6, "hours")):
        clock = datetime.now().astimezone().replace(hour=hour, minute=0)
        desk = SiteDesk(home, hospitals.card(NORTH), clock=lambda clock=clock: clock)
        hospitals.desks[NORTH].close()
        hospitals.desks[NORTH] = desk
        assert hospitals.word(NORTH, an_order(hospitals)) == word
        assert hospitals.offered(NORTH).state == ("hours" if word == "hours" else "approved")


def test_other_records_than_those_approved_are_not_used(hospitals: Hospitals, tmp_path: Path) -> None:
    """An approval is for these records: with others the hospital stops until a person has looked."""
    approved_everywhere(hospitals)
    table = hospitals.folder / f"{NORTH}.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(EngineError, match="records"):
        Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run", every_site_must_open=True).run()
    assert hospitals.word(NORTH, an_order(hospitals)) == "stopped"
    (hospitals.homes[NORTH].study(hospitals.study.hash) / GO_ON).touch()
    assert hospitals.word(NORTH, an_order(hospitals)) == "not-open"


def test_a_data_set_that_was_removed_is_not_used(hospitals: Hospitals) -> None:
    """Removing it is a way to take everything back at once."""
    approved_everywhere(hospitals)
    DataSets(hospitals.homes[NORTH].data_file).remove(DATA)
    assert hospitals.word(NORTH, an_order(hospitals)) == "records"


@pytest.mark.parametrize("wrong", ["own key", "other key", "one less", "title", "toml", "bytes", "nested"])
def test_an_offer_that_does_not_fit_is_unfit(hospitals: Hospitals, wrong: str) -> None:
    """The hub may not show a hospital another list than the study's, nor another study than the hash says."""
    offer = Offer.from_bytes(hospitals.offer())
    cards = {card.name: card for card in offer.sites}
    stranger = "c" * 64

    def changed(name: str, **keys: str) -> tuple[SiteCard, ...]:
        card = cards[name]
        return tuple({**cards, name: SiteCard(**{**card.model_dump(), **keys})}.values())

    bodies = {
        "own key": lambda: hospitals.offer(sites=changed(NORTH, sealing=stranger)),
        "other key": lambda: hospitals.offer(sites=changed("south", identity=stranger)),
        "one less": lambda: hospitals.offer(sites=offer.sites[:2]),
        "title": lambda: hospitals.offer(study=offer.study.replace('"Tiny"', '"Tinier"')),
        "toml": lambda: hospitals.offer(study="x = ["),
        "bytes": lambda: b"[" * 100_000,
        "nested": lambda: hospitals.offer(study="x = " + "[" * 50_000),
    }
    assert hospitals.offered(NORTH, bodies[wrong]()).state == "unfit"
    assert not (hospitals.homes[NORTH].study(hospitals.study.hash) / "offer.json").exists()


def test_the_first_offer_of_a_study_stays(hospitals: Hospitals) -> None:
    """What a person has looked at does not change under her."""
    hospitals.offered(NORTH)
    path = hospitals.homes[NORTH].study(hospitals.study.hash) / "offer.json"
    before = path.read_bytes()
    hospitals.offered(NORTH, hospitals.offer(lead="Somebody else"))
    assert path.read_bytes() == before


def test_a_head_that_its_log_never_had_is_told(hospitals: Hospitals) -> None:
    """Somebody speaks in this hospital's name, or its log was replaced."""
    hospitals.offered(NORTH)
    head = hospitals.homes[NORTH].log.head
    true = HeardHead(site=NORTH, entries=head.entries, sha256=head.sha256)
    false = HeardHead(site=NORTH, entries=head.entries, sha256="d" * 64)
    later = HeardHead(site=NORTH, entries=head.entries + 1000, sha256=head.sha256)
    assert hospitals.offered(NORTH, hospitals.offer(heads=(true,))).state == "offered"
    assert hospitals.offered(NORTH, hospitals.offer(heads=(false,))).state == "unfit"
    assert hospitals.offered(NORTH, hospitals.offer(heads=(later,))).state == "unfit"
    assert any(entry.code == "offer-refused" and "log" in entry.text for entry in hospitals.homes[NORTH].log.entries())


def test_a_hub_that_names_another_head_each_time_reads_one_line_of_the_log_for_each(
    hospitals: Hospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log grows for years. A hub could make a hospital read all of it, and hold all of it, with every offer."""
    desk, heads = hospitals.desks[NORTH], []
    for number in range(50):
        heads.append(desk.log.append("line", f"Line {number}."))
    read: list[int] = []
    entries = desk.log.entries

    def counted(start: int = 1) -> Iterator[object]:
        for entry in entries(start):
            read.append(entry.number)
            yield entry

    monkeypatch.setattr(desk.log, "entries", counted)
    for head in (heads[40], heads[2], heads[2], heads[41]):
        stated = HeardHead(site=NORTH, entries=head.entries, sha256=head.sha256)
        assert hospitals.offered(NORTH, hospitals.offer(heads=(stated,))).state == "offered"
    assert read == [heads[40].entries, heads[2].entries, heads[41].entries]


def test_every_exchange_is_in_the_log_and_no_patient(hospitals: Hospitals, tmp_path: Path) -> None:
    """The data manager sees what left, by hash and size; an auditor may read it all."""
    approved_everywhere(hospitals)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run")
    coordinator.run()
    coordinator.close()
    log = hospitals.homes[NORTH].log
    entries = list(log.entries())
    assert not verify(log.folder).problem
    answers = [entry for entry in entries if entry.code == "answer"]
    assert len(answers) >= 8 and all(entry.facts["reply_bytes"] > 0 and len(entry.facts["reply"]) == 64 for entry in answers)
    text = "".join(path.read_text() for path in log.folder.glob("*.ndjson"))
    assert MARKER not in text and str(tmp_path) not in text


def test_a_status_says_the_release_only_where_the_policy_lets_it(hospitals: Hospitals) -> None:
    """An attacker who knows the release knows its faults."""
    assert hospitals.offered(NORTH).release
    hospitals.homes[NORTH].policy_file.write_text("tell_release = false\n")
    hospitals.homes[NORTH].policy_file.chmod(0o600)
    assert not hospitals.offered(NORTH).release


def test_the_hub_can_prove_who_approved_and_learns_nothing_else(hospitals: Hospitals) -> None:
    """What leaves of an approval is signed, and holds hashes in place of names."""
    approved_everywhere(hospitals)
    status = hospitals.offered(NORTH)
    assert status.approval is not None and status.approval.is_signed_by(hospitals.card(NORTH).identity)
    assert not status.approval.is_signed_by(hospitals.card("south").identity)
    assert DATA.encode() not in status.to_bytes()


def test_messages_of_topics_that_only_a_hub_takes_get_no_answer(hospitals: Hospitals) -> None:
    """Even where a signature proved them."""
    assert hospitals.desks[NORTH].answer(header("status", hospitals.study.hash, b""), b"") is None
    assert hospitals.desks[NORTH].answer(header("reply", hospitals.study.hash, b""), b"") is None


def test_orders_that_nobody_approved_are_answered_as_often_as_they_come(hospitals: Hospitals) -> None:
    """The count of refusals belongs to a study at work; before it there is nothing that could be tried out."""
    hospitals.offered(NORTH)
    for _ in range(REFUSALS_IN_A_ROW + 5):
        assert hospitals.word(NORTH, an_order(hospitals)) == "not-approved"
    assert sum(entry.code == "refused" for entry in hospitals.homes[NORTH].log.entries()) == 6  # no flood fills the disk


def test_little_is_taken_of_what_nobody_approved(hospitals: Hospitals) -> None:
    """A hub could else fill the memory of a hospital that has said yes to nothing."""
    desk, order = hospitals.desks[NORTH], header("order", hospitals.study.hash, b"")
    before = desk.limit(order)
    assert before <= 1 << 21 and desk.limit(header("offer", hospitals.study.hash, b"")) <= 1 << 22
    approved_everywhere(hospitals)
    assert desk.limit(order) == desk._site(hospitals.study.hash, desk._approved(hospitals.study.hash)).largest_message
    assert desk.limit(order) < before  # the study's own messages are small


def test_a_hub_that_names_a_new_study_each_time_fills_neither_log_nor_memory(hospitals: Hospitals) -> None:
    """Each of them was the first of its study, and so a line of the log for ever."""
    desk, body = hospitals.desks[NORTH], b"{}"
    for number in range(200):
        name = f"{number:064x}"
        assert desk.answer(header("order", name, body), body) is not None
        assert desk.answer(header("offer", name, body), body) is not None
        desk.answer(header("reply", name, body), body)
    assert len(list(desk.log.entries())) <= 3 * 8
    assert len(desk._repeated) == 3
    assert not list(hospitals.homes[NORTH].studies.glob("*"))


def test_offers_take_no_more_of_the_disk_than_they_may(hospitals: Hospitals, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand offers of four megabytes would be four gigabytes before anybody has looked at one."""
    monkeypatch.setattr("wardround.site.daemon.offers.MOST_BYTES", len(hospitals.offer()) - 1)
    assert hospitals.offered(NORTH).state == "unfit"
    monkeypatch.setattr("wardround.site.daemon.offers.MOST_BYTES", len(hospitals.offer()))
    assert hospitals.offered(NORTH).state == "offered"
    assert hospitals.offered(NORTH).state == "offered"  # it is there


@pytest.mark.parametrize("by", ["", "  ", "x" * 201, "a\nb", "a\x1b[2J"])
def test_a_decision_has_a_persons_name(hospitals: Hospitals, by: str) -> None:
    """An empty name was a fault of ours, and one of two lines could not be read in the record."""
    hospitals.offered(NORTH)
    decisions = hospitals.decisions(NORTH)
    with pytest.raises(RefusedError, match="name of the person"):
        decisions.decide(
            hospitals.study.hash, "refused", Facts(), load_policy(hospitals.homes[NORTH].policy_file), Deciding(by, 1, 1)
        )
    assert decisions.of(hospitals.study.hash) is None


def test_no_approval_is_in_force_that_the_log_does_not_have(hospitals: Hospitals, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that dies, or a disk that is full, between the two leaves the line without the approval."""
    hospitals.offered(NORTH)
    home, asked = hospitals.homes[NORTH], hospitals.study.hash
    monkeypatch.setattr("wardround.cli.site.studies.own_card", lambda _: hospitals.card(NORTH))
    monkeypatch.setattr("wardround.cli.site.studies.offers_of", lambda _: Offers(home, hospitals.card(NORTH)))
    write_atomic(home.policy_file, b"smallest_patients = 1\n", private=True)
    append = ChainedLog.append

    def full(log: ChainedLog, code: str, text: str, **facts: object) -> object:
        if code == "approved":
            raise RunError("The log cannot be written", hint="free some disk space")
        return append(log, code, text, **facts)

    monkeypatch.setattr(ChainedLog, "append", full)
    words = ["site", "approve", asked[:12], "--data", DATA, "--by", "Anna", "--yes", "--home", str(home.path)]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, RunError) and hospitals.decisions(NORTH).of(asked) is None
    monkeypatch.undo()
    assert hospitals.word(NORTH, an_order(hospitals)) == "not-approved"
