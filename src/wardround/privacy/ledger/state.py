"""What a ledger's entries add up to: budgets, plans, charges. Entries only ever follow each other; this is their fold.

    a study:   planned ──────────────────────────────> closed
    a charge:            reserved ──> released
                             └──────> cancelled

Room: what a study planned and has not charged yet; it is kept for the study until it is closed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from wardround.privacy.events import Event, Unit, events_from_json
from wardround.privacy.ledger.file import GENESIS, LedgerEntry, damaged
from wardround.values.errors import RefusedError

VERSION = 1
RESTORED = "(restored)"
"""Where charges stand of which only the receipt knows, among the studies."""


class Kind(StrEnum):
    """What an entry records."""

    OPENED = "opened"
    BUDGET = "budget"
    PLANNED = "planned"
    RESERVED = "reserved"
    RELEASED = "released"
    CANCELLED = "cancelled"
    CLOSED = "closed"
    RESTORED = "restored"


class Status(StrEnum):
    """Of one charge. reserved: its bytes may have left. released: they have, or are about to. cancelled: they never will."""

    RESERVED = "reserved"
    RELEASED = "released"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Budget:
    """What all releases about one population's units may cost together."""

    epsilon: float
    delta: float


@dataclass(frozen=True)
class Charge:
    """event, count: what it costs. digest: of the bytes that left, empty before. entry, chain: number and hash of the ledger's
    entry that charged it."""

    event: Event
    count: int
    status: Status
    at: str
    digest: str = ""
    entry: int = 0
    chain: str = ""


@dataclass
class LedgerStudy:
    """planned, charged: releases by event; a cancelled charge is not among them. first, last: when anything happened. entry: the
    number of its first entry. title, run: of the study and its run, in words; empty where nobody said."""

    first: str
    last: str
    entry: int = 0
    title: str = ""
    run: str = ""
    planned: Counter[Event] = field(default_factory=Counter)
    charged: Counter[Event] = field(default_factory=Counter)
    closed: bool = False

    def room(self, event: Event) -> int:
        return 0 if self.closed else max(self.planned[event] - self.charged[event], 0)


@dataclass
class LedgerState:
    """number, chain: of the last entry that is in it. stopped: units of which nothing may be charged before a new budget."""

    number: int = 0
    chain: str = GENESIS
    budgets: dict[Unit, Budget] = field(default_factory=dict)
    stopped: set[Unit] = field(default_factory=set)
    studies: dict[str, LedgerStudy] = field(default_factory=dict)
    charges: dict[tuple[str, str], Charge] = field(default_factory=dict)
    spent: Counter[Event] = field(default_factory=Counter)

    def spent_on(self, unit: Unit) -> dict[Event, int]:
        """Releases charged, by event."""
        return {event: count for event, count in self.spent.items() if count and event.unit == unit}

    def committed_on(self, unit: Unit) -> dict[Event, int]:
        """Releases charged and room kept, by event."""
        committed: dict[Event, int] = defaultdict(int, self.spent_on(unit))
        for study in self.studies.values():
            if not study.closed:
                for event in study.planned:
                    if event.unit == unit and (room := study.room(event)):
                        committed[event] += room
        return dict(committed)

    def add(self, entry: LedgerEntry) -> None:
        """Raises RefusedError for an entry that this release does not write."""
        try:
            _FOLDS[Kind(entry.kind)](self, entry)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise damaged() from error
        self.number, self.chain = entry.number, entry.chain

    def _study(self, name: str, at: str) -> LedgerStudy:
        study = self.studies.setdefault(name, LedgerStudy(at, at, entry=self.number + 1))
        study.last = at
        return study

    def _opened(self, entry: LedgerEntry) -> None:
        if entry.content["version"] != VERSION:
            raise RefusedError(
                "The ledger was written by another release", hint="run the newest release of Wardround", code="ledger"
            )

    def _budget(self, entry: LedgerEntry) -> None:
        content = entry.content
        self.budgets[content["unit"]] = Budget(content["epsilon"], content["delta"])
        self.stopped.discard(content["unit"])

    def _planned(self, entry: LedgerEntry) -> None:
        content = entry.content
        event, count = event_of(content)
        study = self._study(content["study"], entry.at)
        study.planned[event] += count
        study.title, study.run = str(content.get("title", study.title)), str(content.get("run", study.run))

    def _reserved(self, entry: LedgerEntry) -> None:
        content = entry.content
        event, count = event_of(content)
        self._study(content["study"], entry.at).charged[event] += count
        charge = Charge(event, count, Status.RESERVED, entry.at, entry=entry.number, chain=entry.chain)
        self.charges[content["study"], content["release"]] = charge
        self.spent[event] += count

    def _released(self, entry: LedgerEntry) -> None:
        content = entry.content
        key = content["study"], content["release"]
        self._study(content["study"], entry.at)
        self.charges[key] = replace(self.charges[key], status=Status.RELEASED, digest=content["digest"])

    def _cancelled(self, entry: LedgerEntry) -> None:
        content = entry.content
        key = content["study"], content["release"]
        charge = self.charges[key]
        self._study(content["study"], entry.at).charged[charge.event] -= charge.count
        self.spent[charge.event] -= charge.count
        self.charges[key] = replace(charge, status=Status.CANCELLED)

    def _closed(self, entry: LedgerEntry) -> None:
        self._study(entry.content["study"], entry.at).closed = True

    def _restored(self, entry: LedgerEntry) -> None:
        lost = counts_of(entry.content["spent"])
        self.spent += lost
        study = self._study(RESTORED, entry.at)
        study.charged += lost
        study.closed = True
        self.stopped = {"patient", "site"}


_FOLDS = {
    Kind.OPENED: LedgerState._opened,
    Kind.BUDGET: LedgerState._budget,
    Kind.PLANNED: LedgerState._planned,
    Kind.RESERVED: LedgerState._reserved,
    Kind.RELEASED: LedgerState._released,
    Kind.CANCELLED: LedgerState._cancelled,
    Kind.CLOSED: LedgerState._closed,
    Kind.RESTORED: LedgerState._restored,
}


def event_of(content: Mapping[str, Any]) -> tuple[Event, int]:
    """(event, count) of an entry's content."""
    return events_from_json(content["event"], content["unit"])


def content_of(event: Event, count: int) -> dict[str, Any]:
    return {"unit": event.unit, "event": event.to_json(count)}


def contents_of(spent: Mapping[Event, int]) -> list[Mapping[str, Any]]:
    """Counts as a receipt and a "restored" entry hold them, in a fixed order."""
    contents = [content_of(event, count) for event, count in spent.items() if count > 0]
    return sorted(contents, key=repr)


def counts_of(contents: Iterable[Mapping[str, Any]]) -> Counter[Event]:
    counts: Counter[Event] = Counter()
    for event, count in map(event_of, contents):
        counts[event] += count
    return counts
