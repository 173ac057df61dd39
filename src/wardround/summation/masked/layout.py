"""What both halves of the masked sum spell alike: the extra arrays, and what hashes and signatures are over (spec, 5 to 7)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from wardround.summation.masked.transcript import digest, names, part, u32, u64
from wardround.values.ids import SiteId
from wardround.wire.envelope import payload_digest
from wardround.wire.messages import Order, OrderHeader

SEALED_SHARES, COMMITMENTS, SHARE_COMMITMENTS, SHARES = (
    "masked/sealed_shares",
    "masked/commitments",
    "masked/share_commitments",
    "masked/shares",
)
SHARE = 36  # nine limbs of 30 bits in words of 32
NONCE = 12
SEAL_EXTRA = NONCE + 16  # the nonce and the tag
HASH = 32

Layout = dict[str, tuple[str, int]]


def others(sites: Iterable[str], site: str) -> list[SiteId]:
    """Everybody else, in order."""
    return [SiteId(member) for member in sites if member != site]


def places(sites: Iterable[str]) -> dict[str, int]:
    """Every site's place, from 0."""
    return {site: number for number, site in enumerate(sites)}


def place_among_others(site_places: Mapping[str, int], site: str, member: str) -> int:
    """Where `member` stands in `others(sites, site)`. site_places: `places(sites)`."""
    return site_places[member] - (site_places[member] > site_places[site])


def slice_of(data: bytes, size: int, number: int) -> bytes:
    """Number `number` of equal pieces of `size` bytes."""
    return data[size * number : size * (number + 1)]


def contribution_layout(words: Layout, cohort: int) -> Layout:
    """The arrays of a masked contribution: name -> (type, length)."""
    return {
        **words,
        SEALED_SHARES: ("uint8", (cohort - 1) * (SHARE * cohort + SEAL_EXTRA)),
        COMMITMENTS: ("uint8", HASH * cohort),
        SHARE_COMMITMENTS: ("uint8", HASH * cohort * cohort),
    }


def largest_ask(sites: int) -> int:
    """Bytes of the arrays of an open, in a study of so many sites."""
    return 1024 + sites * (SHARE * sites + SEAL_EXTRA)


def sum_name(order: OrderHeader) -> str:
    """step/round/label: what is summed, in whichever attempt."""
    return f"{order.step}/{order.round}/{order.label}"


def is_opening(sum_name: str) -> bool:
    """Whether the sum opens a study."""
    return sum_name.startswith("open/")


def sigma(sum_name: str) -> bytes:
    """The sum's name as one part: step, round and label."""
    step, number, label = sum_name.split("/")
    return part(step) + u32(int(number)) + part(label)


def content_of(order: Order) -> str:
    """What is asked, whoever is asked and whenever."""
    return digest("content", order.header.step, u64(order.header.weight), payload_digest(order.arrays)).hex()


def set_hash(study: bytes, sites: Iterable[str]) -> str:
    """What an order says of the set that sites spoke for last; empty where they spoke for none."""
    listed = names(sites)
    return digest("set", study, listed).hex() if listed else ""


def contribution_digest(study: bytes, h: bytes, site: str, payload_hash: bytes) -> bytes:
    return digest("contribution", study, h, site, payload_hash)


class Ordered(Protocol):
    """What identifies an attempt: both halves have it under these names."""

    @property
    def order(self) -> str: ...
    @property
    def sum(self) -> str: ...
    @property
    def attempt_number(self) -> int: ...
    @property
    def turn(self) -> int: ...
    @property
    def cohort(self) -> tuple[SiteId, ...]: ...


def sealed_data(study: bytes, ordered: Ordered, owner: str, recipient: str) -> bytes:
    """What sealed shares are bound to: they open for this attempt and these two sites only."""
    return digest("sealed", study, *_named(ordered), names(ordered.cohort), bytes.fromhex(ordered.order), owner, recipient)


def counted_digest(study: bytes, ordered: Ordered, counted: Sequence[str]) -> bytes:
    """What a site signs when somebody was lost. ordered: the attempt that those counted contributed to."""
    return digest("counted", study, *_named(ordered), bytes.fromhex(ordered.order), names(counted))


def _named(ordered: Ordered) -> tuple[bytes, bytes, bytes]:
    return sigma(ordered.sum), u32(ordered.attempt_number), u64(ordered.turn)


def answer_digest(
    study: bytes, h: bytes, counted: Sequence[str], site: str, unreadable: Sequence[str], payload_hash: bytes
) -> bytes:
    return digest("answer", study, h, names(counted), site, names(unreadable), payload_hash)
