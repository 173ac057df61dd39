"""The hub's post: seals what it says to each site, and takes only what that site has signed in answer to it.

    ask --number, durable--> seal for each site --carrier--> answer --open_sealed, reply_to, study, body--> proved answer

A long body is encrypted once for all its receivers and lies in the store until the exchange is over. What is no answer is logged
and refused; the carrier then sends the same bytes again, and the site may still answer.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardround.crypto.sealing import sealed_size
from wardround.engines.remote.answers import Answers, DetachedAnswer
from wardround.engines.remote.body_store import BodyStore
from wardround.engines.remote.carrier import HubCarrier
from wardround.engines.remote.numbers import Numbers
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import ChainedLog
from wardround.values.errors import WireError
from wardround.values.ids import SiteId
from wardround.wire.offers import HeardHead
from wardround.wire.sealed import (
    INLINE_LIMIT,
    LARGEST_BODY,
    KeyCard,
    Party,
    Sealed,
    SealedBody,
    Subject,
    Topic,
    open_sealed,
    seal,
)

ANSWER_TO: Mapping[Topic, Topic] = {"order": "reply", "offer": "status"}
_SPARE_MS = 60_000  # a message outlives its exchange, so that the last answer is not refused for its age


@dataclass
class _Asked:
    """One exchange. sent: hash of the message to each site. arrived: hears of each site that has answered. limit: bytes that an
    answer has at most."""

    subject: Subject
    sent: Mapping[SiteId, str]
    arrived: Callable[[SiteId], None] | None
    limit: int
    answers: dict[SiteId, bytes | DetachedAnswer] = field(default_factory=dict)


class HubPost:
    """Implements `hub.daemon.post.Post`. senders: key cards of the confirmed sites, now. numbers: a folder of its own."""

    def __init__(
        self,
        carrier: HubCarrier,
        party: Party,
        senders: Callable[[], Mapping[str, KeyCard]],
        bodies: BodyStore,
        log: ChainedLog,
        numbers: Path,
    ) -> None:
        self._carrier, self._party, self._senders, self._bodies, self._log = carrier, party, senders, bodies, log
        self._numbers = Numbers(numbers)
        self._numbering = threading.Lock()
        self._heads: dict[SiteId, HeardHead] = {}
        self._clocks: dict[SiteId, float] = {}

    def ask(
        self,
        topic: Topic,
        study: str,
        outbox: Mapping[SiteId, bytes],
        deadline_s: float,
        arrived: Callable[[SiteId], None] | None = None,
        *,
        limit: int = LARGEST_BODY,
    ) -> Mapping[SiteId, bytes]:
        """Each site's proved answer to its message about the study; a site that gave none in time is absent. limit: bytes that an
        answer has at most: one site could fill the hub's memory otherwise. A status is short in any case.

        Raises RunError where a number, a body or a line of the log cannot be written: nothing leaves then.
        """
        with self._numbering:
            number = self._numbers.next(study)
        subject = Subject(topic, study, number, lifetime_ms=int(deadline_s * 1000) + _SPARE_MS)
        bodies = {data: SealedBody.of(data) for data in set(outbox.values())}
        kept = [body for body in bodies.values() if body.detached]
        try:
            for body in kept:
                self._bodies.add(body)
            messages = self._sealed(subject, outbox, bodies)
            del bodies  # a long body is held by its owner and as a file
            most = INLINE_LIMIT if topic == "offer" else limit
            asked = _Asked(subject, {site: sha256_hex(data) for site, data in messages.items()}, arrived, most)
            with self._bodies.awaiting(messages, sealed_size(most)):
                self._carrier.exchange(messages, deadline_s, lambda site, data: self._taken(asked, site, data))
        finally:
            for body in kept:
                self._bodies.remove(body.sha256)
        self._log_silent(asked)
        return Answers(asked.answers)

    def heads(self) -> tuple[HeardHead, ...]:
        """Where the log of each site stood when it was heard of last, since this process began."""
        return tuple(self._heads.copy().values())

    def clocks(self) -> Mapping[SiteId, float]:
        """How many seconds each site's clock was ahead of this one's when it was heard of last, less the way of its message."""
        return self._clocks.copy()

    def _sealed(
        self, subject: Subject, outbox: Mapping[SiteId, bytes], bodies: Mapping[bytes, SealedBody]
    ) -> dict[SiteId, bytes]:
        """The message to each site that has keys in the roster, which stands in the log before it leaves."""
        cards, now_ms, messages = self._senders(), _now_ms(), {}
        head = self._log.append(
            f"{subject.topic}-sent",
            f"An {subject.topic} goes to {', '.join(sorted(outbox))}.",
            study=subject.study,
            number=subject.number,
            sha256={site: bodies[data].sha256 for site, data in outbox.items()},
            bytes={site: len(data) for site, data in outbox.items()},
        )
        for site, data in outbox.items():
            if site in cards:
                messages[site] = seal(subject, bodies[data], self._party, cards[site], now_ms=now_ms, log=head)
        return messages

    def _taken(self, asked: _Asked, site: SiteId, data: bytes) -> bool:
        """Whether this is the site's answer; what else came is logged."""
        try:
            sealed = open_sealed(data, self._senders(), self._party.name, now_ms=_now_ms())
            self._require_answer(asked, site, sealed)
            self._require_short(asked, sealed)
            asked.answers[site] = self._read(site, sealed)
        except WireError as error:
            self._log.append("answer-refused", str(error), site=site, study=asked.subject.study, number=asked.subject.number)
            return False
        header = sealed.header
        self._heads[site] = HeardHead(site=site, entries=header.log_entries, sha256=header.log_head)
        self._clocks[site] = (header.created - _now_ms()) / 1000
        self._log.append(
            f"{header.topic}-received",
            f"The {header.topic} of {site} has come.",
            site=site,
            study=header.study,
            number=header.number,
            sha256=header.body,
            bytes=header.size,
            site_entries=header.log_entries,
            site_head=header.log_head,
        )
        if asked.arrived is not None:
            asked.arrived(site)
        return True

    def _require_answer(self, asked: _Asked, site: SiteId, sealed: Sealed) -> None:
        header, subject = sealed.header, asked.subject
        expected = (site, ANSWER_TO[subject.topic], subject.study, subject.number, asked.sent.get(site))
        if (header.sender, header.topic, header.study, header.number, header.reply_to) != expected:
            raise WireError(
                "A proved message is no answer to this exchange",
                expected=f"the {expected[1]} of {site} to number {subject.number}",
                found=f"the {header.topic} of {header.sender} to number {header.number}",
            )

    def _require_short(self, asked: _Asked, sealed: Sealed) -> None:
        if sealed.header.size > sealed_size(asked.limit):
            raise WireError(
                "An answer is longer than any of its study",
                expected=f"at most {asked.limit} bytes",
                found=f"{sealed.header.size}",
            )

    def _read(self, site: SiteId, sealed: Sealed) -> bytes | DetachedAnswer:
        if not sealed.header.detached:
            return sealed.body(self._party.sealing)
        file = self._bodies.take(site, sealed.header.body)
        if file is None:
            raise WireError("The body of an answer is not in the store", hint="the site sends it again")
        return DetachedAnswer(sealed, self._party.sealing, file)

    def _log_silent(self, asked: _Asked) -> None:
        silent = sorted(set(asked.sent) - set(asked.answers))
        if silent:
            subject = asked.subject
            text = f"No answer in time from {', '.join(silent)}."
            self._log.append("no-answer", text, sites=silent, study=subject.study, number=subject.number)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
