"""What a stranger may send to `/enrol`, and what it may not: docs/spec/network.md, 3.3, 3.5 and 9.2."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.crypto.identity import Identity
from wardround.site.daemon.connection import Connection
from wardround.values.errors import EngineError, RunError, WireError
from wardround.values.ids import SiteId
from wardround.values.network_address import TryCount
from wardround.wire.enrolment import PATH, REFUSED, REQUEST_LIMIT, SignedEnrolment
from wardround.wire.invitation import Invitation
from wardround.wire.sealed import KeyCard

from .loopback import Seconds, TestHub, hub_client, hub_in, up
from .requests_by_hand import TestSite, asked, changed

ANNA, OTHER = SiteId("st-anna"), SiteId("mercy")
DAY_MS = 86_400_000


@pytest.fixture
def hub(tmp_path: Path) -> TestHub:
    return hub_in(tmp_path / "hub", seconds=Seconds())


@pytest.fixture
def site(tmp_path: Path) -> TestSite:
    return TestSite.new(tmp_path / "keys")


def request_of(hub: TestHub, site: TestSite, invitation: Invitation | None = None, **other: object) -> bytes:
    code = (invitation or hub.invite(site.name)).code
    return site.enrolment(code, hub.card, hub.clock(), **other)


def entered(hub: TestHub, site: TestSite) -> None:
    """The site is confirmed."""
    assert asked(hub.desk, request_of(hub, site)).status == 200
    hub.roster.confirm(site.name, site.keys.words(hub.card))


def cause(hub: TestHub) -> str:
    return hub.logged("enrolment-refused")[-1].text


def test_a_true_request_is_answered_with_the_hubs_signature(hub: TestHub, site: TestSite) -> None:
    """The answer is bound to this request, so that no other can be put in its place."""
    request = request_of(hub, site)
    answer = SignedEnrolment.from_bytes(asked(hub.desk, request).body)
    assert answer.is_signed_by(hub.identity.public)
    assert not answer.is_signed_by(Identity.new().public)
    assert answer.answer.state == "waiting"


Forgery = Callable[[TestHub, TestSite, TestSite], bytes]
FORGERIES: dict[str, tuple[Forgery, str]] = {
    "a guessed code": (lambda hub, site, _: site.enrolment("5" * 32, hub.card, hub.clock()), "no open invitation"),
    "another name": (
        lambda hub, site, _: request_of(hub, TestSite("mercy", site.identity, site.sealing, site.login), hub.invite(ANNA)),
        "for another hospital",
    ),
    "an identity without its private half": (
        lambda hub, site, other: request_of(hub, site, identity=other.identity),
        "does not hold the keys",
    ),
    "a login key without its private half": (
        lambda hub, site, other: request_of(hub, site, login=other.login),
        "does not hold the keys",
    ),
    "a sealing key that was exchanged on the way": (
        lambda hub, site, other: changed(request_of(hub, site), sealing=other.sealing.public),
        "does not hold the keys",
    ),
    "a request for another hub": (
        lambda hub, site, other: site.enrolment(
            hub.invite(ANNA).code, KeyCard("hub", other.identity.public, other.sealing.public), hub.clock()
        ),
        "does not hold the keys",
    ),
    "a login key that is no point": (
        lambda hub, site, _: changed(request_of(hub, site), login="02" + "f" * 96),
        "does not hold the keys",
    ),
    "an identity that is no point": (
        lambda hub, site, _: changed(request_of(hub, site), identity="f" * 64),
        "no public key of Ed25519",
    ),
    "an identity that needs no secret": (
        lambda hub, site, _: changed(request_of(hub, site), identity="0" * 64, identity_proof="0" * 128),
        "no public key of Ed25519",
    ),
    "a sealing key that nothing can be sealed to": (
        lambda hub, site, _: changed(request_of(hub, site), sealing="0" * 64),
        "no public key of X25519",
    ),
    "the hub's own sealing key": (
        lambda hub, site, _: request_of(hub, site, keys=site.keys.revised(sealing=hub.sealing.public)),
        "the hub's own keys",
    ),
    "the hub's name": (lambda hub, site, _: changed(request_of(hub, site), name="hub"), "Value error"),
    "the shared model's name": (lambda hub, site, _: changed(request_of(hub, site), name="federated"), "Value error"),
    "a clock that is a day ahead": (
        lambda hub, site, _: site.enrolment(hub.invite(ANNA).code, hub.card, hub.clock() + DAY_MS),
        "from the future",
    ),
    "new keys of somebody outside the roster": (
        lambda hub, site, other: site.rotation(TestSite(ANNA, other.identity, other.sealing, other.login), hub.card, hub.clock()),
        "not in the roster",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_request_is_refused_without_a_cause_and_enters_nobody(
    hub: TestHub, site: TestSite, tmp_path: Path, name: str
) -> None:
    """A stranger learns nothing from a refusal; the hub's log has the cause, and the roster is as it was."""
    forge, expected = FORGERIES[name]
    request = forge(hub, site, TestSite.new(tmp_path / "keys"))
    reply = asked(hub.desk, request)
    assert (reply.status, reply.body) == (403, REFUSED)
    assert expected in cause(hub)
    assert hub.roster.entries() == ()


