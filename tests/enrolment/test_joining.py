"""A hospital joins a hub over real TLS, on one machine."""

from pathlib import Path

import pytest

from wardround.crypto.login_key import LoginKey
from wardround.site.daemon.hub_record import HubRecord
from wardround.site.daemon.joining import join, rotate, status
from wardround.values.errors import RefusedError, RunError, WireError
from wardround.values.ids import SiteId

from .loopback import Clock, TestHub, hub_in, site_in, up

ANNA = SiteId("st-anna")


@pytest.fixture
def hub(tmp_path: Path) -> TestHub:
    return hub_in(tmp_path / "hub")


def test_a_hospital_joins_and_is_in_the_roster_once_a_person_has_compared_the_words(hub: TestHub, tmp_path: Path) -> None:
    """The whole way: what one side shows is what the other shows, and nobody is in before both were compared."""
    home = site_in(tmp_path / "site")
    invitation = hub.invite("st-anna").text.encode()
    with up(hub):
        joined = join(invitation, home)
        assert (joined.name, joined.state, joined.new_keys) == ("st-anna", "waiting", False)
        assert joined.words == hub.roster.waiting()[ANNA].words
        assert len(joined.words.split()) == 8
        assert hub.roster.confirmed() == {}
        assert status(home).state == "waiting"
        hub.roster.confirm("st-anna", joined.words)
        assert status(home).state == "confirmed"
    entry = hub.roster.confirmed()[ANNA]
    assert (entry.identity, entry.sealing) == (home.identity.public, home.sealing.public)
    assert hub.roster.by_login(entry.login) == entry
    assert LoginKey.at(home.login_key).public == entry.keys.login
    assert hub.roster.key_cards()[ANNA].identity == home.identity.public
    assert HubRecord.required(home).hub == hub.card
    assert not joined.clock_is_off


def test_the_same_invitation_again_is_the_same_request(hub: TestHub, tmp_path: Path) -> None:
    """Somebody who runs `join` twice, or was cut off before the answer came, must not have burnt his own invitation."""
    home = site_in(tmp_path / "site")
    invitation = hub.invite("st-anna").text.encode()
    with up(hub):
        first = join(invitation, home)
        request = HubRecord.required(home).request
        assert join(invitation, home).words == first.words
        assert HubRecord.required(home).request == request
    assert len(hub.logged("site-waiting")) == 1


@pytest.mark.slow
def test_a_stolen_invitation_that_was_used_first_shows(hub: TestHub, tmp_path: Path) -> None:
    """The thief waits under the hospital's name; the hospital is refused, and its words are not those of the thief."""
    invitation = hub.invite("st-anna").text.encode()
    thief, hospital = site_in(tmp_path / "thief"), site_in(tmp_path / "site")
    with up(hub):
        join(invitation, thief)
        with pytest.raises(RefusedError, match="used, replaced or expired"):
            join(invitation, hospital)
        assert HubRecord.required(hospital).state == "asking"
        with pytest.raises(RunError, match="words are not those"):
            hub.roster.confirm("st-anna", HubRecord.required(hospital).words)
        assert hub.roster.confirmed() == {}
        joined = join(hub.invite("st-anna").text.encode(), hospital)
        assert hub.roster.confirm("st-anna", joined.words).identity == hospital.identity.public
        with pytest.raises(RefusedError, match="does not know the keys"):
            status(thief)


@pytest.mark.slow
def test_a_hospital_that_was_turned_away_joins_by_a_new_invitation(hub: TestHub, tmp_path: Path) -> None:
    """Two persons who misheard a word start again; nobody has to delete a file."""
    home = site_in(tmp_path / "site")
    with up(hub):
        join(hub.invite("st-anna").text.encode(), home)
        hub.roster.turn_away("st-anna")
        with pytest.raises(RefusedError, match="does not know the keys"):
            status(home)
        joined = join(hub.invite("st-anna").text.encode(), home)
        hub.roster.confirm("st-anna", joined.words)
        assert status(home).state == "confirmed"
        with pytest.raises(RunError, match="has joined the hub"):
            join(hub.invite("st-anna", again=True).text.encode(), home)


