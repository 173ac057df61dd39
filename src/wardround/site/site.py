"""A site: it answers orders with contributions, or says no. Only it touches its records.

    bytes --read--> message --checks--> allowed --charges--> paid --work--> words --mask--> reply --recorded--> bytes
                       \\--answered before--> the stored bytes            \\--ask of a masked sum--> signature or shares

Nothing that leaves a site on failure carries data: a refusal is a fixed word. The reason, in full, goes to the site's own log.
"""

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wardround.crypto.identity import Identity
from wardround.plan.plan import Plan
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.masked_participant import MaskedParticipant
from wardround.site.order_checks import require_allowed, require_study
from wardround.site.privacy_charges import PrivacyCharges
from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.site.work import SiteWork
from wardround.study.declaration import Study
from wardround.summation.masked.memory import Party
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
        outside: Path | None = None,
    ) -> None:
        """identity: this hospital's signing key; a masked study needs it, and must list its public half. ledger: of the patients
        whose records these are; a private study needs it. outside: a file with the digests of an external test set's records, to
        be compared with those that are trained on."""
        self.name = name
        self.study_hash = study.hash
        party = _party(name, study, identity) if study.summation.mode == "masked" else None
        self.store = SiteStore(folder)
        self.participant = MaskedParticipant(party, self.store) if party is not None else None
        self.plan = Plan(study)
        self.work = SiteWork(name, self.plan, load, self.store, device=device, threads=threads, outside=outside)
        self.charges = PrivacyCharges(self.plan.private, ledger) if self.plan.private is not None else None

    def close(self) -> None:
        self.store.close()

    def handle(self, data: bytes) -> bytes:
        """The answer to one message: a contribution or a refusal."""
        message_hash = sha256_hex(data)
        try:
            message = _read(data)
            state = self.store.read()
            if state.order == message_hash:
                return self._sent(message, self.store.last_answer().reply)
            if isinstance(message, Ask):
                return self._spoken(message, message_hash, state)
            return self._sent(message, self._contributed(message, message_hash, state))
        except WardroundError as error:
            self.store.log(error.code, str(error))
            return self._refusal(message_hash, error.code)
        except Exception as error:  # noqa: BLE001  a site's error must not end the run, and its text must not leave
            self.store.log("internal", "".join(traceback.format_exception(error)))
            return self._refusal(message_hash, "internal")

    def _contributed(self, order: Order, order_hash: str, state: SiteState) -> bytes:
        """The reply to an order, recorded before it is sent: a repeated order must get these bytes, whatever happens next."""
        require_allowed(order, state, self.plan, self.name)
        if self.participant is not None and order.header.step in self.plan.summed:
            ready = self.participant.check(order, state)
            words = self.participant.earlier_words(order, state)
            words, state = self._paid_work(order, state) if words is None else (words, state)
            return self.participant.reply(ready, order, order_hash, state, words)
        if order.header.masked is not None:
            raise RefusedError("The order is for a masked sum, which this study or step does not have", code="masked")
        words, state = self._paid_work(order, state)
        reply = to_bytes(ContributionMessage(self._header(order, order_hash), words))
        self.store.write(replace(state, order=order_hash), LastAnswer(reply, {}))
        return reply

    def _paid_work(self, order: Order, state: SiteState) -> tuple[Tree, SiteState]:
        """The order's words, before any mask; a private step is charged first."""
        if self.charges is not None:
            if order.header.step == "train":
                self.work.require_same_records(state)  # before the charge: a file that cannot be read costs nothing
            self.charges.pay(order.header, state.round)
        return self.work.words(order, state)

    def _sent(self, message: Order | Ask, reply: bytes) -> bytes:
        """Before the stored answer to an order leaves: from here on its charge stays."""
        if self.charges is not None and isinstance(message, Order):
            self.charges.leaves(message.header, self.store.last_answer)
        return reply

    def _spoken(self, ask: Ask, ask_hash: str, state: SiteState) -> bytes:
        require_study(ask.header.study, self.study_hash)
        if self.participant is None:
            raise RefusedError("This study has no masked sums", code="masked")
        return self.participant.speak(ask, ask_hash, state)

    def _header(self, order: Order, order_hash: str) -> ContributionHeader:
        header = order.header
        return ContributionHeader(study=self.study_hash, step=header.step, round=header.round, site=self.name, order=order_hash)

    def _refusal(self, order_hash: str, code: str) -> bytes:
        return to_bytes(Refusal(RefusalHeader(study=self.study_hash, site=self.name, order=order_hash, code=code)))


def _read(data: bytes) -> Order | Ask:
    message = from_bytes(data)
    if not isinstance(message, Order | Ask):
        raise WireError("A site takes orders and asks only", expected="an order", found=message.header.kind)
    return message


def _party(name: SiteId, study: Study, identity: Identity | None) -> Party:
    if identity is None or study.sites.keys.get(name) != identity.public:
        raise StudyError(
            f"The study does not list this site's identity key, so {name} could not prove who it is",
            expected=f"sites.keys.{name} = {identity.public if identity else 'the key of this site'}",
            found=study.sites.keys.get(name, "no key"),
            hint="put the key into the study and have every hospital approve it anew",
        )
    return Party(name, bytes.fromhex(study.hash), study.quorum, study.sites.keys, identity)