def test_a_code_is_good_once(hub: TestHub, site: TestSite, tmp_path: Path) -> None:
    """Whoever finds a used invitation in a mailbox has nothing."""
    invitation = hub.invite(ANNA)
    assert asked(hub.desk, request_of(hub, site, invitation)).status == 200
    assert asked(hub.desk, request_of(hub, TestSite.new(tmp_path / "keys"), invitation)).status == 403
    assert hub.roster.waiting()[ANNA].identity == site.identity.public
    assert invitation.code not in hub.roster.path.read_text()


def test_a_refused_request_does_not_burn_the_code(hub: TestHub, site: TestSite, tmp_path: Path) -> None:
    """A request that was changed on the way must not cost the hospital its invitation."""
    invitation = hub.invite(ANNA)
    broken = changed(request_of(hub, site, invitation), sealing=TestSite.new(tmp_path / "keys").sealing.public)
    assert asked(hub.desk, broken).status == 403
    assert asked(hub.desk, request_of(hub, site, invitation)).status == 200


def test_the_same_request_says_how_its_sender_stands(hub: TestHub, site: TestSite) -> None:
    """A lost answer, and the question how things stand, are one and the same request."""
    request = request_of(hub, site)
    states = [asked(hub.desk, request).state, asked(hub.desk, request).state]
    hub.roster.confirm(ANNA, site.keys.words(hub.card))
    states.append(asked(hub.desk, request).state)
    hub.clock.ahead_ms = 400 * DAY_MS
    states.append(asked(hub.desk, request).state)
    hub.roster.revoke(ANNA)
    states.append(asked(hub.desk, request).state)
    assert states == ["waiting", "waiting", "confirmed", "confirmed", "revoked"]


def test_a_replayed_request_of_another_changes_nothing(hub: TestHub, site: TestSite) -> None:
    """Who has recorded a request learns how that hospital stands, and takes no place."""
    request = request_of(hub, site)
    asked(hub.desk, request)
    before = hub.roster.path.read_bytes()
    assert asked(hub.desk, request, client=("203.0.113.9", 1)).status == 200
    assert asked(hub.desk, changed(request, name=OTHER)).status == 403
    assert hub.roster.path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("key", ["identity", "sealing", "login"])
def test_keys_of_another_hospital_are_refused(hub: TestHub, site: TestSite, tmp_path: Path, key: str) -> None:
    """By its keys a hospital is told at the gate and in every signature: no key may belong to two."""
    entered(hub, site)
    other = TestSite.new(tmp_path / "keys", OTHER)
    copied = TestSite(OTHER, *(getattr(site if name == key else other, name) for name in ("identity", "sealing", "login")))
    assert asked(hub.desk, request_of(hub, copied)).status == 403
    assert "another hospital's" in cause(hub)


def test_keys_that_were_revoked_never_come_back(hub: TestHub, site: TestSite, tmp_path: Path) -> None:
    """A thief of keys must not be let in because somebody restored a backup with them."""
    entered(hub, site)
    hub.roster.revoke(ANNA)
    assert asked(hub.desk, request_of(hub, site)).status == 403
    assert "revoked or replaced" in cause(hub)
    entered(hub, TestSite.new(tmp_path / "keys"))
    assert hub.roster.confirmed()[ANNA].identity != site.identity.public


def test_new_keys_are_taken_from_the_identity_in_force_alone(hub: TestHub, site: TestSite, tmp_path: Path) -> None:
    """Neither a stranger nor another hospital may exchange a hospital's keys, nor a hospital its own for those of nobody."""
    entered(hub, site)
    new, thief = TestSite.new(tmp_path / "keys"), TestSite.new(tmp_path / "keys")
    now = hub.clock() + 1
    assert asked(hub.desk, thief.rotation(new, hub.card, now)).status == 403
    unheld = changed(site.rotation(new, hub.card, now), identity=thief.identity.public)
    assert asked(hub.desk, unheld).status == 403
    assert hub.roster.waiting() == {}
    assert asked(hub.desk, site.rotation(new, hub.card, now)).state == "waiting"
    assert hub.roster.confirmed()[ANNA].identity == site.identity.public