def test_an_expired_invitation_is_refused_on_both_sides(hub: TestHub, tmp_path: Path) -> None:
    """The site says so at once; a site whose clock is behind hears it from the hub."""
    hub.clock.ahead_ms = -2 * 86_400_000
    invitation = hub.invite("st-anna", days=1).text.encode()
    hub.clock.ahead_ms = 0
    with up(hub):
        with pytest.raises(RefusedError, match="has expired"):
            join(invitation, site_in(tmp_path / "site"))
        with pytest.raises(RefusedError, match="refused the request"):
            join(invitation, site_in(tmp_path / "behind"), clock=Clock(-2 * 86_400_000))
    assert "has expired" in hub.logged("enrolment-refused")[0].text


def test_a_newer_invitation_makes_the_older_one_void(hub: TestHub, tmp_path: Path) -> None:
    """Who invites anew because a mail went astray must not have to fear that mail."""
    old, new = hub.invite("st-anna").text.encode(), hub.invite("st-anna").text.encode()
    with up(hub):
        with pytest.raises(RefusedError):
            join(old, site_in(tmp_path / "other"))
        assert join(new, site_in(tmp_path / "site")).state == "waiting"


@pytest.mark.slow
def test_new_keys_hold_once_their_words_were_compared(hub: TestHub, tmp_path: Path) -> None:
    """Until then the old ones do, so that nothing stops in between; afterwards they are nobody's."""
    home = site_in(tmp_path / "site")
    with up(hub):
        first = join(hub.invite("st-anna").text.encode(), home)
        with pytest.raises(RunError, match="confirmed"):
            rotate(home)
        hub.roster.confirm("st-anna", first.words)
        status(home)
        old = home.identity.public
        changed = rotate(home)
        assert (changed.state, changed.new_keys) == ("waiting", True)
        assert changed.words == hub.roster.waiting()[ANNA].words != first.words
        assert rotate(home).words == changed.words
        assert home.identity.public == old == hub.roster.confirmed()[ANNA].identity
        hub.roster.confirm("st-anna", changed.words)
        assert status(home).state == "confirmed"
        assert home.identity.public == hub.roster.confirmed()[ANNA].identity != old
        assert LoginKey.at(home.login_key).public == hub.roster.confirmed()[ANNA].keys.login
        assert (rotate(home).state, rotate(home).new_keys) == ("confirmed", False)
        assert rotate(home, anew=True).words != changed.words
    assert old in hub.roster.content().former


@pytest.mark.slow
@pytest.mark.parametrize("heard", [True, False])
def test_a_revoked_hospital_hears_it_and_comes_back_with_new_keys_only(hub: TestHub, tmp_path: Path, heard: bool) -> None:
    """A stolen identity stays revoked: the next invitation is for keys that nobody has seen."""
    home = site_in(tmp_path / "site")
    with up(hub):
        words = join(hub.invite("st-anna").text.encode(), home).words
        hub.roster.confirm("st-anna", words)
        status(home)
        rotate(home)
        hub.roster.revoke("st-anna")
        assert hub.roster.confirmed() == hub.roster.waiting() == {}
        if heard:
            assert status(home).state == "revoked"
        old = home.identity.public
        joined = join(hub.invite("st-anna").text.encode(), home)
        assert joined.state == "waiting"
        assert home.identity.public != old
        hub.roster.confirm("st-anna", joined.words)
        assert status(home).state == "confirmed"


def test_what_answers_without_the_hubs_signature_is_not_the_hub(hub: TestHub, tmp_path: Path) -> None:
    """A proxy that opens TLS could tell a hospital anything; only the hub's key tells it that it is confirmed."""
    other = hub_in(tmp_path / "other")
    other.address = hub.address
    invitation = hub.invite("st-anna").text.encode()
    home = site_in(tmp_path / "site")
    with up(hub):
        join(invitation, home)
    hub.desk = type(hub.desk)(hub.roster, other.identity, hub.sealing.public)
    with up(hub), pytest.raises(WireError, match="not the hub that invited"):
        status(home)
