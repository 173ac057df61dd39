"""A whole masked sum of 3, 10, 32 and 100 sites on the complete graph, nobody or every tenth site lost: what each side spends.

    agree       a site, once an epoch: the order's roster, its signatures, key agreement with every other site
    contribute  a site: read the order, check it, mask 1,000,000 words of 16 bits, commit, share, seal, sign, write
    sign        a site, only where somebody was lost: read the ask, sign who was counted, write
    answer      a site: read the ask, check the certificate, open the boxes, choose shares, sign, write
    collect     the coordinator: read all contributions, check signatures and commitments, add
    record      the coordinator: what it keeps on disk before each ask
    ask         the coordinator: all asks of one exchange, written
    certify     the coordinator: read all signatures and check them
    open        the coordinator, from the last answer to the total: read the answers, recover, check, take the masks off

The real machines, through bytes, one after the other in this process; without a network, and without the disk of the sites. A
site's figure is the median site's. Threshold: the smallest that is allowed with c = 1 (three sites with a loss: c = 0). Every
total is compared with the sum of the words.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from wardround.crypto.identity import Identity
from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.summation.masked import admission
from wardround.summation.masked import site as masked_site
from wardround.summation.masked.attempt import Attempt, Collecting, Opened, Received, State
from wardround.summation.masked.coordinator import asks, step
from wardround.summation.masked.layout import sum_name
from wardround.summation.masked.memory import MaskedState, Party
from wardround.summation.masked.store import sum_to_tensors
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.values.tensor_file import write_tensors
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, Masked, Order, OrderHeader, Statement

WORDS = 1_000_000
CASES = ((3, 0, 1), (3, 1, 0), (10, 0, 1), (10, 1, 1), (32, 0, 1), (32, 3, 1), (100, 0, 1), (100, 10, 1))
"""Sites, lost in the first exchange, collusion."""
STUDY = "5d" * 32
NAME = "model/words"
AT_A_SITE, AT_THE_COORDINATOR = ("agree", "contribute", "sign", "answer"), ("collect", "record", "ask", "certify", "open")


@dataclass
class Spent:
    """By step: CPU and wall seconds of every time, and the bytes that left (a site) or came (the coordinator)."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    wall: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu.setdefault(what, []).append(time.process_time() - cpu)
        self.wall.setdefault(what, []).append(time.perf_counter() - wall)

    def of(self, what: str) -> float:
        """CPU seconds: of the median site, or of the coordinator all together where it did it twice."""
        times = self.cpu.get(what, [0.0])
        return statistics.median(times) if what in AT_A_SITE else sum(times)

    def bytes_of(self, what: str) -> float:
        return statistics.median(self.sizes.get(what, [0]))


class Member:
    """One site, between bytes and bytes."""

    def __init__(self, party: Party, number: int, spent: Spent) -> None:
        self._party, self._number, self._spent = party, number, spent
        self._state = MaskedState()

    def words(self) -> Tree:
        draw = np.random.Generator(np.random.Philox(self._number))
        return {NAME: draw.integers(0, 2**16, WORDS, np.uint16)}

    def offer(self, data: bytes) -> bytes:
        self._state, answer = masked_site.offer(self._party, self._state, _ask(data), sha256_hex(data))
        return to_bytes(answer)

    def agree(self, data: bytes) -> None:
        """Takes the order's roster in: afterwards `contribute` costs what it costs in every later round.

        The site is one that has been counted before, so that a sum with nobody lost needs no signatures on the set.
        """
        with self._spent.on("agree"):
            self._state = replace(admission.check(self._party, self._state, _order(data)), memory_status="member")

    def contribute(self, data: bytes) -> bytes:
        words = self.words()
        with self._spent.on("contribute"):
            order = _order(data)
            ready = admission.check(self._party, self._state, order)
            self._state, contribution = masked_site.contribute(self._party, ready, order, sha256_hex(data), words)
            sent = to_bytes(contribution)
        self._spent.sizes.setdefault("contribute", []).append(len(sent))
        return sent

    def speak(self, data: bytes) -> bytes:
        name, act = {"sign": ("sign", masked_site.sign), "open": ("answer", masked_site.answer)}[_ask(data).header.what]
        with self._spent.on(name):
            ask = _ask(data)
            self._state, answer = act(self._party, self._state, ask, sha256_hex(data))
            sent = to_bytes(answer)
        self._spent.sizes.setdefault(name, []).append(len(sent))
        return sent


def _ask(data: bytes) -> Ask:
    message = from_bytes(data)
    if not isinstance(message, Ask):
        raise TypeError(type(message).__name__)
    return message


def _order(data: bytes) -> Order:
    message = from_bytes(data)
    if not isinstance(message, Order):
        raise TypeError(type(message).__name__)
    return message


