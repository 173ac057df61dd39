"""A site's part in masked sums, durable: the state machine of `summation.masked.site` over the site's store.

    check -> (words: worked out, or those of an earlier attempt) -> masked reply, recorded by the caller before it leaves

What is about to be revealed is on disk before it leaves, and a further attempt masks the same words anew.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wardround.site.refusals import REFUSALS
from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.summation.masked.admission import check
from wardround.summation.masked.layout import sum_name
from wardround.summation.masked.memory import MaskedState, Party
from wardround.summation.masked.site import answer, contribute, offer, sign
from wardround.values.errors import RefusedError
from wardround.values.tree import Tree
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Ask, Order

KEYS_IN_A_ROW = 1000
"""An honest run that waits for a hospital asks the others for new keys at each resume: hourly for a month, and no further."""


class MaskedParticipant:
    """Contributes and speaks for one site."""

    def __init__(self, party: Party, store: SiteStore) -> None:
        self._party, self._store = party, store

    def check(self, order: Order, state: SiteState) -> MaskedState:
        """The memory with which this order may be answered. RefusedError where it may not; nothing is worked out before."""
        return check(self._party, state.masked, order)

    def earlier_words(self, order: Order, state: SiteState) -> Tree | None:
        """The words of an earlier attempt at this sum, which are masked anew; None where there was none."""
        if not another_attempt(state, order):
            return None
        words = self._store.last_answer().words
        if not words:
            raise RefusedError("The words of that sum are gone: another step came since", code="old-sum")
        return words

    def reply(self, ready: MaskedState, order: Order, order_hash: str, state: SiteState, words: Tree) -> bytes:
        """The masked contribution, already recorded. ready: what `check` gave. state: what the work left."""
        copies = {name: array.copy() for name, array in words.items()}
        masked, contribution = contribute(self._party, ready, order, order_hash, copies)
        reply = to_bytes(contribution)
        self._store.write(replace(state, masked=masked, order=order_hash, keys_offered=0), LastAnswer(reply, words))
        return reply

    def speak(self, ask: Ask, ask_hash: str, state: SiteState) -> bytes:
        """The answer to an ask, made once and already recorded."""
        what = ask.header.what
        if state.asks.get(what) == ask_hash:
            return state.said[what].tobytes()
        if what == "keys":
            state = _with_one_more_key(state)
        masked, message = {"keys": offer, "sign": sign, "open": answer}[what](self._party, state.masked, ask, ask_hash)
        reply = to_bytes(message)
        asks: Mapping[str, str] = {**state.asks, what: ask_hash}
        said = {**state.said, what: np.frombuffer(reply, np.uint8)}
        self._store.write(replace(state, masked=masked, asks=asks, said=said))
        return reply


def _with_one_more_key(state: SiteState) -> SiteState:
    """The state after one more key. RefusedError after too many: such asks are answered, and no count of refusals ends them."""
    if state.keys_offered >= KEYS_IN_A_ROW:
        raise RefusedError(
            f"{KEYS_IN_A_ROW} keys were asked for, and no sum came of any of them",
            hint="ask the people at the coordinator what its run waits for",
            code=REFUSALS,
        )
    return replace(state, keys_offered=state.keys_offered + 1)


def another_attempt(state: SiteState, order: Order) -> bool:
    """Whether this site has contributed to the same sum already: then the same words are masked anew."""
    last = state.masked.last_contribution
    return last is not None and order.header.masked is not None and last.sum == sum_name(order.header)
