"""A site: it answers orders with contributions, or says no. Only it touches its records.

    bytes -> message -> checks (study, cohort, round) -> stored answer, or work -> protect -> record the reply -> bytes

Nothing that leaves a site on failure carries data: a refusal is a fixed word. The reason, in full, goes to the site's own log.
"""

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wardround.crypto.identity import Identity
from wardround.plan.plan import Plan
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.masked_participant import MaskedParticipant, another_attempt
from wardround.site.privacy_charges import PrivacyCharges
from wardround.site.private_orders import require_promised
from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.site.work import SiteWork
from wardround.study.declaration import Study
from wardround.summation.masked.memory import Party, ended
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError, StudyError, WardroundError, WireError
from wardround.values.ids import SiteId
from wardround.values.records import Records
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Ask, ContributionHeader, ContributionMessage, Order, Refusal, RefusalHeader


class Site:
    """One hospital's side of one study. `handle` never raises for anything an order can do."""

    def __init__(
        self,
        name: SiteId,
        study: Study,
        load: Callable[[], Records],
        folder: Path,
        *,
        identity: Identity | None = None,
        device: str = "auto",
        threads: int = 0,
        ledger: Ledger | None = None,
    ) -> None:
        """identity: this hospital's signing key; a masked study needs it, and must list its public half. ledger: of the patients
        whose records these are; a private study needs it."""
        self.name = name
        self.study_hash = study.hash
        self.minimum = study.sites.minimum
        party = _party(name, study, identity) if study.summation.mode == "masked" else None
        self.store = SiteStore(folder)
        self.participant = MaskedParticipant(party, self.store) if party is not None else None
        self.plan = Plan(study)
        self.work = SiteWork(name, self.plan, load, self.store, device=device, threads=threads)
        self.charges = PrivacyCharges(self.plan.private, ledger) if self.plan.private is not None else None

    def close(self) -> None:
        self.store.close()

    def handle(self, data: bytes) -> bytes:
        """The answer to one message: a contribution or a refusal."""
        message_hash = sha256_hex(data)
        try:
            message = self._read(data)
            state = self.store.read()
            if state.order == message_hash:
                return self._resent(message)
            if isinstance(message, Ask):
                return self._speak(message, message_hash, state)
            return self._answer(message, message_hash, state)
        except WardroundError as error:
            self.store.log(error.code, str(error))
            return self._refusal(message_hash, error.code)
        except Exception as error:  # noqa: BLE001  a site's error must not end the run, and its text must not leave
            self.store.log("internal", "".join(traceback.format_exception(error)))
            return self._refusal(message_hash, "internal")

    def _read(self, data: bytes) -> Order | Ask:
        message = from_bytes(data)
        if not isinstance(message, Order | Ask):
            raise WireError("A site takes orders and asks only", expected="an order", found=message.header.kind)
        return message

    def _answer(self, order: Order, order_hash: str, state: SiteState) -> bytes:
        self._check(order, state)
        header = order.header
        if self.participant is not None and header.step in self.plan.summed:
            reply = self.participant.contribute(order, order_hash, state, lambda: self._billed(order, state))
            self._leaves(order)
            return reply
        if header.masked is not None:
            raise RefusedError("The order is for a masked sum, which this study or step does not have", code="masked")
        arrays, state = self._billed(order, state)
        contribution = ContributionMessage(
            ContributionHeader(study=self.study_hash, step=header.step, round=header.round, site=self.name, order=order_hash),
            arrays,
        )
        # Recorded before it is sent: a repeated order must get these bytes, whatever happens next.
        reply = to_bytes(contribution)
        self.store.write(replace(state, order=order_hash), LastAnswer(reply, {}))
        self._leaves(order)
        return reply

    def _resent(self, message: Order | Ask) -> bytes:
        """The stored answer to an order, never one that is worked out anew."""
        reply = self.store.last_answer().reply
        self._leaves(message)
        return reply

    def _billed(self, order: Order, state: SiteState) -> tuple[Tree, SiteState]:
        """The order's work; a private step is charged first."""
        if self.charges is None:
            return self._work(order, state)
        if order.header.step == "train":
            self.work.require_same_records(state)  # before the charge: a file that cannot be read costs nothing
        self.charges.pay(order.header, state.round)
        return self._work(order, state)

    def _leaves(self, message: Order | Ask) -> None:
        """Before the stored answer to an order leaves: from here on its charge stays."""
        if self.charges is not None and isinstance(message, Order):
            self.charges.leaves(message.header, self.store.last_answer)

    def _work(self, order: Order, state: SiteState) -> tuple[Tree, SiteState]:
        """The words of an order's contribution, before any mask."""
        state = state.settled(order.header.counted.get(self.name, 0))
        match order.header.step:
            case "open":
                return self.work.open(order, state)
            case "train":
                return self.work.train(order, state)
            case "own":
                return {}, self.work.train_own(order, state)
            case "evaluate":
                return self.work.evaluate(order, state), state
            case "close":
                return {}, replace(state, masked=ended(state.masked))

    def _speak(self, ask: Ask, ask_hash: str, state: SiteState) -> bytes:
        if ask.header.study != self.study_hash:
            raise RefusedError("The ask belongs to another study than the one this site approved", code="study")
        if self.participant is None:
            raise RefusedError("This study has no masked sums", code="masked")
        return self.participant.speak(ask, ask_hash, state)

    def _check(self, order: Order, state: SiteState) -> None:
        header = order.header
        if header.study != self.study_hash:
            raise RefusedError("The order belongs to another study than the one this site approved", code="study")
        if self.name not in header.cohort:
            raise RefusedError("The order's cohort does not hold this site", code="cohort")
        if len(header.cohort) < self.minimum:
            raise RefusedError(
                f"The cohort has {len(header.cohort)} sites, the study asks for {self.minimum}", code="cohort-too-small"
            )
        if header.step != "open" and state.study != self.study_hash:
            raise RefusedError("This site has not opened this study", code="not-open")
        if header.step == "open" and state.round:
            # Opening anew would forget which rounds were answered, and let them be asked again over another cohort.
            raise RefusedError("This site has trained in this study already; it does not open it again", code="already-open")
        if header.step == "train" and header.round <= state.round and not another_attempt(state, order):
            raise RefusedError(f"Round {header.round} is over: this site has answered round {state.round}", code="old-round")
        if self.plan.private is not None:
            require_promised(order, self.plan, self.plan.private.weight((self.name,)))

    def _refusal(self, order_hash: str, code: str) -> bytes:
        return to_bytes(Refusal(RefusalHeader(study=self.study_hash, site=self.name, order=order_hash, code=code)))


def _party(name: SiteId, study: Study, identity: Identity | None) -> Party:
    if identity is None or study.sites.keys.get(name) != identity.public:
        raise StudyError(
            f"The study does not list this site's identity key, so {name} could not prove who it is",
            expected=f"sites.keys.{name} = {identity.public if identity else 'the key of this site'}",
            found=study.sites.keys.get(name, "no key"),
            hint="put the key into the study and have every hospital approve it anew",
        )
    return Party(name, bytes.fromhex(study.hash), study.quorum, study.sites.keys, identity)
