"""A hub's service over a post in memory, whose other end are real sites with approvals of their own. Not a test."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import SealingKey
from wardround.evidence.analysis.writing import write_result
from wardround.evidence.model_card import write_model_card
from wardround.evidence.report import write_report
from wardround.hub.artifacts import CARD, REPORT
from wardround.hub.daemon.finishing import Finishing
from wardround.hub.daemon.home import HubHome, HubSettings
from wardround.hub.daemon.runner import Means, Pace
from wardround.hub.daemon.service import HubService
from wardround.hub.daemon.studies import StudyFolder, fitted, submit
from wardround.hub.daemon.study_state import Phase, StudyState, now_ms
from wardround.plan.networks import IN_THIS_PROCESS, Networks
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.config import identity_in
from wardround.site.refusals import word_of
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.record.run_record import RunRecord
from wardround.study.run_settings import RunSettings
from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import RefusedError, WardroundError
from wardround.values.ids import SiteId
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Refusal, RefusalHeader
from wardround.wire.offers import ApprovalStatement, Offer, SignedApproval, SiteStatus, State
from wardround.wire.sealed import Topic

from ...federation.tiny_federation import NAMES, records, rows

DAY_MS = 86_400_000
QUICK = Pace(offer_s=0.05, longest_offer_s=0.05, answer_s=5, retry_s=0.05, longest_retry_s=0.2, tries=3)
HOUR = RunSettings().with_run(deadline_s=60.0)


@dataclass(frozen=True)
class Entry:
    """A hospital of the roster."""

    identity: str
    sealing: str


@dataclass
class MemoryRoster:
    """Who is enrolled; a test changes `entries`."""

    entries: dict[SiteId, Entry] = field(default_factory=dict)

    def confirmed(self) -> Mapping[SiteId, Entry]:
        return dict(self.entries)


@dataclass
class Hospital:
    """One hospital: a real site for each study, opened when it has approved.

    away: it answers nothing. said: the state that it says of every study, None for what it decided. before: is called with each
    order and may raise. closed: whether its machine does not work at this hour.
    """

    name: str
    folder: Path
    sealing: SealingKey = field(default_factory=SealingKey.new)
    away: bool = False
    approves: bool = True
    said: State | None = None
    forge: Callable[[ApprovalStatement], ApprovalStatement] = lambda statement: statement
    signs_with: Identity | None = None
    before: Callable[[bytes], None] = lambda _: None
    closed: Callable[[], bool] = lambda: False
    revoked: set[str] = field(default_factory=set)
    orders: int = 0
    _sites: dict[str, Site] = field(default_factory=dict)

    def identity(self) -> Identity:
        return identity_in(self.folder)

    def status(self, data: bytes) -> bytes:
        offer = Offer.from_bytes(data)
        study = parse_study(offer.study)
        state: State = self.said or ("revoked" if study.hash in self.revoked else "approved" if self.approves else "offered")
        approval = self._approval(study) if state == "approved" else None
        told: State = "hours" if state == "approved" and self.closed() else state
        return SiteStatus(state=told, approval=approval, release="1.0").to_bytes()

    def _approval(self, study: Study) -> SignedApproval:
        at = now_ms()
        statement = ApprovalStatement(
            study=study.hash,
            site=self.name,
            decision="approved",
            subject="a" * 64,
            policy="b" * 64,
            by="Dr. A",
            at=at // DAY_MS * DAY_MS,
            until=(at // DAY_MS + 2) * DAY_MS,
        )
        identity = self.signs_with or self.identity()
        return SignedApproval.of(self.forge(statement), identity)

    def reply(self, study: Study, order: bytes) -> bytes:
        self.orders += 1
        try:
            if study.hash in self.revoked:
                raise RefusedError("revoked", code="revoked")
            if self.closed():
                raise RefusedError("not at this hour", code="hours")
            self.before(order)
            return self._site(study).handle(order)
        except WardroundError as error:
            header = RefusalHeader(study=study.hash, site=self.name, order=sha256_hex(order), code=word_of(error))
            return to_bytes(Refusal(header))

    def _site(self, study: Study) -> Site:
        if study.hash not in self._sites:
            folder = self.folder / study.hash[:8]
            identity = self.identity() if study.summation.mode == "masked" else None
            ledger = Ledger(folder / "ledger.sqlite") if study.privacy.private else None
            self._sites[study.hash] = Site(
                SiteId(self.name),
                study,
                (lambda: records(self.name)) if study.analysis is None else (lambda: rows(self.name)),
                folder,
                identity=identity,
                device="cpu",
                threads=1,
                ledger=ledger,
            )
        return self._sites[study.hash]

    def close(self) -> None:
        for one in self._sites.values():
            one.close()


@dataclass
class MemoryPost:
    """Brings messages to hospitals of this process, one after the other. It learns each study from its offers, and keeps those in
    `offers`, as a hospital does."""

    hospitals: Mapping[str, Hospital]
    offers: Path
    studies: dict[str, Study] = field(default_factory=dict)
    asked: list[tuple[Topic, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(
        self,
        topic: Topic,
        study: str,
        outbox: Mapping[SiteId, bytes],
        deadline_s: float,
        arrived: Callable[[SiteId], None] | None = None,
    ) -> dict[SiteId, bytes]:
        assert deadline_s > 0
        self.asked.append((topic, study))
        answers = {}
        for name, data in sorted(outbox.items()):
            hospital = self.hospitals[name]
            if not hospital.away:
                with self.lock:
                    answers[name] = self._answer(topic, study, hospital, data)
                if arrived is not None:
                    arrived(name)
        return answers

    def _answer(self, topic: Topic, study: str, hospital: Hospital, data: bytes) -> bytes:
        if topic == "offer":
            text = Offer.from_bytes(data).study
            self.studies[study] = parse_study(text)
            write_atomic(self.offers / study, text.encode())
            return hospital.status(data)
        if study not in self.studies:
            self.studies[study] = parse_study((self.offers / study).read_text())
        return hospital.reply(self.studies[study], data)


@dataclass(frozen=True)
class MemoryEngine:
    """What a carrier's engine is: orders of one study over the post."""

    post: MemoryPost
    study: str
    names: tuple[SiteId, ...]

    def sites(self) -> tuple[SiteId, ...]:
        return self.names

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        return self.post.ask("order", self.study, outbox, deadline_s, arrived)


