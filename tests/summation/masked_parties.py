"""A whole masked sum in memory: real site machines, a real coordinator machine, and a post office that tests can bribe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wardround.crypto.identity import Identity
from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.summation.masked import admission
from wardround.summation.masked import site as masked_site
from wardround.summation.masked.attempt import Attempt, Collecting, Received, State
from wardround.summation.masked.coordinator import asks, step
from wardround.summation.masked.layout import set_hash, sum_name
from wardround.summation.masked.memory import MaskedState, Party
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, Masked, Message, Order, OrderHeader, Statement

STUDY = "5d" * 32
LAYOUT = {"model/words": ("uint16", 50), "counts/words": ("uint64", 3)}
NAMES = tuple(SiteId(name) for name in ("anna", "berta", "carla", "dora", "emma"))


def words(rng: np.random.Generator, layout: Mapping[str, tuple[str, int]] = LAYOUT) -> Tree:
    return {name: rng.integers(0, np.iinfo(kind).max, size, dtype=kind, endpoint=True) for name, (kind, size) in layout.items()}


def plain_sum(words_by_site: Mapping[SiteId, Tree], counted: Sequence[SiteId]) -> Tree:
    names = words_by_site[counted[0]]
    with np.errstate(over="ignore"):
        return {name: np.sum([words_by_site[site][name] for site in counted], axis=0, dtype=names[name].dtype) for name in names}


@dataclass
class Member:
    """One site: its machine, its state, and the stored answers that a repeated message gets."""

    party: Party
    state: MaskedState = field(default_factory=lambda: MaskedState(memory_status="member"))
    stored: dict[str, Message] = field(default_factory=dict)

    def take(self, data: bytes, values: Tree) -> Message | str:
        """The answer to one message, or the word of the refusal."""
        message_hash, message = sha256_hex(data), from_bytes(data)
        if message_hash in self.stored:
            return self.stored[message_hash]
        try:
            reply: Message
            match message:
                case Order():
                    ready = admission.check(self.party, self.state, message)
                    copies = {name: array.copy() for name, array in values.items()}
                    self.state, reply = masked_site.contribute(self.party, ready, message, message_hash, copies)
                case Ask(header=header):
                    act = {"keys": masked_site.offer, "sign": masked_site.sign, "open": masked_site.answer}[header.what]
                    self.state, reply = act(self.party, self.state, message, message_hash)
                case _:
                    raise AssertionError(message)
        except RefusedError as error:
            return error.code
        self.stored[message_hash] = reply
        return reply


class Ring:
    """n sites and what the coordinator knows of them."""

    def __init__(
        self,
        n: int = 3,
        *,
        collusion: int = 1,
        threshold: int | None = None,
        seed: int = 0,
        quorum: Quorum | None = None,
        layout: Mapping[str, tuple[str, int]] = LAYOUT,
        set_changes: int = 100,
    ) -> None:
        if quorum is not None:
            self.sites = quorum.sites
        else:
            self.sites = NAMES[:n] if n <= len(NAMES) else tuple(SiteId(f"site-{number:03d}") for number in range(n))
        self.quorum = quorum or Quorum(self.sites, threshold or smallest_threshold(n, collusion), collusion)
        identities = {site: Identity.new() for site in self.sites}
        self.keys = {site: identity.public for site, identity in identities.items()}
        study = bytes.fromhex(STUDY)
        self.members = {
            site: Member(Party(site, study, self.quorum, self.keys, identities[site], set_changes)) for site in self.sites
        }
        self.rng = np.random.Generator(np.random.Philox(seed))
        self.layout = dict(layout)
        self.words = {site: words(self.rng, layout) for site in self.sites}
        self.epoch = 0
        self.turn = 0
        self.roster: tuple[Statement, ...] = ()

    def send(self, site: SiteId, data: bytes) -> Message | str:
        return self.members[site].take(data, self.words[site])

    def agree(self, sites: Sequence[SiteId] | None = None) -> None:
        """A new epoch: everybody's fresh key."""
        self.epoch += 1
        ask = to_bytes(Ask(AskHeader(study=STUDY, what="keys", epoch=self.epoch)))
        statements = []
        for site in sites or self.sites:
            answer = self.send(site, ask)
            assert isinstance(answer, Answer), answer
            header = answer.header
            assert header.key
            statements.append(header.statement(site))
        self.roster = tuple(statements)

    def order(self, number: int = 1, *, cohort: Sequence[SiteId] | None = None, attempt: int = 1, **changes: Any) -> bytes:
        """The bytes of an order, at the next turn unless `turn` is given. model: a number that stands for the model."""
        if "turn" not in changes:
            self.turn += 1
        set_changes, last_set = changes.pop("sets", None) or self.sets()
        masked = Masked(
            attempt=attempt,
            turn=changes.pop("turn", self.turn),
            epoch=self.epoch,
            roster=self.roster,
            set_changes=set_changes,
            last_set=set_hash(bytes.fromhex(STUDY), last_set),
        )
        model = np.full(4, changes.pop("model", number), np.float32)
        header = OrderHeader(
            study=STUDY, step="train", round=number, cohort=tuple(cohort or self.sites), weight=10, masked=masked
        )
        return to_bytes(Order(header.model_copy(update=changes), {"model/w": model}))

    def sets(self) -> tuple[int, tuple[SiteId, ...]]:
        """How often the set has changed, and the last one, so that every site of the ring may go on."""
        states = [member.state for member in self.members.values()]
        most = max(state.set_changes for state in states)
        last = {state.last_set for state in states if state.set_changes == most and state.last_set}
        return most + (len(last) > 1), max(last, default=())

    def attempt(self, order: bytes) -> Attempt:
        message = from_bytes(order)
        assert isinstance(message, Order)
        assert message.header.masked is not None
        return Attempt(
            study=STUDY,
            quorum=self.quorum,
            keys=self.keys,
            sum=sum_name(message.header),
            attempt_number=message.header.masked.attempt,
            turn=message.header.masked.turn,
            order=sha256_hex(order),
            cohort=tuple(map(SiteId, message.header.cohort)),
            layout=self.layout,
        )

    def run(self, order: bytes, post: "Post | None" = None) -> tuple[State, int]:
        """One attempt to its end; also the number of exchanges."""
        state: State = Collecting(self.attempt(order))
        outbox = dict.fromkeys(state.attempt.cohort, order)
        exchanges = 0
        while outbox:
            exchanges += 1
            state = step(state, self.exchange(type(state).__name__, outbox, post or deliver))
            outbox = {site: to_bytes(ask) for site, ask in asks(state).items()}
        return state, exchanges

    def exchange(self, stage: str, outbox: Mapping[SiteId, bytes], post: "Post") -> Received:
        messages: dict[SiteId, Message] = {}
        refused: dict[SiteId, str] = {}
        for site, data in outbox.items():
            answer = post(stage, site, data, lambda sent, site=site: self.send(site, sent))
            if isinstance(answer, str):
                refused[site] = answer
            elif answer is not None:
                messages[site] = from_bytes(to_bytes(answer))
        return Received(messages, refused)


Post = Callable[[str, SiteId, bytes, Callable[[bytes], Message | str]], Message | str | None]


def deliver(stage: str, site: SiteId, data: bytes, hand: Callable[[bytes], Message | str]) -> Message | str | None:  # noqa: ARG001
    """The honest post office."""
    return hand(data)


def losing(*losses: tuple[str, str]) -> Post:
    """Loses the answers of these sites in these stages."""

    def post(stage: str, site: SiteId, data: bytes, hand: Callable[[bytes], Message | str]) -> Message | str | None:
        answer = hand(data)
        return None if (stage, site) in losses else answer

    return post
