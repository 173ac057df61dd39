"""How a site pays for what leaves it, between the orders of a private study and the ledger of its patients.

open    room for the whole study is kept, or the study is refused before it begins (once: opening again changes nothing)
train   charged before anything is computed; marked as released before the stored bytes leave; of an analysis: evaluate
close   the room that was not used is given back

A charge stays where the work fails after it: the refusal leaves, and whether there is one may depend on the records or on noise
that was drawn. The same step tried again is the same charge.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from wardround.plan.pricing import with_noise
from wardround.plan.private_plan import PrivatePlan, charged_step
from wardround.privacy.ledger.ledger import Ledger
from wardround.privacy.ledger.state import Charge, Status
from wardround.privacy.ledger.state import content_of as charged_content
from wardround.site.store import LastAnswer
from wardround.summation.masked.layout import content_of, sum_name
from wardround.values.errors import RefusedError, StudyError
from wardround.values.tree import raw_bytes
from wardround.wire.messages import Order


class PrivacyCharges:
    """The charges of one study at one site."""

    def __init__(self, plan: PrivatePlan, ledger: Ledger | None) -> None:
        if ledger is None:
            raise StudyError("A private study needs the ledger of this site's patients", hint="start the site with its ledger")
        self._plan, self._ledger = plan, ledger

    @property
    def charged_step(self) -> str:
        """The step whose orders are paid for: what leaves after them depends on patients."""
        return charged_step(self._plan.study)

    def pay(self, order: Order, answered: int) -> None:
        """Before the work of an order. RefusedError ("budget") where the budget does not reach. answered: the last round, or sum,
        that this site has answered, 0 for none."""
        study, step = order.header.study, order.header.step
        if step == "open":
            self._require_stated_epsilon()
            self._ledger.plan(study, self._plan.event, self._plan.events, self._plan.study.question.title)
        if step == self.charged_step:
            self._require_same_ledger(study, answered)
            self._charge(order)

    def _require_same_ledger(self, study: str, answered: int) -> None:
        """A ledger that was lost together with its receipt, or overwritten by an older pair, agrees with itself. The site's own
        state tells it from the right one."""
        charged = answered == 0 or any(
            one == study and release.startswith(f"{self.charged_step}/{answered}/") for one, release in self._ledger.charges()
        )
        if not charged or study not in self._ledger.history():
            raise RefusedError(
                "The ledger does not know what this site has opened or answered: it is another one, or was lost or restored",
                hint="bring back the ledger that the study was opened with; read docs/ledger.md",
                code="ledger-restored",
            )

    def _charge(self, order: Order) -> None:
        events = self._plan.events_of(order.header.label)
        status = self._ledger.charge(order.header.study, self._release(order), self._plan.event, events)
        if status is Status.RELEASED:
            raise RefusedError(
                "This step has left already and its bytes are not here: the site's state is older than its ledger",
                hint="bring back the site's folder as it was; working the step out again would be a second release",
                code="released-before",
            )

    def _release(self, order: Order) -> str:
        """The name of this order's charge in the ledger: the one that stands there already, if an earlier build began the step.

        That step is then neither paid twice nor, when its stored bytes leave again, found without a charge."""
        earlier = self._ledger.charges().get((order.header.study, earlier_release_name(order)))
        return release_name(order) if earlier is None or earlier.status is Status.CANCELLED else earlier_release_name(order)

    def _require_stated_epsilon(self) -> None:
        """The study's noise keeps to the epsilon that it states: nobody else is trusted to have worked that out."""
        if self._plan.study.privacy.epsilon is not None:
            with_noise(self._plan.study)

    def leaves(self, order: Order, answer: Callable[[], LastAnswer]) -> dict[str, Any]:
        """To be called when the answer is stored, before it is sent; calling it again changes nothing.

        What was charged for it and by which entry of the ledger, for this hospital's own log; nothing where nothing was."""
        study, step = order.header.study, order.header.step
        if step == self.charged_step:
            release = self._release(order)
            self._ledger.released(study, release, _digest(answer()))
            return _facts(release, self._ledger.charges()[study, release])
        if step == "close":
            self._ledger.close(study)
        return {}


def release_name(order: Order) -> str:
    """What a charge is for: the step, and what it asked, as a whole hash. The same step with another model is another release;
    of a part of the hash a coordinator could make two models with one name, and pay once for both."""
    return f"{sum_name(order.header)}{content_of(order)}"


def earlier_release_name(order: Order) -> str:
    """How builds before 2026-11-28 named the same charge in a ledger: with 64 bits of the hash."""
    return f"{sum_name(order.header)}{content_of(order)[:16]}"


def _facts(release: str, charge: Charge) -> dict[str, Any]:
    """Entry and hash are as the ledger has them; the hash is no guessable one, since every ledger begins with random bytes."""
    entry = {"ledger_entry": charge.entry, "ledger_chain": charge.chain}
    return {"release": release, "charged": charged_content(charge.event, charge.count), **entry}


def _digest(answer: LastAnswer) -> str:
    """Of what was released: the words before any mask, which every attempt masks anew."""
    if not answer.words:
        return hashlib.sha256(answer.reply).hexdigest()
    digest = hashlib.sha256()
    for name in sorted(answer.words):
        digest.update(name.encode())
        digest.update(raw_bytes(answer.words[name]))
    return digest.hexdigest()
