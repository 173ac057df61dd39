"""What both halves of the masked sum spell alike: the extra arrays, and what hashes and signatures are over (spec, 5 to 7)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from wardround.summation.masked.transcript import digest, names, part, u32, u64
from wardround.values.ids import SiteId
from wardround.wire.envelope import payload_digest
from wardround.wire.messages import Order, OrderHeader

BOXES, COMMITMENTS, SHARE_COMMITMENTS, SHARES = (
    "masked/boxes",
    "masked/commitments",
    "masked/share_commitments",
    "masked/shares",
)
SHARE = 36  # nine limbs of 30 bits in words of 32
NONCE = 12
BOX_EXTRA = NONCE + 16  # the nonce and the tag
HASH = 32

Layout = dict[str, tuple[str, int]]


def others(sites: Iterable[str], site: str) -> list[SiteId]:
    """Everybody else, in order."""
    return [SiteId(member) for member in sites if member != site]


def places(sites: Iterable[str]) -> dict[str, int]:
    """Every site's place, from 0."""
    return {site: place for place, site in enumerate(sites)}


def place_among_others(of: Mapping[str, int], site: str, member: str) -> int:
    """Where `member` stands in `others(sites, site)`. of: `places(sites)`."""
    return of[member] - (of[member] > of[site])


def contribution_layout(words: Layout, cohort: int) -> Layout:
    """The arrays of a masked contribution: name -> (type, length)."""
    return {
        **words,
        BOXES: ("uint8", (cohort - 1) * (SHARE * cohort + BOX_EXTRA)),
        COMMITMENTS: ("uint8", HASH * cohort),
        SHARE_COMMITMENTS: ("uint8", HASH * cohort * cohort),
    }


def sum_name(order: OrderHeader) -> str:
    """step/round/label: what is summed, in whichever attempt."""
    return f"{order.step}/{order.round}/{order.label}"


def sigma(sum_name: str) -> bytes:
    """The sum's name as one part: step, round and label."""
    step, number, label = sum_name.split("/")
    return part(step) + u32(int(number)) + part(label)


def content_of(order: Order) -> str:
    """What is asked, whoever is asked and whenever."""
    return digest("content", order.header.step, u64(order.header.weight), payload_digest(order.arrays)).hex()


def box_data(
    study: bytes, sum_name: str, attempt: int, turn: int, cohort: Sequence[str], h: bytes, owner: str, recipient: str
) -> bytes:
    """What a box is bound to: it opens for this order and these two only."""
    return digest("box", study, sigma(sum_name), u32(attempt), u64(turn), names(cohort), h, owner, recipient)


def contribution_digest(study: bytes, h: bytes, site: str, payload_hash: bytes) -> bytes:
    return digest("contribution", study, h, site, payload_hash)


class Ordered(Protocol):
    """What identifies an attempt: both halves have it under these names."""

    @property
    def order(self) -> str: ...
    @property
    def sum(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def turn(self) -> int: ...


def counted_digest(study: bytes, of: Ordered, counted: Sequence[str]) -> bytes:
    """What a site signs when somebody was lost."""
    return digest("counted", study, sigma(of.sum), u32(of.attempt), u64(of.turn), bytes.fromhex(of.order), names(counted))


def answer_digest(
    study: bytes, h: bytes, counted: Sequence[str], site: str, unreadable: Sequence[str], payload_hash: bytes
) -> bytes:
    return digest("answer", study, h, names(counted), site, names(unreadable), payload_hash)
