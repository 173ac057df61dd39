"""A site: it answers orders with contributions, or says no. Only it touches its records.

    bytes --read--> message --checks--> allowed --charges--> paid --work--> words --mask--> reply --recorded--> bytes
                       \\--answered before--> the stored bytes            \\--ask of a masked sum--> signature or shares

Nothing that leaves a site on failure carries data: a refusal is a word of a closed list (`refusals`). The reason, in full, goes
to the site's own log.
"""

import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from wardround.crypto.identity import Identity
from wardround.plan.evaluated_model import require_evaluated
from wardround.plan.permission import Permission, PlannedOrder
from wardround.plan.plan import Plan
from wardround.plan.usable_arrays import require_usable
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.analysis_work import AnalysisWork
from wardround.site.masked_participant import MaskedParticipant
from wardround.site.order_checks import latest_sum, require_allowed, require_study
from wardround.site.privacy_charges import PrivacyCharges
from wardround.site.question_register import QuestionRegister
from wardround.site.refusals import ENDING, NOT_COUNTED, REFUSALS_IN_A_ROW, word_of
from wardround.site.store import LastAnswer, SiteState, SiteStore
from wardround.site.work import SiteWork
from wardround.study.declaration import Study
from wardround.study.own_task import OwnTask, require_own_task
from wardround.summation.masked.layout import content_of, largest_ask, sum_name
from wardround.summation.masked.memory import Party
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError, StudyError, WardroundError, WireError
from wardround.values.ids import SiteId
from wardround.values.records import Records
from wardround.values.rows import Rows
from wardround.values.tree import Tree
from wardround.wire.envelope import FRONT_BYTES, HEADER_LIMIT, Envelope, largest_header, open_envelope, to_bytes
from wardround.wire.messages import (
    Ask,
    AskHeader,
    ContributionHeader,
    ContributionMessage,
    Order,
    OrderHeader,
    Refusal,
    RefusalHeader,
)
from wardround.wire.payload import PayloadLimits

TOLD_NOT_COUNTED = 2
DISPUTED = "disputed"