def test_an_older_request_for_new_keys_does_not_replace_a_newer_one(hub: TestHub, site: TestSite, tmp_path: Path) -> None:
    """A recorded request, played back, would put keys into the place of those whose words are being compared."""
    entered(hub, site)
    first, second = TestSite.new(tmp_path / "keys"), TestSite.new(tmp_path / "keys")
    old = site.rotation(first, hub.card, hub.clock() + 1)
    assert asked(hub.desk, old).status == 200
    assert asked(hub.desk, site.rotation(second, hub.card, hub.clock() + 2)).status == 200
    assert asked(hub.desk, old).status == 403
    assert hub.roster.waiting()[ANNA].identity == second.identity.public


def test_keys_that_come_between_two_looks_are_not_confirmed(hub: TestHub, site: TestSite, tmp_path: Path) -> None:
    """The words that a person compared are confirmed, not the name: somebody else may have taken its place meanwhile."""
    asked(hub.desk, request_of(hub, site))
    words = hub.roster.waiting()[ANNA].words
    thief = TestSite.new(tmp_path / "keys")
    asked(hub.desk, request_of(hub, thief))
    with pytest.raises(RunError, match="not those of the keys"):
        hub.roster.confirm(ANNA, words)
    hub.roster.turn_away(ANNA)
    assert hub.roster.entries() == ()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 411),
        ([(b"content-length", b"9000")], 413),
        ([(b"content-length", b"99999999999999999999")], 411),
        ([(b"content-length", b"-1")], 411),
        ([(b"content-length", b"10"), (b"content-length", b"20")], 411),
    ],
)
def test_a_body_without_a_small_length_is_not_read(hub: TestHub, headers: list[tuple[bytes, bytes]], status: int) -> None:
    """What is refused by its length costs the hub no memory: the body stays with its sender."""

    class Unreadable(list[object]):
        def pop(self, *_: object) -> object:
            raise AssertionError("the body was read")

    assert asked(hub.desk, b"", headers=headers, pieces=Unreadable([1])).status == status


def test_more_or_less_than_the_stated_length_is_refused(hub: TestHub) -> None:
    """A sender that lies about its length is stopped there."""
    length = [(b"content-length", b"10")]
    more = [{"type": "http.request", "body": b"x" * 8, "more_body": True} for _ in range(1000)]
    assert asked(hub.desk, b"", headers=length, pieces=more).status == 403
    less = [{"type": "http.request", "body": b"x", "more_body": False}]
    assert asked(hub.desk, b"", headers=length, pieces=less).status == 403
    assert asked(hub.desk, b"", headers=length, pieces=[{"type": "http.disconnect"}]).status == 403


def test_five_refusals_a_minute_and_then_silence_for_that_address(hub: TestHub, site: TestSite) -> None:
    """Guessing is slow, and a neighbour is not punished for it."""
    invitation = hub.invite(ANNA)
    assert [asked(hub.desk, b"{}").status for _ in range(7)] == [403] * 5 + [429] * 2
    assert asked(hub.desk, request_of(hub, site, invitation)).status == 429
    assert asked(hub.desk, request_of(hub, site, invitation), client=("192.0.2.8", 1)).status == 200
    hub.seconds.now += 61
    assert asked(hub.desk, b"{}").status == 403


def test_addresses_of_one_ipv6_network_count_together(hub: TestHub) -> None:
    """One host has 2^64 of them."""
    statuses = [asked(hub.desk, b"{}", client=(f"2001:db8::{one:x}", 1)).status for one in range(7)]
    assert statuses == [403] * 5 + [429] * 2
    assert asked(hub.desk, b"{}", client=("2001:db8:0:1::1", 1)).status == 403
    assert asked(hub.desk, b"{}", client=None).status == 403


@pytest.mark.slow
def test_a_flood_from_everywhere_fills_neither_log_nor_memory(hub: TestHub) -> None:
    """A stranger with many addresses could otherwise fill the hub's disk with refusals."""
    for one in range(300):
        assert asked(hub.desk, b"{}", client=(f"10.1.{one // 250}.{one % 250}", 1)).status == 403
    assert len(hub.logged("enrolment-refused")) == 30
    hub.seconds.now += 61
    asked(hub.desk, b"{}")
    assert hub.logged("enrolment-refused")[-1].facts["unwritten"] == 270
    count = TryCount(5, 60.0, lambda: 0.0)
    tracemalloc.start()
    for one in range(30_000):
        count.add(str(one))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 10e6


