"""Sealed orders over a carrier that lies: what every engine promises holds, and nothing false is ever taken."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines.engine_conformance import EngineConformance
from tests.engines.remote.memory_carrier import Faults, MemoryCarrier, StoreLine
from tests.engines.remote.parties import NAMES, STUDY, Parties, codes, echo, party, served
from wardround.engines.remote.engine import RemoteEngine
from wardround.engines.remote.hub_post import HubPost
from wardround.engines.remote.site_post import Answer
from wardround.hub.engine import Engine
from wardround.site.config import SiteConfig
from wardround.site.site import Site
from wardround.values.chained_log import Head
from wardround.values.ids import SiteId
from wardround.wire.sealed import HUB, LARGEST_BODY, SealedBody, SealedHeader, Subject, Topic, open_sealed, seal

LOSSY = {"lost": 0.3, "doubled": 0.4, "old": True}


def answer_of(site: Site) -> Answer:
    """A hospital's desk without its office: every proved order is answered."""

    def answer(header: SealedHeader, body: bytes) -> tuple[Topic, bytes]:  # noqa: ARG001
        return "reply", site.handle(body)

    return answer


@contextmanager
def in_memory(
    folder: Path, faults: Faults | None = None, answers: Mapping[str, Answer] | None = None
) -> Iterator[tuple[Parties, MemoryCarrier, HubPost]]:
    parties = Parties(folder / "parties")
    carrier, store = MemoryCarrier(NAMES, faults), parties.store()
    posts = {site: parties.site_post(site, carrier.end_of(site), StoreLine(store, site)) for site in NAMES}
    with served(posts, answers.__getitem__ if answers else echo):
        yield parties, carrier, parties.hub_post(carrier, store)


class RemoteConformance(EngineConformance):
    faults: Callable[[], Faults] = Faults

    @contextmanager
    def opened(self, configs: Sequence[SiteConfig], folder: Path) -> Iterator[Engine]:
        sites = {config.name: config.open() for config in configs}
        try:
            answers = {name: answer_of(site) for name, site in sites.items()}
            with in_memory(folder, type(self).faults(), answers) as (_, _, post):
                yield RemoteEngine(post, configs[0].study.hash, map(SiteId, sites))
        finally:
            for site in sites.values():
                site.close()


class TestRemote(RemoteConformance):
    pass


class TestRemoteOverALossyLine(RemoteConformance):
    @staticmethod
    def faults() -> Faults:
        return Faults(**LOSSY)


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, 3 << 20])
def test_what_is_lost_doubled_and_late_arrives_once(size: int, tmp_path: Path) -> None:
    """Twenty exchanges over a line that loses three messages of ten each way, doubles others and brings old ones."""
    with in_memory(tmp_path, Faults(**LOSSY)) as (_, _, post):
        for _ in range(20 if size < 1000 else 3):
            outbox = {site: os.urandom(size) for site in NAMES}
            heard: list[SiteId] = []
            answers = post.ask("order", STUDY, outbox, 30.0, heard.append)
            assert dict(answers) == {site: site.encode() + b": " + data for site, data in outbox.items()}
            assert sorted(heard) == list(NAMES)


