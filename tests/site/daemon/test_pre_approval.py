"""What a policy approves beforehand: studies that evaluate a finished model, so many, with whom and on what was said before."""

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.testing import CliRunner

import wardround.site.daemon.examination as examination
import wardround.site.daemon.pre_approval as module
from wardround.cli.evidence import _files
from wardround.cli.main import app
from wardround.crypto.identity import Identity
from wardround.evidence.pack import DECISION, PRE_APPROVED, write_pack
from wardround.evidence.pack_check import check_pack
from wardround.hub.coordinator import Coordinator
from wardround.plan.evaluated_model import GivenModel
from wardround.site.daemon.approvals import FILE as DECISION_FILE
from wardround.site.daemon.approvals import Deciding, Facts, require_name
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.desk import SiteDesk
from wardround.site.daemon.policy import Policy, load_policy, not_pre_approved
from wardround.site.daemon.pre_approval import FILE, Count, Counted, PreApprovals
from wardround.study.declaration import Study
from wardround.values.chained_log import verify
from wardround.values.errors import RefusedError, RunError
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Order, OrderHeader
from wardround.wire.offers import HeardHead

from ...federation.evaluations import evaluation, write_finished
from ...federation.tiny_federation import NAMES, study
from .hospitals import DATA, DeskEngine, Hospitals

NORTH = "north"
LEAD = "Dr. Weber"
ALL = {"validation": 0.0, "test": 1.0}


def asked(seed: int = 7, **changes: Any) -> Study:
    """An evaluation of the model of that seed on all patients of each hospital."""
    sections = {"question": {"contact": LEAD}, "data": {"splits": ALL}}
    return evaluation(seed).revised(**{**sections, **changes})


class Ward(Hospitals):
    """Hospitals, each with a policy, that are offered one study after another."""

    def offer_of(self, of: Study, name: str = NORTH) -> str:
        """What the hospital says to the offer of another study of the same hospitals."""
        keys = {one: home.identity.public for one, home in sorted(self.homes.items())}
        self.study = of.revised(sites={"names": tuple(keys), "keys": keys})
        return self.offered(name).state

    def write_policy(self, name: str = NORTH, **changes: object) -> Policy:
        others = tuple(f"{one} {home.identity.public[:20]}" for one, home in sorted(self.homes.items()) if one != name)
        settings: dict[str, object] = {
            "leads": (LEAD,),
            "pre_approve": "evaluation-only",
            "pre_approve_hospitals": others,
            "pre_approve_data": (DATA,),
            "pre_approve_studies": 3,
        }
        path = self.homes[name].policy_file
        path.write_text(tomli_w.dumps({**settings, **changes}))
        path.chmod(0o600)
        return load_policy(path)

    def count(self, name: str = NORTH) -> tuple[Counted, ...]:
        return PreApprovals(self.homes[name]).count().studies

    def codes(self, name: str = NORTH) -> list[str]:
        return [entry.code for entry in self.homes[name].log.entries() if "approv" in entry.code]

    def reasons(self, name: str = NORTH) -> str:
        return " | ".join(entry.text for entry in self.homes[name].log.entries() if entry.code == "not-pre-approved")

    def restarted(self, name: str = NORTH) -> None:
        """Another process of the same hospital."""
        self.desks[name].close()
        self.desks[name] = SiteDesk(self.homes[name], self.card(name))


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "user"))
    made = Ward(tmp_path / "hospitals", asked())
    yield made
    made.close()


def test_such_studies_are_answered_without_a_person(ward: Ward, tmp_path: Path) -> None:
    """From the offer to the figures; two of the hospitals approved beforehand, and at the third a person did."""
    for name in ("east", NORTH):
        ward.write_policy(name)
        assert ward.offer_of(asked(), name) == "approved"
    ward.offered("south")
    ward.approve("south")
    networks = GivenModel(write_finished(tmp_path / "model.safetensors"))
    coordinator = Coordinator(ward.study, DeskEngine(ward), tmp_path / "run", networks=networks, every_site_must_open=True)
    coordinator.run()
    coordinator.close()
    scores = coordinator.evaluate("federated", {})["test"]
    assert coordinator.plan.task.records(scores) == 114
    decision = ward.decisions(NORTH).of(ward.study.hash)
    policy = load_policy(ward.homes[NORTH].policy_file)
    assert decision is not None and decision.is_beforehand
    assert decision.statement.by == f"policy {policy.hash[:12]}" and decision.statement.policy == policy.hash
    assert decision.signed.is_signed_by(ward.homes[NORTH].identity.public)
    assert ward.codes() == ["pre-approving", "pre-approved"] and not verify(ward.homes[NORTH].log.folder).problem
    assert [(one.outcome, one.data_set) for one in ward.count()] == [("approved", DATA)]


