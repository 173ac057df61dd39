"""One site's side of sums of plain arrays: bytes in, bytes out."""

from collections.abc import Callable
from pathlib import Path

from wardround.crypto.identity import Identity
from wardround.plan.sum_plan import Arrays, SumPlan
from wardround.site.masked_participant import MaskedParticipant
from wardround.site.store import SiteStore
from wardround.summation.masked.memory import Party
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError, StudyError, WardroundError, WireError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Ask, Order, Refusal, RefusalHeader


class SumSite:
    """One site's side of a sum: bytes in, bytes out.

    Parameters
    ----------
    plan
        What the sites agreed on.
    name
        This site's name in the plan.
    identity
        Its identity key; the plan lists the public half.
    values
        Takes the label of a sum, and returns the arrays that the site adds to it. Asked once for each sum.
    folder
        Where the site keeps its keys and what it answered; it must outlive the process.

    Raises
    ------
    StudyError
        Where the plan does not list this identity.
    """

    def __init__(self, plan: SumPlan, name: str, identity: Identity, values: Callable[[str], Arrays], folder: Path) -> None:
        if plan.keys.get(name) != identity.public:
            raise StudyError(
                "The plan does not list this site's identity key", expected=identity.public, hint="agree on a plan anew"
            )
        approved = plan.approved
        self._plan, self._values, self._store = plan, values, SiteStore(folder)
        self._site = SiteId(name)
        party = Party(self._site, bytes.fromhex(approved.hash), approved.quorum, approved.keys, identity)
        self._participant = MaskedParticipant(party, self._store)

    def close(self) -> None:
        self._store.close()

    def handle(self, data: bytes) -> bytes:
        """The answer to one message; a refusal in one word where a rule forbids an answer."""
        message_hash = sha256_hex(data)
        try:
            return self._handle(data, message_hash)
        except WardroundError as error:
            header = RefusalHeader(study=self._plan.approved.hash, site=self._site, order=message_hash, code=error.code)
            return to_bytes(Refusal(header))

    def _handle(self, data: bytes, message_hash: str) -> bytes:
        message, state = from_bytes(data), self._store.read()
        if not isinstance(message, Order | Ask):
            raise WireError("A site takes orders and asks only")
        if message.header.study != self._plan.approved.hash:
            raise RefusedError("The message belongs to another plan", code="study")
        if state.order == message_hash:
            return self._store.last_answer().reply
        if isinstance(message, Order):
            ready = self._participant.check(message, state)
            words = self._participant.earlier_words(message, state) or self._words(message)
            return self._participant.reply(ready, message, message_hash, state, words)
        return self._participant.speak(message, message_hash, state)

    def _words(self, order: Order) -> Tree:
        return self._plan.encode(self._values(order.header.label))