class Sum:
    """One sum of n sites, of which the last `lost` do not answer the order."""

    def __init__(self, n: int, lost: int, collusion: int) -> None:
        self.sites = tuple(SiteId(f"site-{number:03d}") for number in range(n))
        self.counted = self.sites[: n - lost]
        self.quorum = Quorum(self.sites, smallest_threshold(n, collusion), collusion)
        self.spent = Spent()
        identities = {site: Identity.new() for site in self.sites}
        self.keys = {site: identity.public for site, identity in identities.items()}
        self.members = {
            site: Member(Party(site, bytes.fromhex(STUDY), self.quorum, self.keys, identity, n), number, self.spent)  # type: ignore[arg-type]
            for number, (site, identity) in enumerate(identities.items())
        }

    def run(self) -> Spent:
        order = self._order()
        for site in self.counted:
            self.members[site].agree(order)
        state = self._step(
            "collect", Collecting(self._attempt(order)), {site: self.members[site].contribute(order) for site in self.counted}
        )
        with tempfile.TemporaryDirectory(prefix="wardround-sum-") as folder:
            while outbox := self._outbox(state, Path(folder)):
                answers = {site: self.members[site].speak(data) for site, data in outbox.items()}
                state = self._step({"Signing": "certify", "Opening": "open"}[type(state).__name__], state, answers)
        self._check(state)
        return self.spent

    def _order(self) -> bytes:
        """The order of a model of as many float32 values as there are words."""
        ask = to_bytes(Ask(AskHeader(study=STUDY, what="keys", epoch=1)))
        masked = Masked(attempt=1, turn=1, epoch=1, roster=tuple(self._statement(site, ask) for site in self.sites))
        header = OrderHeader(study=STUDY, step="train", round=1, cohort=self.sites, weight=10, masked=masked)
        return to_bytes(Order(header, {"model/w": np.zeros(WORDS, np.float32)}))

    def _statement(self, site: SiteId, ask: bytes) -> Statement:
        answer = from_bytes(self.members[site].offer(ask))
        if not isinstance(answer, Answer):
            raise TypeError(type(answer).__name__)
        return answer.header.statement(site)

    def _attempt(self, order: bytes) -> Attempt:
        name = sum_name(_order(order).header)
        layout = {NAME: ("uint16", WORDS)}
        return Attempt(STUDY, self.quorum, self.keys, name, 1, 1, sha256_hex(order), self.sites, layout)  # type: ignore[arg-type]

    def _outbox(self, state: State, folder: Path) -> dict[SiteId, bytes]:
        outbox: dict[SiteId, bytes] = {}
        if not isinstance(state, Opened):
            with self.spent.on("record"):
                write_tensors(folder / "sum.safetensors", *sum_to_tensors(state))  # type: ignore[arg-type]
            with self.spent.on("ask"):
                outbox = {site: to_bytes(ask) for site, ask in asks(state).items()}
        return outbox

    def _step(self, what: str, state: State, answers: Mapping[SiteId, bytes]) -> State:
        with self.spent.on(what):
            return step(state, Received({site: from_bytes(data) for site, data in answers.items()}))

    def _check(self, state: State) -> None:
        """A fast wrong sum is none."""
        if not isinstance(state, Opened) or state.counted != self.counted:
            raise RuntimeError(f"the sum did not open: {type(state).__name__}")
        exact = np.zeros(WORDS, np.uint16)
        for site in self.counted:
            exact += self.members[site].words()[NAME]
        if not np.array_equal(state.total[NAME], exact):
            raise RuntimeError("the masked sum is not the sum")


def measure(cases: Sequence[tuple[int, int, int]] = CASES) -> dict[str, float]:
    """CPU seconds of a site and of the opening at the largest case with nobody lost and with losses; and its wall seconds."""
    print(
        f"\none sum, {WORDS:,} words of 16 bits, CPU milliseconds: the median site | the coordinator, and its `open` on the wall"
    )
    steps = (*AT_A_SITE, *AT_THE_COORDINATOR)
    print(f"  {'n':>3} {'lost':>4} {'t':>3} " + " ".join(f"{what:>10}" for what in steps) + "  open wall   MB out   KB answer")
    seconds: dict[str, float] = {}
    for n, lost, collusion in cases:
        one = Sum(n, lost, collusion)
        spent = one.run()
        row = " ".join(f"{1000 * spent.of(what):10.1f}" for what in steps)
        sizes = f"{spent.bytes_of('contribute') / 1e6:8.2f} {spent.bytes_of('answer') / 1e3:11.1f}"
        print(f"  {n:3} {lost:4} {one.quorum.threshold:3} {row} {1000 * spent.wall['open'][0]:10.1f} {sizes}", flush=True)
        kind = f"{n}_lost" if lost else f"{n}"
        seconds[f"many_site_s_{kind}"] = sum(spent.of(what) for what in ("contribute", "sign", "answer"))
        seconds[f"many_open_s_{kind}"] = spent.of("open")
        del one
        gc.collect()
    largest = str(max(n for n, _, _ in cases))
    return {name: value for name, value in seconds.items() if largest in name.split("_")}