class Site:
    """One hospital's side of one study. `handle` never raises for anything an order can do."""

    def __init__(
        self,
        name: SiteId,
        study: Study,
        load: Callable[[], Records] | Callable[[], Rows],
        folder: Path,
        *,
        identity: Identity | None = None,
        device: str = "auto",
        threads: int = 0,
        ledger: Ledger | None = None,
        outside: Path | None = None,
        counter: Path | None = None,
        synthetic: bool = False,
        questions: Path | None = None,
        refusals_in_a_row: int = REFUSALS_IN_A_ROW,
        task: OwnTask | None = None,
    ) -> None:
        """load: its records or, for an analysis, its rows. identity: this hospital's signing key; a masked study needs it, and
        must list its public half. ledger: of the patients whose records these are; a private study needs it. outside: a file with
        the digests of an external test set's records, to be compared with those that are trained on. counter: see SiteStore.
        synthetic: see SiteWork. questions: folder of the register of what was answered for analyses. refusals_in_a_row: after so
        many it stops. task: this hospital's own, where the study leaves the question to it."""
        self.name = name
        self.study_hash = study.hash
        party = _party(name, study, identity) if study.summation.mode == "masked" else None
        self.store = SiteStore(folder, counter)
        self.participant = MaskedParticipant(party, self.store) if party is not None else None
        self.plan = Plan(study)
        home = Plan(require_own_task(study, task, name), agreed_hash=study.hash) if study.keeps_heads or task else None
        self.permission = Permission(self.plan)
        self.work: SiteWork | AnalysisWork
        register = None if questions is None else QuestionRegister(questions)
        if self.plan.analysis is not None:
            self.work = AnalysisWork(
                name, self.plan, cast(Callable[[], Rows], load), self.store, synthetic=synthetic, questions=register
            )
        else:
            records = cast(Callable[[], Records], load)
            self.work = SiteWork(
                name,
                self.plan,
                records,
                self.store,
                device=device,
                threads=threads,
                outside=outside,
                synthetic=synthetic,
                home=home,
            )
        self.charges = PrivacyCharges(self.plan.private, ledger) if self.plan.private is not None else None
        sites = len(study.sites.names)
        self._header_limit = largest_header(sites) if sites else HEADER_LIMIT
        self._payload_limit = max(self.permission.largest_payload, largest_ask(sites))
        self._owner = (str(name), identity.public if identity is not None else "")
        self._refusals_in_a_row = refusals_in_a_row
        self._one_at_a_time = threading.Lock()
        self.sent: Mapping[str, Any] = {}
        """Of the message that was handled last, where it was an order that got numbers: which sum they are for, and what the
        ledger was charged. For this hospital's own log."""

    def close(self) -> None:
        self.store.close()

    @property
    def largest_message(self) -> int:
        """Bytes that the largest message of the study has; longer ones are refused unread."""
        return FRONT_BYTES + self._header_limit + self._payload_limit

    @property
    def is_closed(self) -> bool:
        """Whether the study is over here."""
        return self.store.read().closed

    def handle(self, data: bytes) -> bytes:
        """The answer to one message: a contribution or a refusal. Messages that come together are answered one after another:
        two at a time would each find that nothing was said yet."""
        with self._one_at_a_time:
            self.sent = {}
            try:
                envelope = open_envelope(data, header_limit=self._header_limit, payload_limit=self._payload_limit)
                require_study(envelope.header.study, self.study_hash)
            except WardroundError as error:
                self.store.log_seldom(error.code, str(error))
                return self._refusal(sha256_hex(data), word_of(error))
            return self._answer(envelope, sha256_hex(data))

    def _answer(self, envelope: Envelope, message_hash: str) -> bytes:
        """The answer to a message of this study, whose arrays are not read yet."""
        try:
            state = self._own_state()
            match envelope.header:
                case OrderHeader() as header:
                    reply = self._order_answered(self.permission.order(header, state.opened_with), envelope, message_hash, state)
                case AskHeader():
                    reply = self._spoken(envelope, message_hash, state)
                case header:
                    raise WireError("A site takes orders and asks only", expected="an order", found=header.kind)
        except WardroundError as error:
            return self._refused(error, str(error), message_hash)
        except Exception as error:  # noqa: BLE001  a site's error must not end the run, and its text must not leave
            return self._refused(error, "".join(traceback.format_exception(error)), message_hash)
        return reply

    def _own_state(self) -> SiteState:
        state = self.store.read()
        self.store.require_going(state)
        if state.site and (state.site, state.key) != self._owner:
            raise RefusedError(
                f"The state in {self.store.folder} is that of another site or key",
                expected=" ".join(self._owner).strip(),
                found=f"{state.site} {state.key}".strip(),
                hint="give every site a folder of its own, and keep identity.key and state.safetensors together",
                code="memory",
            )
        return replace(state, site=self._owner[0], key=self._owner[1])

    def _order_answered(self, planned: PlannedOrder, envelope: Envelope, message_hash: str, state: SiteState) -> bytes:
        """The stored answer to an order that was answered before, else a new one."""
        order = _planned(envelope, planned)
        if state.order == message_hash:
            return self._sent(order, self.store.last_answer().reply)
        return self._sent(order, self._contributed(order, planned, message_hash, state))

    def _contributed(self, order: Order, planned: PlannedOrder, order_hash: str, state: SiteState) -> bytes:
        """The reply to an order, recorded before it is sent: a repeated order must get these bytes, whatever happens next."""
        require_usable(order.arrays)
        require_allowed(order, planned, state, self.plan, self.name)
        if isinstance(self.work, SiteWork):
            require_evaluated(self.plan.study, order, self.work.opened if order.header.step == "evaluate" else {})
        reply = self._worked_out(order, planned, order_hash, state)
        self.store.forget_refusals()  # new work begins the count anew; a repeated message does not
        return reply

    def _worked_out(self, order: Order, planned: PlannedOrder, order_hash: str, state: SiteState) -> bytes:
        if self.participant is not None and planned.summed:
            ready = self.participant.check(order, state)
            words = self.participant.earlier_words(order, state)
            words, state = self._paid_work(order, planned, state) if words is None else (words, state)
            return self.participant.reply(ready, order, order_hash, state, words)
        if order.header.masked is not None:
            raise RefusedError("The order is for a masked sum, which this study or step does not have", code="masked")
        words, state = self._paid_work(order, planned, state)
        reply = to_bytes(ContributionMessage(self._header(order, order_hash), words))
        self.store.write(replace(state, order=order_hash), LastAnswer(reply, {}))
        return reply

    def _paid_work(self, order: Order, planned: PlannedOrder, state: SiteState) -> tuple[Tree, SiteState]:
        """The order's words, before any mask; a private step is charged first."""
        state = self._told_who_counted(order, state)
        answered = latest_sum(state) if self.plan.analysis is not None else state.round
        state = replace(state, asked={**state.asked, planned.name: content_of(order)}, weight=state.weight or order.header.weight)
        if self.charges is not None:
            if order.header.step == self.charges.charged_step:
                self.work.require_same_records(state)  # before the charge: a file that cannot be read costs nothing
            self.charges.pay(order, answered)
        return self.work.words(order, state)

    def _told_who_counted(self, order: Order, state: SiteState) -> SiteState:
        """The state after hearing whether the last answer counted. An answer that does not count, and a sum that does without it,
        differ by this site: after the second time a person should ask why."""
        header = order.header
        disputed = header.disputed.get(self.name, 0)
        settled = state.settled(header.counted.get(self.name, 0), header.unused, disputed)
        if state.pending is not None and settled.pending is None and disputed == state.round:
            self.store.log(DISPUTED, f"Round {disputed} went on without this site: it and another disagree about their mask.")
        elif state.pending is not None and state.round in header.unused:
            self.store.log("unused", f"Round {state.round}, which this site had answered, was not used, as the coordinator says.")
        if settled.uncounted > state.uncounted:
            self.store.log(NOT_COUNTED, f"The answer to round {state.round} was not counted ({settled.uncounted} in this study).")
        if settled.uncounted >= TOLD_NOT_COUNTED:
            raise RefusedError(
                f"This site was told {settled.uncounted} times that its answer did not count",
                hint="ask the coordinator why; answers that come late are the usual reason",
                code=NOT_COUNTED,
            )
        return settled

    def _sent(self, order: Order, reply: bytes) -> bytes:
        """Before the stored answer to an order leaves: from here on its charge stays."""
        charged = {} if self.charges is None else self.charges.leaves(order, self.store.last_answer)
        self.sent = {"sum": sum_name(order.header), **charged}
        return reply

    def _spoken(self, envelope: Envelope, ask_hash: str, state: SiteState) -> bytes:
        if self.participant is None:
            raise RefusedError("This study has no masked sums", code="masked")
        if state.closed:
            raise RefusedError("The study is closed at this site", code="closed")
        ask = envelope.message(PayloadLimits(1, self._payload_limit))
        assert isinstance(ask, Ask)
        return self.participant.speak(ask, ask_hash, state)

    def _header(self, order: Order, order_hash: str) -> ContributionHeader:
        header = order.header
        return ContributionHeader(study=self.study_hash, step=header.step, round=header.round, site=self.name, order=order_hash)

    def _refused(self, error: Exception, text: str, message_hash: str) -> bytes:
        """The refusal that an error becomes. The reason goes to the log; after some errors, and too many refusals, the site
        stops."""
        word = word_of(error)
        if word == "stopped":
            self.store.log_seldom(word, text)
        else:
            self.store.log(word, text)
        if word in ENDING:
            self.store.stop(word)
        elif word != "stopped":
            self.store.count_one_more_refusal(self._refusals_in_a_row)
        return self._refusal(message_hash, word)

    def _refusal(self, order_hash: str, code: str) -> bytes:
        return to_bytes(Refusal(RefusalHeader(study=self.study_hash, site=self.name, order=order_hash, code=code)))


def _planned(envelope: Envelope, planned: PlannedOrder) -> Order:
    """The order, where it carries exactly the arrays of the plan: names, shapes, types."""
    try:
        order = envelope.exact_message(planned.kinds)
    except WireError as error:
        raise RefusedError(
            "The order's arrays are not the study's", expected=error.expected, found=error.found, code="model"
        ) from error
    assert isinstance(order, Order)
    return order


def _party(name: SiteId, study: Study, identity: Identity | None) -> Party:
    if identity is None or study.sites.keys.get(name) != identity.public:
        raise StudyError(
            f"The study does not list this site's identity key, so {name} could not prove who it is",
            expected=f"sites.keys.{name} = {identity.public if identity else 'the key of this site'}",
            found=study.sites.keys.get(name, "no key"),
            hint="put the key into the study and have every hospital approve it anew",
        )
    return Party(name, bytes.fromhex(study.hash), study.quorum, study.sites.keys, identity, study.set_changes)