def forgeries(parties: Parties, site: SiteId, answer: bytes) -> list[bytes]:
    """Everything that somebody without this site's key can make of its answer."""
    other = next(name for name in NAMES if name != site)
    stranger = party(site)
    header = open_sealed(answer, parties.roster, HUB, now_ms=time.time_ns() // 10**6).header
    subject = Subject("reply", header.study, header.number, header.reply_to)
    now = {"now_ms": time.time_ns() // 10**6, "log": Head()}
    body = SealedBody.of(b"a false answer")
    return [
        b"",
        answer[:-1],
        answer[:-1] + bytes([answer[-1] ^ 1]),
        answer + b"0",
        seal(subject, body, stranger, parties.hub.card, **now),  # its name, another key
        seal(subject, body, parties.sites[other], parties.hub.card, **now),  # another site's word for it
        seal(Subject("status", header.study, header.number, header.reply_to), body, parties.sites[site], parties.hub.card, **now),
        seal(Subject("reply", "6" * 64, header.number, header.reply_to), body, parties.sites[site], parties.hub.card, **now),
        seal(
            Subject("reply", header.study, header.number + 1, header.reply_to), body, parties.sites[site], parties.hub.card, **now
        ),
        seal(Subject("reply", header.study, header.number, "7" * 64), body, parties.sites[site], parties.hub.card, **now),
    ]


def test_forged_and_misplaced_answers_are_logged_and_the_true_one_is_taken(tmp_path: Path) -> None:
    """The carrier lies about who speaks: only a signature over this very exchange counts."""
    faults = Faults()
    with in_memory(tmp_path, faults) as (parties, _, post):
        faults.forged = lambda site, data: forgeries(parties, site, data)
        answers = post.ask("order", STUDY, dict.fromkeys(NAMES, b"hello"), 30.0)
        assert dict(answers) == {site: site.encode() + b": hello" for site in NAMES}
        assert codes(parties.hub_log()).count("answer-refused") == 10 * len(NAMES)


def test_a_site_takes_nothing_but_the_hubs_newest_word(tmp_path: Path) -> None:
    """Whoever recorded an order yesterday cannot have it answered today, nor can another site give orders."""
    asked: list[bytes] = []

    def listening(site: str) -> Answer:
        def answer(header: SealedHeader, body: bytes) -> tuple[Topic, bytes] | None:
            asked.append(body)
            return echo(site)(header, body)

        return answer

    with in_memory(tmp_path, None, {site: listening(site) for site in NAMES}) as (parties, carrier, post):
        site = NAMES[0]
        for word in (b"first", b"second"):
            post.ask("order", STUDY, {site: word}, 30.0)
        (first, second) = [data for name, data in carrier.carried if name == site]
        card, now = parties.sites[site].card, {"now_ms": time.time_ns() // 10**6, "log": Head()}
        next_number = Subject("order", STUDY, 2**62)
        false = [
            first,  # replayed
            seal(next_number, SealedBody.of(b"x"), parties.sites[NAMES[1]], card, **now),  # not the hub
            seal(next_number, SealedBody.of(b"x"), party(HUB), card, **now),  # not the hub's key
            seal(next_number, SealedBody.of(b"x"), parties.hub, parties.sites[NAMES[1]].card, **now),  # for another
            second[:-1] + bytes([second[-1] ^ 1]),  # changed on the way
        ]
        assert asked == [b"first", b"second"]
        for message in [*false, second]:  # the last one is proved, and answered again
            carrier._orders[site].put(message)
        until = time.monotonic() + 10.0
        while len(asked) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert asked == [b"first", b"second", b"second"]
        lines = list(parties.site_log(site).entries())
        assert [(line.code, line.facts["times"]) for line in lines] == [("message-refused", times) for times in (1, 2, 4)]
        assert len(false) == 5  # the first, second and fourth are logged: no flood fills the disk


@pytest.mark.slow
def test_an_order_of_yesterday_is_none_after_a_restart_either(tmp_path: Path) -> None:
    """Which number came last is on the disk before it is answered: whoever keeps orders and waits for a reboot gets nothing."""
    parties, heard, site = Parties(tmp_path), [], NAMES[0]

    def listening(_: str) -> Answer:
        def answer(header: SealedHeader, body: bytes) -> tuple[Topic, bytes] | None:
            heard.append(body)
            return echo(site)(header, body)

        return answer

    recorded: list[bytes] = []
    for words in ((b"first", b"second"), (b"third",)):
        carrier, store = MemoryCarrier((site,)), parties.store()
        for message in recorded[:1]:
            carrier._orders[site].put(message)
        with served({site: parties.site_post(site, carrier.end_of(site), StoreLine(store, site))}, listening):
            for word in words:
                assert parties.hub_post(carrier, store).ask("order", STUDY, {site: word}, 30.0)
        recorded += [data for _, data in carrier.carried]
        heard.append(b"down")
    before, after = heard[: heard.index(b"down")], heard[heard.index(b"down") + 1 : -1]
    assert (set(before), set(after)) == ({b"first", b"second"}, {b"third"})  # the last one may come twice
    assert set(codes(parties.site_log(site))) == {"message-refused"}


def test_a_hub_that_was_restored_from_a_backup_is_still_heard(tmp_path: Path) -> None:
    """Its numbers follow the clock: a site that heard later ones would otherwise stay silent for ever."""
    with in_memory(tmp_path) as (parties, _, post):
        assert len(post.ask("offer", STUDY, dict.fromkeys(NAMES, b"before"), 30.0)) == 3
        for path in (parties.folder / "hub" / "numbers").iterdir():
            path.unlink()
        assert len(post.ask("offer", STUDY, dict.fromkeys(NAMES, b"after"), 30.0)) == 3


def test_a_revoked_site_is_neither_asked_nor_heard(tmp_path: Path) -> None:
    """Whose card is not in the roster at this moment has no say, even in an exchange that has begun."""
    with in_memory(tmp_path) as (parties, _, post):
        del parties.roster[NAMES[0]]
        assert set(post.ask("order", STUDY, dict.fromkeys(NAMES, b"hello"), 30.0)) == set(NAMES[1:])


def test_both_logs_hold_what_was_said_and_where_the_other_log_stood(tmp_path: Path) -> None:
    """A head that was stated is evidence: a log that is changed later does not lead to it any more."""
    with in_memory(tmp_path) as (parties, _, post):
        parties.site_log(NAMES[0]).append("started", "The service runs.")
        before = parties.site_log(NAMES[0]).head
        post.ask("order", STUDY, {NAMES[0]: b"hello"}, 30.0)
        sent, received = parties.hub_log().entries()
        assert (sent.code, received.code) == ("order-sent", "reply-received")
        assert sent.facts["bytes"] == {NAMES[0]: 5}
        assert (received.facts["site_entries"], received.facts["site_head"]) == (before.entries, before.sha256)


@pytest.mark.slow
def test_a_hub_that_names_a_new_study_each_time_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is kept of each study; those that are kept already go on."""
    monkeypatch.setattr("wardround.engines.remote.numbers.MOST_STUDIES", 3)
    with in_memory(tmp_path) as (parties, _, post):
        site = NAMES[0]
        for number in range(3):
            assert post.ask("order", f"{number:064x}", {site: b"hello"}, 30.0)
        assert not post.ask("order", "f" * 64, {site: b"hello"}, 1.0)
        assert post.ask("order", f"{2:064x}", {site: b"hello"}, 30.0)
        assert len(list((parties.folder / site / "post").glob("*.json"))) == 3


@pytest.mark.slow
def test_an_answer_that_is_longer_than_any_of_its_study_is_not_read(tmp_path: Path) -> None:
    """One hospital that is in the roster could fill the hub's memory with two gigabytes, and end the studies of all."""
    with in_memory(tmp_path) as (parties, _, post):
        outbox = {NAMES[0]: os.urandom(2_000_000), NAMES[1]: b"hello"}
        with post._bodies.awaiting(NAMES, LARGEST_BODY):  # as another exchange does, of a larger model
            assert set(post.ask("order", STUDY, outbox, 3.0, limit=1_900_000)) == {NAMES[1]}
            assert set(post.ask("order", STUDY, outbox, 30.0, limit=2_100_000)) == set(outbox)
            assert set(post.ask("offer", STUDY, outbox, 3.0)) == {NAMES[1]}  # a status is short
        refusals = [entry.text for entry in parties.hub_log().entries() if entry.code == "answer-refused"]
        late = "no answer to this exchange"  # the one before was over when its answer came once more
        assert "longer than any" in refusals[0] and all("longer than any" in text or late in text for text in refusals)


@pytest.mark.slow
def test_an_answer_that_is_longer_than_any_of_its_study_does_not_reach_the_disk(tmp_path: Path) -> None:
    """Two of two gigabytes for each hospital would lie there until the next start."""
    with in_memory(tmp_path) as (_, _, post):
        outbox = {NAMES[0]: os.urandom(2_000_000), NAMES[1]: b"hello"}
        assert set(post.ask("order", STUDY, outbox, 3.0, limit=1_900_000)) == {NAMES[1]}
        assert not [path for path in (tmp_path / "parties" / "hub" / "bodies").rglob("*") if path.is_file()]
        assert set(post.ask("order", STUDY, outbox, 30.0, limit=2_100_000)) == set(outbox)
