"""What the hub believes of a hospital's word. A study that runs on a forged approval is a study without one."""

from dataclasses import replace
from pathlib import Path

import pytest

from wardround.crypto.identity import Identity
from wardround.hub.daemon.offering import approval_fault, checked_again, standing_of
from wardround.hub.daemon.study_state import SiteStanding, StudyState
from wardround.study.declaration import Study
from wardround.values.ids import SiteId
from wardround.wire.offers import ApprovalStatement, SignedApproval, SiteStatus

from ...federation.tiny_federation import study
from .hub_ward import hub_ward, until, until_state

EAST, NORTH = Identity.new(), Identity.new()


def asked() -> Study:
    return study().revised(sites={"names": ("east", "north"), "keys": {"east": EAST.public, "north": NORTH.public}})


def statement(**changes: object) -> ApprovalStatement:
    whole = ApprovalStatement(
        study=asked().hash, site="east", decision="approved", subject="a" * 64, policy="b" * 64, by="Dr. A", at=10, until=1000
    )
    return whole.revised(**changes)


@pytest.mark.parametrize(
    ("changes", "signer", "fault"),
    [
        ({}, EAST, ""),
        ({"study": "c" * 64}, EAST, "another study"),
        ({"site": "north"}, NORTH, "of north"),
        ({}, NORTH, "not signed by the key"),
        ({}, Identity.new(), "not signed by the key"),
        ({"decision": "revoked"}, EAST, "says revoked"),
        ({"decision": "refused"}, EAST, "says refused"),
        ({"until": 500}, EAST, "expired"),
        ({"until": 499}, EAST, "expired"),
    ],
)
def test_an_approval_counts_for_its_study_its_site_its_key_and_its_time(
    changes: dict[str, object], signer: Identity, fault: str
) -> None:
    """Each of these is somebody else's yes."""
    told = approval_fault(SignedApproval.of(statement(**changes), signer), "east", asked(), 500)
    assert (fault in told and bool(told)) if fault else told == ""


def test_an_approval_that_was_changed_after_it_was_signed_is_none() -> None:
    """The hub's own disk, or the way, could make a year of a day."""
    signed = SignedApproval.of(statement(), EAST)
    longer = signed.revised(statement=statement(until=10**12))
    assert "not signed" in approval_fault(longer, "east", asked(), 500)


def test_the_word_approved_alone_is_unproved() -> None:
    """Whoever can send a status could otherwise start a study."""
    for approval in (None, SignedApproval.of(statement(), NORTH)):
        standing = standing_of(SiteStatus(state="approved", approval=approval), "east", asked(), 500)
        assert standing.state == "unproved" and standing.fault


def test_what_was_kept_is_looked_at_again() -> None:
    """An approval runs out while the hub waits for the others; a file can be edited."""
    good = SiteStanding(state="approved", approval=SignedApproval.of(statement(), EAST))
    state = StudyState(study=asked().hash, since=1, sites={"east": good, "north": SiteStanding()})
    assert checked_again(state, asked(), 999) == state
    assert checked_again(state, asked(), 1000).sites["east"].state == "unproved"
    edited = state.with_site("north", state="approved", approval=SignedApproval.of(statement(site="north"), EAST))
    assert checked_again(edited, asked(), 500).sites["north"].state == "unproved"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forged", "expired", "another study"])
def test_a_study_never_runs_on_an_approval_that_proves_nothing(tmp_path: Path, kind: str) -> None:
    """No order may leave, however often the hospital's status says approved."""
    with hub_ward(tmp_path) as hub:
        east = hub.hospitals["east"]
        if kind == "forged":
            east.signs_with = Identity.new()
        elif kind == "expired":
            east.forge = lambda statement: statement.revised(until=1)
        else:
            east.forge = lambda statement: statement.revised(study="d" * 64)
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        with hub.up():
            until_state(folder, lambda state: state.sites["east"].state == "unproved")
            until_state(folder, lambda _: len(hub.post.asked) > 3)
        assert folder.state.phase == "offered" and {topic for topic, _ in hub.post.asked} == {"offer"}
        log = [entry for entry in hub.home.log.entries() if entry.code == "status" and entry.facts["site"] == "east"]
        assert [entry.facts["state"] for entry in log] == ["unproved"] and ", but " in log[0].text


@pytest.mark.slow
@pytest.mark.parametrize("claimed", ["approved", "hours"])
def test_a_state_that_was_edited_on_the_disk_starts_nothing(tmp_path: Path, claimed: str) -> None:
    """Whoever can write the file could otherwise say that all have approved."""
    with hub_ward(tmp_path) as hub:
        hub.hospitals["south"].approves = False
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        state = folder.state.to("running", begun=True)
        forged = SignedApproval.of(statement(study=folder.hash, site="south", until=10**15), Identity.new())
        folder.keep(state.with_site("south", state=claimed, approval=forged))
        with hub.up():
            assert until(folder, "waiting").awaits == ("east", "north", "south")
            until_state(folder, lambda _: len(hub.post.asked) > 3)
            assert {topic for topic, _ in hub.post.asked} == {"offer"}
            hub.hospitals["south"].approves = True
            assert until(folder, "finished", "failed").phase == "finished"


@pytest.mark.slow
def test_an_approval_that_comes_later_starts_the_study(tmp_path: Path) -> None:
    """A person at a hospital takes days; nobody at the hub has to watch."""
    with hub_ward(tmp_path) as hub:
        hub.hospitals["south"].approves = False
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        with hub.up():
            until_state(folder, lambda state: state.missing_approvals == ("south",))
            assert folder.state.phase == "offered"
            hub.hospitals["south"].approves = True
            assert until(folder, "finished", "failed").phase == "finished"


@pytest.mark.slow
def test_a_hospital_that_refuses_ends_the_offer_until_a_person_resumes_it(tmp_path: Path) -> None:
    """The hub does not ask for ever what was answered; and a refusal may be a mistake."""
    with hub_ward(tmp_path) as hub:
        hub.hospitals["north"].said = "refused"
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        with hub.up():
            state = until(folder, "declined", "failed")
            assert state.awaits == ("north",) and "wardround hub resume" in state.mend
            hub.hospitals["north"].said = None
            folder.say("resume")
            assert until(folder, "finished", "failed").phase == "finished"


def test_a_hospital_that_is_enrolled_under_another_key_stops_its_studies(tmp_path: Path) -> None:
    """The others approved a study with the old key in it: the new one is a stranger to them."""
    with hub_ward(tmp_path) as hub:
        hub.hospitals["south"].approves = False
        folder = hub.submit(study(mode="masked", rounds=1, collusion=0))
        south = SiteId("south")
        hub.roster.entries[south] = replace(hub.roster.entries[south], identity=Identity.new().public)
        with hub.up():
            state = until(folder, "failed")
        assert "south is enrolled under another key" in state.reason and "hub run" in state.mend
        assert hub.post.asked == []
