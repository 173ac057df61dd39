"""A site's part in masked sums, durable: the state machine of `summation.masked_site` over the site's store.

What is about to be revealed is on disk before it leaves, and a further attempt masks the same words anew.
"""

from collections.abc import Callable
from dataclasses import replace

from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.summation.masked.layout import sum_name
from wardround.summation.masked.memory import Party
from wardround.summation.masked.site import answer, check, contribute, offer, sign
from wardround.values.errors import RefusedError
from wardround.values.tree import Tree
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Ask, Order

Work = Callable[[], tuple[Tree, SiteState]]
"""Works out the words of an order, before any mask, and the state that goes with them."""


class MaskedParticipant:
    """Contributes and speaks for one site. Both return the bytes to send, already recorded."""

    def __init__(self, party: Party, store: SiteStore) -> None:
        self._party, self._store = party, store

    def contribute(self, order: Order, order_hash: str, state: SiteState, work: Work) -> bytes:
        ready = check(self._party, state.masked, order)
        if another_attempt(state, order):
            words = self._store.last_answer().words
            if not words:
                raise RefusedError("The words of that sum are gone: another step came since", code="old-sum")
        else:
            words, state = work()
        copies = {name: array.copy() for name, array in words.items()}
        masked, contribution = contribute(self._party, ready, order, order_hash, copies)
        reply = to_bytes(contribution)
        self._store.write(replace(state, masked=masked, order=order_hash), LastAnswer(reply, words))
        return reply

    def speak(self, ask: Ask, ask_hash: str, state: SiteState) -> bytes:
        """The answer to an ask, made once."""
        what = ask.header.what
        stored = state.asks.get(what)
        if stored is not None and stored[0] == ask_hash:
            return stored[1]
        masked, said = {"keys": offer, "sign": sign, "open": answer}[what](self._party, state.masked, ask, ask_hash)
        reply = to_bytes(said)
        self._store.write(replace(state, masked=masked, asks={**state.asks, what: (ask_hash, reply)}))
        return reply


def another_attempt(state: SiteState, order: Order) -> bool:
    """Whether this site has contributed to the same sum already: then the same words are masked anew."""
    given = state.masked.given
    return given is not None and order.header.masked is not None and given.sum == sum_name(order.header)