LEFT: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("no word of the policy", {}, {"pre_approve": "nothing"}, ""),
    ("another lead", {"question": {"contact": "Dr. Mallory"}}, {}, "leads allows"),
    ("a sum of two", {}, {"smallest_hospitals": 4}, "smallest_hospitals"),
    ("a plain sum", {"summation": {"mode": "plain"}}, {"plain_sums": True}, "its sum is plain"),
    ("every hospital trusted", {"summation": {"collusion": 0}}, {}, "collusion = 0"),
    ("another model", {}, {"pre_approve_models": ("a" * 64,)}, "none of pre_approve_models"),
    ("other hospitals", {}, {"pre_approve_hospitals": (f"east {'a' * 20}", f"south {'b' * 20}")}, "pre_approve_hospitals"),
    ("one hospital more", {}, {"pre_approve_hospitals": (f"west {'a' * 20}",)}, "east, south"),
    ("a data set that is none", {}, {"pre_approve_data": ("dermatology",)}, "no data set is called"),
    ("a kind of question", {}, {"questions": ("survival",)}, "questions allows"),
    ("a privacy mode", {}, {"privacy_modes": ("site",)}, "privacy_modes"),
]


@pytest.mark.parametrize(("what", "study_changes", "policy_changes", "reason"), LEFT, ids=[what for what, *_ in LEFT])
def test_what_breaks_a_public_rule_is_left_to_a_person_and_not_counted(
    ward: Ward,
    what: str,
    study_changes: dict[str, Any],
    policy_changes: dict[str, Any],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No record is looked at for it, so that the hub learns nothing by it."""

    def unread(*_: object, **__: object) -> Any:
        raise AssertionError("the data were read")

    monkeypatch.setattr(module, "examine", unread)
    if policy_changes.get("pre_approve") == "nothing":
        path = ward.homes[NORTH].policy_file
        path.write_text("smallest_hospitals = 3\n")
        path.chmod(0o600)
    else:
        ward.write_policy(**policy_changes)
    assert ward.offer_of(asked(**study_changes)) == "offered", what
    assert reason in ward.reasons() and ward.count() == ()


def test_a_study_that_trains_is_never_approved_beforehand(ward: Ward) -> None:
    """Whatever it calls itself: what counts is its list of sums."""
    ward.write_policy(smallest_patients=1)
    training = study(mode="masked").revised(question={"title": "Evaluation only", "contact": LEAD})
    assert ward.offer_of(training) == "offered"
    assert "it trains" in ward.reasons() and ward.count() == ()


def test_a_training_order_after_a_pre_approval_is_none_of_the_list(ward: Ward) -> None:
    """What was let in is the list of sums and nothing else."""
    ward.write_policy()
    assert ward.offer_of(asked()) == "approved"
    header = OrderHeader(study=ward.study.hash, step="train", round=1, cohort=NAMES, weight=76)
    assert ward.word(NORTH, to_bytes(Order(header))) == "not-in-study"


def test_the_number_is_never_exceeded_and_never_counted_anew(ward: Ward) -> None:
    """Not by another process, not by offers that come again, not by another policy, and not by revoking."""
    ward.write_policy()
    assert [ward.offer_of(asked(seed)) for seed in (1, 2, 3)] == ["approved"] * 3
    ward.restarted()
    assert ward.offer_of(asked(3)) == "approved" and len(ward.count()) == 3
    CliRunner().invoke(app, ["site", "revoke", ward.study.hash, "--by", "Anna Weber", "--home", str(ward.homes[NORTH].path)])
    assert ward.offer_of(asked(4)) == "offered" and "3 of 3 studies" in ward.reasons()
    ward.write_policy(longest_days=10)
    assert ward.offer_of(asked(5)) == "offered" and len(ward.count()) == 3
    ward.write_policy(pre_approve_studies=4)
    assert [ward.offer_of(asked(seed)) for seed in (5, 6)] == ["approved", "offered"]


def test_a_study_is_decided_once(ward: Ward) -> None:
    """Not again after a person took it back, nor where the record was taken away."""
    ward.write_policy()
    assert ward.offer_of(asked()) == "approved"
    home = ward.homes[NORTH]
    (home.study(ward.study.hash) / DECISION_FILE).unlink()
    assert ward.offer_of(asked()) == "offered" and "decides once" in ward.reasons()
    ward.decisions(NORTH).decide(ward.study.hash, "refused", Facts(), load_policy(home.policy_file), Deciding("A", 0, 0))
    assert ward.offer_of(asked()) == "refused" and len(ward.count()) == 1


@pytest.mark.parametrize("restored", ["folder", "outside", "both files"])
def test_a_count_that_was_restored_from_a_backup_says_no_less(ward: Ward, restored: str) -> None:
    """Of the two places either may be brought back from yesterday; what either has counts. Where both are, the log still has it,
    and the hub heard where the log stood."""
    ward.write_policy(pre_approve_studies=2)
    ward.offer_of(asked(1))
    home = ward.homes[NORTH]
    inside, outside = PreApprovals(home)._places
    before = inside.read_bytes(), outside.read_bytes()
    ward.offer_of(asked(2))
    heard = HeardHead(site=NORTH, entries=home.log.head.entries, sha256=home.log.head.sha256)
    if restored in ("folder", "both files"):
        inside.write_bytes(before[0])
    if restored in ("outside", "both files"):
        outside.write_bytes(before[1])
    if restored == "both files":  # and the log of that day
        shutil.rmtree(home.path / "log")
    keys = {one: ward.homes[one].identity.public for one in sorted(ward.homes)}
    ward.study = asked(3).revised(sites={"names": tuple(keys), "keys": keys})
    offer = ward.offer(heads=(heard,)) if restored == "both files" else ward.offer()
    assert ward.offered(NORTH, offer).state == ("unfit" if restored == "both files" else "offered")
    assert ward.decisions(NORTH).of(ward.study.hash) is None


def test_a_damaged_count_approves_nothing(ward: Ward) -> None:
    """Nobody knows how many there were."""
    ward.write_policy()
    (ward.homes[NORTH].path / FILE).write_text("{")
    (ward.homes[NORTH].path / FILE).chmod(0o600)
    assert ward.offer_of(asked()) == "offered" and "is damaged" in ward.reasons()
    with pytest.raises(RunError, match="is damaged"):
        ward.count()


def test_other_patients_or_outcomes_than_in_the_first_study_are_left_to_a_person(ward: Ward) -> None:
    """Attack: the same model over patients that differ by a few, or with another salt, shows these few by the difference."""
    ward.write_policy(smallest_patients=10)
    assert ward.offer_of(asked(1)) == "approved"
    fewer = asked(1, data={"splits": {**ALL, "test": 0.8}})
    flipped = asked(1, data={"splits": ALL, "label": {"negative": [1], "positive": [0]}})
    for other in (fewer, flipped):
        assert ward.offer_of(other) == "offered"
        assert "other patients or outcomes" in ward.reasons()
    assert [one.outcome for one in ward.count()] == ["approved", "left", "left"]


def test_what_a_network_reads_may_differ_where_the_patients_are_the_same(ward: Ward) -> None:
    """Another model with other columns on the same test patients is what hospitals were asked for."""
    ward.write_policy()
    columns = asked().model_dump(mode="json")["data"]["columns"]
    assert ward.offer_of(asked(1)) == "approved"
    assert ward.offer_of(asked(2, data={"splits": ALL, "columns": columns[:2]})) == "approved"


def test_another_set_of_hospitals_is_left_to_a_person_before_any_record_is_read(ward: Ward, tmp_path: Path) -> None:
    """Attack: the same model over three hospitals and over four shows the fourth. The rule is the three's."""
    ward.write_policy()
    assert ward.offer_of(asked(1)) == "approved"
    west = Identity.at(tmp_path / "west.key").public
    others = tuple(f"{one} {ward.homes[one].identity.public}" for one in ("east", "south"))
    ward.write_policy(pre_approve_hospitals=(*others, f"west {west}"))
    keys = {**{one: home.identity.public for one, home in ward.homes.items()}, "west": west}
    four = asked(1).revised(sites={"names": tuple(sorted(keys)), "keys": dict(sorted(keys.items()))})
    desk, home = ward.desks[NORTH], ward.homes[NORTH]
    assert desk._policy_desk.consider(four, load_policy(home.policy_file), 0, at_work=True) is None
    assert "other hospitals add up" in ward.reasons() and len(ward.count()) == 1


def test_hospitals_that_the_hub_made_up_are_strangers(ward: Ward, tmp_path: Path) -> None:
    """Attack: with two hospitals of its own the hub reads the third's numbers off the sum. No person compares keys here, so the
    policy does."""
    ward.write_policy()
    made_up = {name: Identity.at(tmp_path / f"{name}.key").public for name in ("east", "south")}
    keys = {**made_up, NORTH: ward.homes[NORTH].identity.public}
    forged = asked().revised(sites={"names": tuple(sorted(keys)), "keys": dict(sorted(keys.items()))})
    desk, home = ward.desks[NORTH], ward.homes[NORTH]
    assert desk._policy_desk.consider(forged, load_policy(home.policy_file), 0, at_work=True) is None
    assert "east, south: not among pre_approve_hospitals" in ward.reasons() and ward.count() == ()


def test_a_sum_that_opens_without_one_of_them_is_left_to_a_person(ward: Ward, tmp_path: Path) -> None:
    """Attack: of two studies with nearly the same model the hub leaves one hospital out of the second sum, and has that one's
    numbers by the difference. So nobody may be missing."""
    more = {name: Identity.at(tmp_path / f"{name}.key").public for name in ("west", "coast")}
    keys = {**{one: home.identity.public for one, home in ward.homes.items()}, **more}
    policy = ward.write_policy(pre_approve_hospitals=tuple(f"{name} {key}" for name, key in keys.items() if name != NORTH))
    five = asked().revised(sites={"names": tuple(sorted(keys)), "keys": dict(sorted(keys.items()))})
    assert five.quorum.threshold == 4
    assert any("summation.threshold = 5" in reason for reason in not_pre_approved(policy, five, NORTH))
    assert not list(not_pre_approved(policy, five.revised(summation={"threshold": 5}), NORTH))


@pytest.mark.parametrize("rules", [{"smallest_patients": 49}, {"smallest_patients": 1_000}])
def test_too_few_patients_are_counted_all_the_same(ward: Ward, rules: dict[str, object]) -> None:
    """That a study is left to a person says something of the records then: as often as the number lets it, and no oftener."""
    ward.write_policy(**rules)
    assert ward.offer_of(asked(1)) == "offered" and "smallest_patients" in ward.reasons()
    assert [one.outcome for one in ward.count()] == ["left"]
    assert ward.offer_of(asked(1)) == "offered" and len(ward.count()) == 1


def test_validation_patients_are_no_fewer_either(ward: Ward) -> None:
    """Their sums leave as well."""
    ward.write_policy(smallest_patients=10)
    assert ward.offer_of(asked(1, data={"splits": {"validation": 0.15, "test": 0.85}})) == "offered"
    assert "smallest_patients is 10" in ward.reasons()


def test_a_policy_that_changes_while_the_data_are_read_gives_no_approval(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval is under the rules that are in force when it is given. The next offer is looked at under the new ones, and is
    not counted twice."""
    ward.write_policy()
    examine = examination.examine

    def meanwhile(*arguments: Any) -> Any:
        ward.write_policy(longest_days=7)
        return examine(*arguments)

    monkeypatch.setattr(module, "examine", meanwhile)
    assert ward.offer_of(asked()) == "offered"
    assert [one.outcome for one in ward.count()] == ["begun"]
    monkeypatch.setattr(module, "examine", examine)
    assert ward.offer_of(asked()) == "approved" and len(ward.count()) == 1


def test_a_person_who_refuses_while_the_data_are_read_is_obeyed(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy decides in her place only where she has not."""
    policy, examine = ward.write_policy(), examination.examine

    def meanwhile(*arguments: Any) -> Any:
        ward.decisions(NORTH).decide(ward.study.hash, "refused", Facts(), policy, Deciding("Anna Weber", 0, 0))
        return examine(*arguments)

    monkeypatch.setattr(module, "examine", meanwhile)
    assert ward.offer_of(asked()) == "refused"


def test_an_approval_falls_with_the_policy_and_is_not_given_again(ward: Ward) -> None:
    """In the middle of a study too: what is asked next is refused, until a person looks."""
    ward.write_policy()
    assert ward.offer_of(asked()) == "approved"
    ward.write_policy(longest_days=7)
    order = to_bytes(Order(OrderHeader(study=ward.study.hash, step="close", round=0, cohort=NAMES, opening="a" * 64)))
    assert ward.word(NORTH, order) == "policy"
    assert ward.offer_of(asked()) == "expired" and len(ward.count()) == 1


def test_no_data_are_read_outside_the_hours(ward: Ward) -> None:
    """The machine is not at work then; at the next offer in its hours it is."""
    ward.write_policy(from_hour="20:00", until_hour="06:00")
    for hour, state in ((12, "offered"), (21, "approved")):
        clock = datetime.now().astimezone().replace(hour=hour, minute=0)
        ward.desks[NORTH].close()
        ward.desks[NORTH] = SiteDesk(ward.homes[NORTH], ward.card(NORTH), clock=lambda clock=clock: clock)
        assert ward.offer_of(asked()) == state


@pytest.mark.parametrize("moment", ["after the count", "before the decision"])
def test_a_power_cut_neither_counts_twice_nor_approves_what_is_not_bound(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Killed after the count: the next process goes on with the same study. Killed before the record: a person looks."""
    ward.write_policy()

    def cut(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if moment == "after the count":
            patch.setattr(module, "examine", cut)
        else:
            patch.setattr(type(ward.decisions(NORTH)), "decide", cut)
        ward.offer_of(asked())
    ward.restarted()
    assert ward.offer_of(asked()) == ("approved" if moment == "after the count" else "offered")
    assert len(ward.count()) == 1


def test_records_that_make_a_program_fail_do_not_show_in_the_status(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "unfit" would tell; so it is left to a person like any other."""
    ward.write_policy()

    def fails(*_: object) -> Any:
        raise ZeroDivisionError("of a patient")

    monkeypatch.setattr(module, "examine", fails)
    assert ward.offer_of(asked()) == "offered"
    assert [one.outcome for one in ward.count()] == ["left"]


def test_only_names_of_data_sets_of_the_policy_are_used(ward: Ward) -> None:
    """The first that fits, in the policy's order; the hub does not hear which."""
    home = ward.homes[NORTH]
    small = home.path.parent / "small.csv"
    table = (ward.folder / f"{NORTH}.csv").read_text().splitlines()
    small.write_text("\n".join(table[:12]) + "\n")
    DataSets(home.data_file).add("small", str(small), mapping=None, ledger=None)
    ward.write_policy(pre_approve_data=("small", DATA))
    assert ward.offer_of(asked()) == "approved"
    decision = ward.decisions(NORTH).of(ward.study.hash)
    assert decision is not None and decision.facts.data_set == DATA


def test_people_see_what_was_approved_in_their_place(ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`site policy`, `site studies`, `site review` and `site log` say it, and the evidence holds it."""
    for joined in ("wardround.cli.site.homes.own_card", "wardround.cli.site.studies.own_card"):
        monkeypatch.setattr(joined, lambda _home: ward.card(NORTH))  # no hub is there to join
    policy = ward.write_policy()
    ward.offer_of(asked())
    home = str(ward.homes[NORTH].path)

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["site", *words, "--home", home], terminal_width=300)
        assert done.exit_code == 0, done.exception
        return " ".join(done.stdout.split())

    assert "1 of 3 studies were counted" in said("policy") and "approved on radiology" in said("policy")
    for words in (("studies",), ("review", ward.study.hash)):
        assert f"approved beforehand by the policy {policy.hash[:12]}" in said(*words)
    assert "It may be approved beforehand" in said("review", ward.study.hash)
    assert f"policy {policy.hash[:12]} approved the study beforehand, number 1 of 3" in said("log")
    files = _files(ward.homes[NORTH], ward.study.hash)
    assert len(Count.model_validate_json(files[PRE_APPROVED]).studies) == 1
    pack = tmp_path / "evidence.zip"
    write_pack(pack, NORTH, ward.study.hash, files, ward.homes[NORTH].identity)
    check = check_pack(pack)
    assert not check.problems and "a policy made the decision beforehand, and the log has it" in check.confirmed


def test_a_decision_that_claims_to_be_a_policys_needs_its_line_of_the_log(ward: Ward, tmp_path: Path) -> None:
    """Attack: a person signs for a policy, so that nobody is asked."""
    policy = ward.write_policy(pre_approve_hospitals=(f"west {'a' * 20}",))
    assert ward.offer_of(asked()) == "offered"
    who = Deciding.beforehand(policy, 0)
    ward.decisions(NORTH).decide(ward.study.hash, "approved", Facts(), policy, who)
    files = _files(ward.homes[NORTH], ward.study.hash)
    assert json.loads(files[DECISION])["signed"]["statement"]["by"].startswith("policy ")
    write_pack(pack := tmp_path / "evidence.zip", NORTH, ward.study.hash, files, ward.homes[NORTH].identity)
    assert any("the log has no line of that" in problem for problem in check_pack(pack).problems)


@pytest.mark.parametrize("by", ["policy 123456789012", "Policy of the house", "  policy x"])
def test_no_person_is_called_policy(by: str) -> None:
    """Or a record could not be told from one that a policy made."""
    with pytest.raises(RefusedError, match="begin with the word policy"):
        require_name(by)