@dataclass
class HubWard:
    """A hub and its hospitals. `up` runs its service in a thread."""

    path: Path
    names: tuple[str, ...] = NAMES
    pace: Pace = QUICK
    networks: Networks = IN_THIS_PROCESS
    changed: Callable[[], None] = lambda: None
    home: HubHome = field(init=False)
    hospitals: dict[str, Hospital] = field(init=False)
    roster: MemoryRoster = field(init=False)

    def __post_init__(self) -> None:
        self.home = HubHome(self.path / "hub")
        self.home.begin(HubSettings(address="hub.test:443"))
        self.hospitals = {name: Hospital(name, self.path / "hospitals" / name) for name in self.names}
        entries = {SiteId(name): Entry(one.identity().public, one.sealing.public) for name, one in self.hospitals.items()}
        self.roster = MemoryRoster(entries)
        self.post = MemoryPost(self.hospitals, self.path / "offers")

    @property
    def means(self) -> Means:
        finishing = Finishing(write_evidence, write_tables=write_result, register=False)
        means = Means(self.home, self.roster, self.post, self.engine, finishing, lambda _: self.networks, pace=self.pace)
        return replace(means, changed=self.changed)

    def engine(self, study: str, sites: tuple[SiteId, ...]) -> MemoryEngine:
        return MemoryEngine(self.post, study, sites)

    def submit(self, study: Study, settings: RunSettings = HOUR, model: bytes | None = None) -> StudyFolder:
        folder, _ = submit(self.home, fitted(study, self.roster), settings, synthetic=True, model=model)
        return folder

    @contextmanager
    def up(self) -> Iterator[HubService]:
        service, stop = HubService(self.means), threading.Event()
        thread = threading.Thread(target=self._served, args=(service, stop))
        thread.start()
        try:
            yield service
        finally:
            stop.set()
            thread.join()

    def _served(self, service: HubService, stop: threading.Event) -> None:
        with self.home.in_use():
            while not stop.is_set():
                service.look()
                stop.wait(0.02)
            service.end()

    def close(self) -> None:
        for one in self.hospitals.values():
            one.close()


def write_evidence(record: RunRecord, folder: Path) -> None:
    if record.fit is None:
        write_report(record, folder / REPORT)
    if record.evaluated is None:
        write_model_card(record, folder / CARD)


def until(folder: StudyFolder, *phases: Phase, seconds: float = 240) -> StudyState:
    """The state as soon as the study is in one of these phases."""
    return until_state(folder, lambda state: state.phase in phases, seconds=seconds)


def until_state(folder: StudyFolder, there: Callable[[StudyState], bool], seconds: float = 240) -> StudyState:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = folder.state
        if there(state):
            return state
        time.sleep(0.02)
    raise AssertionError(f"still {state.phase}: {state.reason}")


@contextmanager
def hub_ward(path: Path, names: tuple[str, ...] = NAMES) -> Iterator[HubWard]:
    made = HubWard(path, names)
    try:
        yield made
    finally:
        made.close()
