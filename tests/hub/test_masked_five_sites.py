"""The coordinator's half of the masked sum with five sites."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wardround.hub.masked_summing import MaskedSumming
from wardround.hub.notices import silent
from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.summation.approved import Approved
from wardround.summation.masked.keys import statement_digest
from wardround.summation.masked.memory import after_restoring
from wardround.summation.plain import SumOpened
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import (
    Answer,
    ContributionMessage,
    Order,
    OrderHeader,
    Refusal,
    RefusalHeader,
    Statement,
)

from ..summation.masked_parties import LAYOUT, STUDY, Ring, plain_sum
from .masked_runs import header_of


class Five:
    """MaskedSumming over the machines of five sites."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.ring = Ring(5, **how)
        of: Any = SimpleNamespace(hash=STUDY, quorum=self.ring.quorum, sites=SimpleNamespace(keys=self.ring.keys))
        self.asked: list[tuple[SiteId, bytes]] = []
        self.drop: Callable[[SiteId, Any], str] = lambda site, header: ""  # noqa: ARG005
        approved = Approved(of.hash, of.quorum, of.sites.keys, 100)
        self.summing = MaskedSumming(approved, folder, self.exchange, lambda _: None, silent)

    def exchange(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> dict[SiteId, bytes]:  # noqa: ARG002
        found = {}
        for name, data in outbox.items():
            self.asked.append((name, data))
            fate = self.drop(name, header_of(data))
            if fate == "unheard":
                continue
            answer = self.ring.send(name, data)
            if isinstance(answer, str):
                header = RefusalHeader(study=STUDY, site=name, order=sha256_hex(data), code=answer)
                found[name] = to_bytes(Refusal(header))
            elif not fate:
                found[name] = to_bytes(answer)
        return found

    def order(self, number: int = 1) -> Order:
        header = OrderHeader(study=STUDY, step="train", round=number, cohort=self.ring.sites, weight=10)
        return Order(header, {"model/w": np.full(4, number, np.float32)})


def test_a_set_that_was_asked_for_stays_the_set_of_the_sum(tmp_path: Path) -> None:
    """Two sites signed it, two never heard of it. A smaller set in the next attempt would get the word of those two, and then
    neither set could be opened any more."""
    five = Five(tmp_path, collusion=0)
    anna, berta, carla, dora, emma = five.ring.sites

    def drop(name: SiteId, header: Any) -> str:
        if header.kind == "order":
            late = (name == emma and header.masked.attempt == 1) or (name == dora and header.masked.attempt == 2)
            return "unheard" if late else ""
        return "unheard" if header.what == "sign" and name in (carla, dora) else ""

    five.summing.sum(five.order(1), LAYOUT)  # the first sum takes more witnesses than the threshold
    five.asked.clear()
    five.drop = drop
    outcome, _ = five.summing.sum(five.order(2), LAYOUT)
    assert isinstance(outcome, SumOpened)
    assert outcome.counted == (anna, berta, carla, dora)
    assert same_bits(outcome.total, plain_sum(five.ring.words, [anna, berta, carla, dora]))
    sets = {header_of(data).counted for _, data in five.asked if header_of(data).kind == "ask" and header_of(data).what != "keys"}
    assert sets == {(anna, berta, carla, dora)}


def test_a_site_that_lost_its_keys_gets_new_ones_with_the_next_sum(tmp_path: Path) -> None:
    """Where the others suffice no attempt fails, and still it must not stay out for good."""
    five = Five(tmp_path)
    five.summing.sum(five.order(1), LAYOUT)
    member = five.ring.members[five.ring.sites[0]]
    member.state = after_restoring(member.state)
    lost = []
    for number in (2, 3):
        outcome, _ = five.summing.sum(five.order(number), LAYOUT)
        assert isinstance(outcome, SumOpened)
        lost.append(dict(outcome.lost))
    assert lost == [{"anna": "keys"}, {}]


def test_a_contribution_for_another_attempt_is_not_taken_for_this_one(tmp_path: Path) -> None:
    """A slow site's earlier answer under the name of a new order would leave its masks in the total."""
    five = Five(tmp_path)
    kept: dict[SiteId, bytes] = {}
    exchange = five.summing.trip

    def replaying(outbox: Mapping[SiteId, bytes], *, heard: bool) -> dict[SiteId, bytes]:
        answers = dict(exchange(outbox, heard=heard))
        for name, data in answers.items():
            if isinstance(from_bytes(data), ContributionMessage) and name == "berta":
                answers[name] = kept.setdefault(name, data)
        return answers

    five.summing.trip = replaying
    for number, lost in ((1, {}), (2, {"berta": "wrong-answer"})):
        outcome, _ = five.summing.sum(five.order(number), LAYOUT)
        assert isinstance(outcome, SumOpened)
        assert outcome.lost == lost
        assert same_bits(outcome.total, plain_sum(five.ring.words, list(outcome.counted)))


@pytest.mark.parametrize("changes", [{"turn": 2**40}, {"key": "00" * 32}, {"key": "01" + "00" * 31}, {"site": "anna"}])
def test_a_site_that_would_spoil_the_keys_is_left_out(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A turn that never was would push all keys ahead; with a degenerate key every other site would refuse the roster. One
    malicious site must not stop the others that way, nor speak for another."""
    five = Five(tmp_path)
    exchange = five.summing.trip

    def spoiling(outbox: Mapping[SiteId, bytes], *, heard: bool) -> dict[SiteId, bytes]:
        answers = dict(exchange(outbox, heard=heard))
        said = from_bytes(answers["emma"]) if "emma" in answers else None  # type: ignore[index]
        if isinstance(said, Answer) and said.header.key:
            fields = said.header.model_copy(update=changes)
            statement = Statement(**fields.model_dump(include={"site", "key", "turn", "stage", "counter", "signature"}))
            party = five.ring.members[SiteId("emma")].party
            signature = party.identity.sign(statement_digest(party.study, five.summing.keys.epoch + 1, statement))
            answers[SiteId("emma")] = to_bytes(Answer(fields.model_copy(update={"signature": signature})))
        return answers

    five.summing.trip = spoiling
    outcome, _ = five.summing.sum(five.order(), LAYOUT)
    assert isinstance(outcome, SumOpened)
    assert outcome.lost == {"emma": "wrong-signature"}


def test_two_orders_whose_hashes_begin_alike_do_not_share_their_words(tmp_path: Path) -> None:
    """A coordinator can make two orders with 64 equal bits in an afternoon. The words of the first, masked for the second, would
    open one contribution over two sets."""
    store = SiteStore(tmp_path)
    for number in (1, 2):
        order = "ab" * 31 + f"{number:02x}"
        words: Tree = {"model/words": np.full(3, number, np.uint32)}
        store.write(SiteState(order=order), LastAnswer(bytes([number]), words))
        assert store.read().order == order
        assert store.last_answer().reply == bytes([number])
        assert same_bits(store.last_answer().words, words)
    assert len(list(tmp_path.glob("answer-*"))) == 1
    store.close()
