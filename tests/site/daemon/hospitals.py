"""Three hospitals with folders of their own, as `wardround site` makes them, and a study that the hub offers them. Not a test."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardround.site.daemon.approvals import DAY_MS, Deciding, Decision, Decisions
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.desk import SiteDesk
from wardround.site.daemon.examination import examine
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.policy import load_policy
from wardround.study.declaration import Study
from wardround.study.writing import to_toml
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import START
from wardround.values.ids import SiteId, site_id
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Refusal
from wardround.wire.offers import Offer, SiteCard, SiteStatus
from wardround.wire.sealed import HUB, KeyCard, SealedHeader, Topic

from ...federation.tiny_federation import NAMES, records, study

DATA = "radiology"
NOW_MS = 1_800_000_000_000


def write_table(path: Path, name: str) -> None:
    """The tiny federation's records of one hospital as a table with a split column."""
    made = records(name)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["patient", "split", "a", "b", "c", "label"])
        for values, label, patient, split in zip(made.inputs, made.labels, made.patients, made.splits, strict=True):
            rows.writerow([patient, split, *(repr(float(value)) for value in values), int(label)])


def header(topic: Topic, of: str, body: bytes, number: int = 1, **more: object) -> SealedHeader:
    """A header as the post hands it over: proved already."""
    return SealedHeader(
        sender=HUB,
        receiver="north",
        topic=topic,
        study=of,
        number=number,
        created=NOW_MS,
        expires=NOW_MS + 1000,
        body=sha256_hex(body),
        size=len(body),
        key="0" * 160,
        log_entries=number,
        log_head=START,
        **more,
    )


@dataclass
class Hospitals:
    """The hospitals of one study, by name. The study names them and their keys, as the hub's roster would."""

    folder: Path
    declared: Study = field(default_factory=lambda: study(mode="masked", rounds=2))
    names: tuple[str, ...] = NAMES
    homes: dict[str, SiteHome] = field(default_factory=dict, init=False)
    desks: dict[str, SiteDesk] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name in self.names:
            home = self.homes[name] = SiteHome(self.folder / name)
            table = self.folder / f"{name}.csv"
            write_table(table, name)
            DataSets(home.data_file).add(DATA, str(table), mapping=None, ledger=None)
            self.desks[name] = SiteDesk(home, self.card(name))
        keys = {name: home.identity.public for name, home in sorted(self.homes.items())}
        self.study = self.declared.revised(sites={"names": tuple(keys), "keys": keys})

    def card(self, name: str) -> KeyCard:
        home = self.homes[name]
        return KeyCard(name, home.identity.public, home.sealing.public)

    def offer(self, **changes: object) -> bytes:
        cards = tuple(
            SiteCard(name=card.name, identity=card.identity, sealing=card.sealing) for card in map(self.card, sorted(self.names))
        )
        return Offer(**{"study": to_toml(self.study), "sites": cards, "lead": "Dr. Weber", **changes}).to_bytes()

    def offered(self, name: str, offer: bytes | None = None) -> SiteStatus:
        """What the hospital's desk says to an offer."""
        body = self.offer() if offer is None else offer
        answer = self.desks[name].answer(header("offer", self.study.hash, body), body)
        assert answer is not None and answer[0] == "status"
        return SiteStatus.from_bytes(answer[1])

    def approve(self, name: str, *, now_ms: int | None = None) -> Decision:
        """As `wardround site approve` does it."""
        home, policy = self.homes[name], load_policy(self.homes[name].policy_file)
        data_set = DataSets(home.data_file).get(DATA)
        examined = examine(self.study, DATA, data_set, policy, home.ledgers)
        now = int(self.desks[name].clock().timestamp() * 1000) if now_ms is None else now_ms
        who = Deciding("Anna Weber", now, now + 30 * DAY_MS)
        return self.decisions(name).decide(self.study.hash, "approved", examined.facts, policy, who)

    def decisions(self, name: str) -> Decisions:
        home = self.homes[name]
        return Decisions(home.studies, name, home.identity)

    def ordered(self, name: str, order: bytes) -> bytes:
        answer = self.desks[name].answer(header("order", self.study.hash, order), order)
        assert answer is not None and answer[0] == "reply"
        return answer[1]

    def word(self, name: str, order: bytes) -> str:
        """The word of a refusal; empty for an answer."""
        message = from_bytes(self.ordered(name, order))
        return message.header.code if isinstance(message, Refusal) else ""

    def close(self) -> None:
        for desk in self.desks.values():
            desk.close()


@dataclass
class DeskEngine:
    """An engine that carries orders to the desks. between: is told of each order before it is answered."""

    hospitals: Hospitals
    between: Callable[[str, bytes], None] = lambda _name, _order: None

    def sites(self) -> tuple[SiteId, ...]:
        return tuple(site_id(name) for name in sorted(self.hospitals.names))

    def exchange(
        self, outbox: Mapping[SiteId, bytes], deadline_s: float, arrived: Callable[[SiteId], None] | None = None
    ) -> dict[SiteId, bytes]:
        assert deadline_s > 0
        answers: dict[SiteId, bytes] = {}
        for name, order in sorted(outbox.items()):
            self.between(name, order)
            answers[name] = self.hospitals.ordered(name, order)
            if arrived:
                arrived(name)
        return answers

    def close(self) -> None:
        self.hospitals.close()
