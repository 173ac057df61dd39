"""What a hub holds of a large model at once while it adds: beside the total one answer, and no order that has left."""

import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from wardround.hub.exchange import _ReadAgain
from wardround.hub.summing import PlainSumming
from wardround.summation.plain import SumOpened
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId, site_id
from wardround.values.tree import Tree, same_bits
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import ContributionHeader, ContributionMessage, Message, Order, OrderHeader

from ..federation.tiny_federation import run
from .masked_runs import masked

SITES = tuple(site_id(name) for name in ("ada", "ben", "cem", "dora"))
WORDS = 1 << 20
STUDY = "5" * 64
MODEL: Tree = {"model/w": np.zeros(WORDS, np.float32)}
SIZE = MODEL["model/w"].nbytes


class MadeAnew(Mapping[SiteId, bytes]):
    """Answers as a carrier gives them that keeps them in files: each is made when it is asked for."""

    def __init__(self, order: str) -> None:
        self._order = order

    def __getitem__(self, site: SiteId) -> bytes:
        header = ContributionHeader(study=STUDY, step="train", round=1, site=site, order=self._order)
        return to_bytes(ContributionMessage(header, {"model/words": np.full(WORDS, len(site), np.uint32)}))

    def __iter__(self) -> Iterator[SiteId]:
        return iter(SITES)

    def __len__(self) -> int:
        return len(SITES)


def test_a_sum_takes_the_total_and_one_answer() -> None:
    """Of 100 MB and more each copy counts: an order that has left and the answer before are let go of."""

    def trip(outbox: Mapping[SiteId, bytes], *, heard: bool) -> Mapping[SiteId, bytes]:  # noqa: ARG001
        return MadeAnew(sha256_hex(next(iter(outbox.values()))))

    order = Order(OrderHeader(study=STUDY, step="train", round=1, cohort=SITES, weight=10), MODEL)
    tracemalloc.start()
    try:
        outcome, traffic = PlainSumming(1, trip).sum(order, {"model/words": ("uint32", WORDS)})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, SumOpened) and outcome.counted == SITES
    assert same_bits(outcome.total, {"model/words": np.full(WORDS, sum(map(len, SITES)), np.uint32)})
    assert traffic.out > 4 * SIZE
    assert peak < 3.2 * SIZE  # an answer is made of its arrays: these, its bytes, and the total
    assert order.arrays["model/w"] is MODEL["model/w"]


def test_of_the_answers_of_a_masked_sum_one_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred hospitals answer as one: while an answer is read, none before it is held."""
    read: list[weakref.ref[Message]] = []
    before: Callable[[_ReadAgain, SiteId], Message] = _ReadAgain.__getitem__

    def watched(answers: _ReadAgain, site: SiteId) -> Message:
        assert not any(one() is not None and isinstance(one(), ContributionMessage) for one in read)
        message = before(answers, site)
        read.append(weakref.ref(message))
        return message

    monkeypatch.setattr(_ReadAgain, "__getitem__", watched)
    assert run(masked(), tmp_path)
    assert len(read) > 2 * 3 * 2
