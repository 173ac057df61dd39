"""One trip to the sites: bytes out, messages back. Replies are read here and nowhere else.

    outbox --engine--> bytes of each site --read_reply--> Received: messages, and a word for each site that gave none

A reply counts only where it names the message it answers and the site it came from. Whatever else comes is "wrong-answer".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from wardround.plan.permission import Permission
from wardround.plan.plan import Plan
from wardround.plan.releases import releases
from wardround.summation.masked.attempt import Received
from wardround.summation.plain import Layout, Replies
from wardround.values.canonical import sha256_hex
from wardround.values.errors import WireError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import open_envelope
from wardround.wire.messages import Answer, ContributionMessage, Message, OrderHeader, Refusal
from wardround.wire.payload import PayloadLimits

WRONG_ANSWER = "wrong-answer"
SPARE_BYTES = 4096  # of a reply besides its arrays
REPLY_SPARE = 64 << 20  # of any reply of a study: sealed shares for many hospitals
REPLY_ARRAYS = 64  # a vector for each part, and those of a mask
_WORD_BYTES = {"uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8}


class Trip(Protocol):
    """Carries messages to sites and brings back whatever came in time. heard: whoever watches the run hears of each answer."""

    def __call__(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> Mapping[SiteId, bytes]: ...


@dataclass
class Traffic:
    """Bytes sent and received in one sum, and how many exchanges it took."""

    out: int = 0
    back: int = 0
    exchanges: int = 0


def exchange(trip: Trip, outbox: dict[SiteId, bytes], limit: int, traffic: Traffic, *, heard: bool = False) -> Received:
    """Sends every message and reads what came back. limit: bytes that an honest reply's arrays take at most.

    An order is as large as the model, and so is an answer: `outbox` is empty afterwards, and answers are looked at one at a
    time, since an engine may open each when it is asked for."""
    answers = trip(outbox.copy(), heard=heard)
    traffic.out += sum(map(len, outbox.values()))
    traffic.exchanges += 1
    readable: list[SiteId] = []
    refused: dict[SiteId, str] = {}
    hashes = {data: sha256_hex(data) for data in set(outbox.values())}  # mostly one message for all
    sent = {site: hashes[outbox[site]] for site in answers}
    hashes.clear()
    outbox.clear()
    for site in answers:
        data = answers[site]
        traffic.back += len(data)
        match read_reply(site, sent[site], data, limit):
            case str(word):
                refused[site] = word
            case _:
                readable.append(site)
        del data
    return Received(_ReadAgain(answers, sent, limit, tuple(readable)), refused)


@dataclass(frozen=True)
class _ReadAgain(Mapping[SiteId, Message]):
    """Messages that are read anew each time they are asked for: of long answers one is in memory, and not one for each site.
    sent: hash of the message to each site. sites: those whose answer was found readable."""

    answers: Mapping[SiteId, bytes]
    sent: Mapping[SiteId, str]
    limit: int
    sites: tuple[SiteId, ...]

    def __getitem__(self, site: SiteId) -> Message:
        if site not in self.sites:
            raise KeyError(site)
        message = read_reply(site, self.sent[site], self.answers[site], self.limit)
        if isinstance(message, str):
            raise WireError("An answer cannot be read any more that was read before", hint="look at the hub's disk; then resume")
        return message

    def __iter__(self) -> Iterator[SiteId]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)


@dataclass(frozen=True)
class _Arrays(Mapping[SiteId, Tree]):
    """The arrays of messages, read one at a time."""

    messages: Mapping[SiteId, Message]
    sites: tuple[SiteId, ...]

    def __getitem__(self, site: SiteId) -> Tree:
        if site not in self.sites:
            raise KeyError(site)
        message = self.messages[site]
        assert isinstance(message, ContributionMessage)
        return message.arrays

    def __iter__(self) -> Iterator[SiteId]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)


def read_reply(site: SiteId, sent: str, data: bytes, limit: int) -> Message | str:
    """The contribution or answer of `site` to the message with the hash `sent`, or the word that stands for none. Its arrays
    are bytes of `data`, and cannot be changed."""
    try:
        message = open_envelope(data, payload_limit=limit).message(PayloadLimits(REPLY_ARRAYS, limit), lent=True)
    except WireError:
        return "wire"
    match message:
        case Refusal(header):
            return header.code if (header.order, header.site) == (sent, site) else WRONG_ANSWER
        case ContributionMessage(header):
            return message if (header.order, header.site) == (sent, site) else WRONG_ANSWER
        case Answer(header):
            return message if header.ask == sent else WRONG_ANSWER  # whose it is, its signature says
    return WRONG_ANSWER


def replies_to(order: OrderHeader, received: Received) -> Replies:
    """The arrays of those who contributed to this very order, each read when it is added."""
    contributors: list[SiteId] = []
    refused = dict(received.refused)
    for site in received.messages:
        message = received.messages[site]
        if isinstance(message, ContributionMessage) and _states_the_sum(message, order):
            contributors.append(site)
        else:
            refused[site] = WRONG_ANSWER
        del message  # before the next one is read
    return Replies(_Arrays(received.messages, tuple(contributors)), refused)


def reply_limit(layout: Layout) -> int:
    """The most bytes that an honest reply holds, which promises these arrays."""
    return SPARE_BYTES + sum(200 + _WORD_BYTES[kind] * size for kind, size in layout.values())


def largest_reply(plan: Plan) -> int:
    """The most bytes that any honest reply of a study holds, with room for the masks' own: for who keeps what sites bring."""
    return REPLY_SPARE + 2 * max(Permission(plan).largest_payload, *(release.bytes_each for release in releases(plan)))


def _states_the_sum(message: ContributionMessage, order: OrderHeader) -> bool:
    header = message.header
    return (header.study, header.step, header.round) == (order.study, order.step, order.round)
