"""One trip to the sites: bytes out, messages back. Replies are read here and nowhere else.

    outbox --engine--> bytes of each site --read_reply--> Received: messages, and a word for each site that gave none

A reply counts only where it names the message it answers and the site it came from. Whatever else comes is "wrong-answer".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

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


def exchange(trip: Trip, outbox: Mapping[SiteId, bytes], limit: int, traffic: Traffic, *, heard: bool = False) -> Received:
    """Sends every message and reads what came back. limit: bytes that an honest reply's arrays take at most.

    Answers are looked at one at a time: an engine may open each when it is asked for."""
    answers = trip(outbox, heard=heard)
    traffic.out += sum(map(len, outbox.values()))
    traffic.exchanges += 1
    messages: dict[SiteId, Message] = {}
    refused: dict[SiteId, str] = {}
    for site in answers:
        data = answers[site]
        traffic.back += len(data)
        match read_reply(site, sha256_hex(outbox[site]), data, limit):
            case str(word):
                refused[site] = word
            case message:
                messages[site] = message
        del data
    return Received(messages, refused)


def read_reply(site: SiteId, sent: str, data: bytes, limit: int) -> Message | str:
    """The contribution or answer of `site` to the message with the hash `sent`, or the word that stands for none."""
    try:
        message = open_envelope(data, payload_limit=limit).message(PayloadLimits(REPLY_ARRAYS, limit))
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
    """The arrays of those who contributed to this very order."""
    arrays: dict[SiteId, Tree] = {}
    refused = dict(received.refused)
    for site, message in received.messages.items():
        if isinstance(message, ContributionMessage) and _states_the_sum(message, order):
            arrays[site] = message.arrays
        else:
            refused[site] = WRONG_ANSWER
    return Replies(arrays, refused)


def reply_limit(layout: Layout) -> int:
    """The most bytes that an honest reply holds, which promises these arrays."""
    return SPARE_BYTES + sum(200 + _WORD_BYTES[kind] * size for kind, size in layout.values())


def _states_the_sum(message: ContributionMessage, order: OrderHeader) -> bool:
    header = message.header
    return (header.study, header.step, header.round) == (order.study, order.step, order.round)