def test_a_full_disk_enters_nobody_and_is_no_traceback(hub: TestHub, site: TestSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept is not promised, and the code is good for the next try."""
    request = request_of(hub, site)

    def full(*_: object, **__: object) -> None:
        raise RunError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("wardround.hub.daemon.roster.write_atomic", full)
        assert asked(hub.desk, request).status == 503
    assert hub.roster.entries() == ()
    assert asked(hub.desk, request).state == "waiting"


def test_only_the_one_path_is_served(hub: TestHub) -> None:
    """Everything else is nothing."""
    assert asked(hub.desk, b"{}", path="/other").status == 404
    assert asked(hub.desk, b"{}", method="GET").status == 404


BROKEN = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=10,
    ).map(lambda value: repr(value).encode("utf-8", "surrogatepass")),
    st.sampled_from([b"[" * REQUEST_LIMIT, b'{"code":' * 1000, b'{"former_proof":' + b"[" * 8000, b'"\\ud800"', b"9" * 8000]),
)


@given(body=BROKEN)
def test_any_bytes_are_refused_and_raise_nothing(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    """Whatever a stranger sends, the hub says one sentence and goes on."""
    hub = hub_in(tmp_path_factory.mktemp("hub"))
    reply = asked(hub.desk, body)
    assert (reply.status, reply.body) == (403, REFUSED)


@given(position=st.integers(0, 5000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_request_with_any_byte_changed_is_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int, cut: bool
) -> None:
    """Every byte of a request is proved: no bit can be turned on the way."""
    folder = tmp_path_factory.mktemp("hub")
    hub, site = hub_in(folder), TestSite.new(folder / "keys")
    request = bytearray(request_of(hub, site))
    position %= len(request)
    if cut:
        del request[position]
    elif request[position] == byte:
        return
    else:
        request[position] = byte
    assert asked(hub.desk, bytes(request)).status == 403
    assert hub.roster.entries() == ()


PIECES = [
    b"{",
    b"}",
    b"[",
    b'"',
    b":",
    b",",
    b"null",
    b"1e999",
    b"\\ud800",
    b'"keys"',
    b"NaN",
    b"\0",
    b"\xff",
    b"9" * 50,
    b"true",
]


def mutated(draws: Random, request: bytes) -> bytes:
    """The request with up to six faults: bytes changed, cut out, doubled, and pieces of JSON put in."""
    data = bytearray(request)
    for _ in range(draws.randint(1, 6)):
        start, end = sorted((draws.randrange(len(data) + 1), draws.randrange(len(data) + 1)))
        fault = draws.randrange(4)
        if fault == 0 and data:
            data[start % len(data)] = draws.randrange(256)
        elif fault == 1:
            del data[start : min(end, start + 40)]
        elif fault == 2:
            data[end:end] = data[start:end]
        else:
            data[start:start] = draws.choice(PIECES)
    return bytes(data[:REQUEST_LIMIT])


def test_five_thousand_mutated_requests_enter_nobody(hub: TestHub, site: TestSite, tmp_path: Path) -> None:
    """Faults near to a true request reach further into the reader than noise does."""
    requests = [request_of(hub, site), site.rotation(TestSite.new(tmp_path / "keys"), hub.card, hub.clock())]
    draws = Random(13)
    for number in range(5_000):
        request = mutated(draws, requests[number % 2])
        if request not in requests:
            assert hub.desk._said(request, f"10.0.{number >> 8}.{number & 255}") == (403, REFUSED)
    assert hub.roster.entries() == ()


@given(answer=BROKEN)
def test_any_answer_is_a_sentence_at_the_site(answer: bytes) -> None:
    """What comes back to a site may come from anybody on the way."""
    with pytest.raises(WireError):
        SignedEnrolment.from_bytes(answer)


def test_large_and_endless_bodies_are_refused_over_tls(tmp_path: Path) -> None:
    """The same limits behind the real server: 9 kB, a body without a length, and afterwards a hospital that joins."""
    hub = hub_in(tmp_path / "hub")
    with up(hub), hub_client(hub) as client:
        assert client.post(PATH, content=b"x" * 9_000).status_code == 413
        assert client.post(PATH, content=iter([b"x" * 100])).status_code == 411
        assert client.post(PATH, content=b"{}").content == REFUSED
        assert client.get(PATH).status_code == 404
        site = TestSite.new(tmp_path / "keys")
        assert client.post(PATH, content=request_of(hub, site)).status_code == 200


def test_a_client_that_trusts_another_authority_says_nothing(tmp_path: Path) -> None:
    """The code is never told to a server that is not of the hub's authority."""
    hub, other = hub_in(tmp_path / "hub"), hub_in(tmp_path / "other")
    stranger = Connection(hub.address, other.inviter.authority)
    with up(hub), pytest.raises(EngineError, match="did not answer"):
        stranger.post(PATH, b"{}", 100)
    assert hub.logged("enrolment-refused") == []
