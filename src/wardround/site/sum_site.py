"""One site's side of sums of plain arrays: bytes in, bytes out."""

import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from wardround.crypto.identity import Identity
from wardround.plan.sum_plan import Arrays, SumPlan
from wardround.site.masked_participant import MaskedParticipant
from wardround.site.refusals import ENDING, REFUSALS_IN_A_ROW, word_of
from wardround.site.store import SiteStore
from wardround.summation.masked.layout import largest_ask
from wardround.summation.masked.memory import Party
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError, StudyError, WardroundError, WireError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree
from wardround.wire.envelope import Envelope, largest_header, open_envelope, to_bytes
from wardround.wire.messages import Ask, Order, Refusal, RefusalHeader
from wardround.wire.payload import PayloadLimits


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
        Takes the label and the number of a sum, and returns the arrays that the site adds to it. Asked once for each sum.
    folder
        Where the site keeps its keys and what it answered; it must outlive the process.
    counter
        A file outside `folder` that tells a folder which was restored from a backup. Left out: only its place on the disk does.
    refusals_in_a_row
        After so many the site stops until a person has looked.

    Raises
    ------
    StudyError
        Where the plan does not list this identity.
    """

    def __init__(
        self,
        plan: SumPlan,
        name: str,
        identity: Identity,
        values: Callable[[str, int], Arrays],
        folder: Path,
        *,
        counter: Path | None = None,
        refusals_in_a_row: int = REFUSALS_IN_A_ROW,
    ) -> None:
        if plan.keys.get(name) != identity.public:
            raise StudyError(
                "The plan does not list this site's identity key", expected=identity.public, hint="agree on a plan anew"
            )
        approved = plan.approved
        self._plan, self._values, self._store = plan, values, SiteStore(folder, counter)
        self._site = SiteId(name)
        party = Party(self._site, bytes.fromhex(approved.hash), approved.quorum, approved.keys, identity, approved.set_changes)
        self._participant = MaskedParticipant(party, self._store)
        self._refusals_in_a_row = refusals_in_a_row
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        self._store.close()

    def handle(self, data: bytes) -> bytes:
        """The answer to one message; a refusal in one word where a rule forbids an answer."""
        message_hash = sha256_hex(data)
        with self._one_at_a_time:
            try:
                envelope = self._opened(data)
            except WardroundError as error:  # anybody can send such bytes: they count for nothing
                self._store.log_seldom(error.code, str(error))
                return self._refusal(message_hash, word_of(error))
            try:
                return self._answer(envelope, message_hash)
            except WardroundError as error:
                return self._refused(message_hash, word_of(error), str(error))
            except Exception as error:  # noqa: BLE001  whatever `values` raises, its text must not leave
                return self._refused(message_hash, word_of(error), "".join(traceback.format_exception(error)))

    def _refused(self, message_hash: str, code: str, text: str) -> bytes:
        """After some words, and too many refusals, the site stops until a person has looked: the next question must not depend on
        the last failure."""
        if code == "stopped":
            self._store.log_seldom(code, text)
            return self._refusal(message_hash, code)
        self._store.log(code, text)
        if code in ENDING:
            self._store.stop(code)
        else:
            self._store.count_one_more_refusal(self._refusals_in_a_row)
        return self._refusal(message_hash, code)

    def _refusal(self, message_hash: str, code: str) -> bytes:
        return to_bytes(Refusal(RefusalHeader(study=self._plan.approved.hash, site=self._site, order=message_hash, code=code)))

    def _opened(self, data: bytes) -> Envelope:
        sites = len(self._plan.keys)
        envelope = open_envelope(data, header_limit=largest_header(sites), payload_limit=largest_ask(sites))
        if envelope.header.study != self._plan.approved.hash:
            raise RefusedError("The message belongs to another plan", code="study")
        return envelope

    def _answer(self, envelope: Envelope, message_hash: str) -> bytes:
        arrays = PayloadLimits(0 if envelope.header.kind == "order" else 1, largest_ask(len(self._plan.keys)))
        message, state = envelope.message(arrays), self._store.read()
        if not isinstance(message, Order | Ask):
            raise WireError("A site takes orders and asks only")
        self._store.require_going(state)
        if state.order == message_hash:
            return self._store.last_answer().reply
        if isinstance(message, Ask):
            return self._participant.speak(message, message_hash, state)
        header = message.header
        self._plan.require_named(header.label, header.round)
        if header.step != "evaluate" or header.weight:
            raise RefusedError("The order is not one for a sum of arrays", code="not-in-study")
        ready = self._participant.check(message, state)
        words = self._participant.earlier_words(message, state) or self._words(message)
        reply = self._participant.reply(ready, message, message_hash, state, words)
        self._store.forget_refusals()
        return reply

    def _words(self, order: Order) -> Tree:
        return self._plan.encode(self._values(order.header.label, order.header.round))
