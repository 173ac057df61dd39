"""What a hospital answers to the hub: to an offer where it stands with the study, to an order what its approval lets it.

    offer --kept, looked at--> status            order --approved now? hours?--> Site.handle --still approved?--> reply

The hospital's people decide with commands of their own, in other processes; the desk looks at their records each time. Their
policy may decide beforehand of studies that evaluate only (`pre_approval`). Every exchange stands in the log, with hashes and
sizes and without a value.
"""

import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from wardround.privacy.ledger.file import witness_of
from wardround.site.config import SiteConfig
from wardround.site.daemon.approvals import Decision, Decisions
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.examination import ledger_path
from wardround.site.daemon.home import SiteHome
from wardround.site.daemon.offers import FILE as OFFER
from wardround.site.daemon.offers import OfferedStudy, Offers
from wardround.site.daemon.policy import Policy, load_policy
from wardround.site.daemon.pre_approval import PolicyDesk
from wardround.site.own_record import register_own_record, write_own_record
from wardround.site.refusals import word_of
from wardround.site.site import Site
from wardround.site.work import SiteWork
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import ChainedLog
from wardround.values.errors import RefusedError, RunError, WardroundError
from wardround.values.home import default_home
from wardround.values.version import __version__
from wardround.wire.envelope import HEADER_LIMIT, to_bytes
from wardround.wire.messages import Refusal, RefusalHeader
from wardround.wire.offers import OFFER_LIMIT, HeardHead, Offer, SignedApproval, SiteStatus, State
from wardround.wire.sealed import KeyCard, SealedHeader, Topic

Clock = Callable[[], datetime]
WORK = "work"
CLOSED = "closed"
"""A study that the hub has closed has a file of this name."""
GO_ON = "go-on"
"""A person who has looked why the hospital stopped leaves a file of this name."""


def state_of(home: SiteHome, decisions: Decisions, study: str, policy: Policy, now_ms: int) -> State:
    """Where a study stands at this hospital, as the hub may hear it."""
    return "finished" if (home.study(study) / CLOSED).exists() else decisions.state(study, policy, now_ms)


@dataclass
class SiteDesk:
    """Answers proved messages of the hub, one at a time. own: this hospital's key card. clock: the local time."""

    home: SiteHome
    own: KeyCard
    clock: Clock = lambda: datetime.now().astimezone()
    log: ChainedLog = field(init=False)
    _sites: dict[str, tuple[Decision, Site]] = field(default_factory=dict, init=False)
    _stated: tuple[int, str] = field(default=(0, ""), init=False)
    _repeated: dict[tuple[str, str], int] = field(default_factory=dict, init=False)
    _worked_for: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.log = self.home.log
        self._offers = Offers(self.home, self.own)
        self._decisions = Decisions(self.home.studies, self.own.name, self.home.identity)
        self._policy_desk = PolicyDesk(self.home, self._decisions, self.log)

    def close(self) -> None:
        """Lets go of every study at work."""
        with ExitStack() as closing:
            for _, site in self._sites.values():
                closing.callback(site.close)
        self._sites.clear()

    def limit(self, header: SealedHeader) -> int:
        """Bytes of a message that are taken: those of the largest order of an approved study, and little of any other. Whoever
        has approved nothing fetches nothing large."""
        if header.topic != "order":
            return OFFER_LIMIT
        try:
            return self._site(header.study, self._approved(header.study)).largest_message
        except (WardroundError, OSError):  # `answer` finds the same, and says it
            return HEADER_LIMIT

    def answer(self, header: SealedHeader, body: bytes | bytearray) -> tuple[Topic, bytes] | None:
        """The topic and the body of what is said to a message; None where there is nothing to say to its topic."""
        self._worked_for = ""
        match header.topic:
            case "offer":
                return "status", self._status(header, body).to_bytes()
            case "order":
                return "reply", self._reply(header, bytes(body))
        self._log_seldom("wrong-topic", "The hub sent a message of a kind that a hospital does not take.", header.study)
        return None

    def may_leave(self, header: SealedHeader) -> bool:
        """Whether the last answer may still leave: numbers while their approval holds, words at any time. The line may be broken
        for hours, and a person may revoke meanwhile."""
        if self._worked_for != header.study:
            return True
        try:
            self._decisions.require_approved(header.study, load_policy(self.home.policy_file), self._now_ms())
        except (WardroundError, OSError):
            return False
        return True

    def _log_seldom(self, code: str, text: str, study: str, **facts: Any) -> None:
        """The first, second, fourth, eighth ... of a kind and study: no flood of messages fills the disk. Studies that were never
        taken count as one: a hub can name as many as it likes."""
        kind = (code, study if (self.home.study(study) / OFFER).exists() else "")
        number = self._repeated[kind] = self._repeated.get(kind, 0) + 1
        if number & (number - 1) == 0:
            self.log.append(code, text, study=study, times=number, **facts)

    def _status(self, header: SealedHeader, body: bytes | bytearray) -> SiteStatus:
        policy = load_policy(self.home.policy_file)
        release = __version__ if policy.tell_release else ""
        try:
            offered, new = self._offers.take(body, header.study)
            if new:
                self._log_offer(offered, header)
            self._require_own_head(offered.offer)
            self._pre_approve(offered, policy)
            return SiteStatus(state=self._state(header.study, policy), approval=self._proof(header.study), release=release)
        except WardroundError as error:
            self._log_seldom("offer-refused", str(error), header.study)
        except Exception as error:  # noqa: BLE001  whatever the hub sends, the hospital's process goes on
            self._log_seldom("fault", "".join(traceback.format_exception(error)), header.study)
        return SiteStatus(state="unfit", release=release)

    def _pre_approve(self, offered: OfferedStudy, policy: Policy) -> None:
        """What the policy approves beforehand. It takes as long as the data take to be read, once a study."""
        try:
            self._policy_desk.consider(offered.study, policy, self._now_ms(), at_work=policy.allows_now(self.clock()))
        except (WardroundError, OSError) as error:  # the study is left to a person; where it stands is said as ever
            self._log_seldom("not-pre-approved", f"Left to a person: {error}", offered.hash)

    def _log_offer(self, offered: OfferedStudy, header: SealedHeader) -> None:
        hub = {"hub_entries": header.log_entries, "hub_head": header.log_head}
        names = list(offered.study.sites.names)
        title = offered.study.question.title
        self.log.append("offer", f"The hub offers the study {title!r}.", study=offered.hash, hospitals=names, **hub)

    def _state(self, study: str, policy: Policy) -> State:
        state = state_of(self.home, self._decisions, study, policy, self._now_ms())
        return "hours" if state == "approved" and not policy.allows_now(self.clock()) else state

    def _proof(self, study: str) -> SignedApproval | None:
        decision = self._decisions.of(study)
        return None if decision is None else decision.signed

    def _require_own_head(self, offer: Offer) -> None:
        """RunError where the hub says that this hospital's log stood where it never did: somebody speaks in its name, or the
        log was replaced."""
        own = next((head for head in offer.heads if head.site == self.own.name), None)
        if own is not None and own.entries and self._hash_at(own) != own.sha256:
            raise RunError(
                f"The hub states a head of this hospital's log that it never had, at line {own.entries}",
                hint="look whether the log was restored (wardround site log --verify), and ask the hub's people",
            )

    def _hash_at(self, head: HeardHead) -> str:
        """Of one line: a hub can name any, each time another, and one file of the log is read then."""
        if self._stated[0] != head.entries:
            entry = next(self.log.entries(head.entries), None)
            if entry is None:
                return ""
            self._stated = (head.entries, sha256_hex(entry.line()))
        return self._stated[1]

    def _reply(self, header: SealedHeader, order: bytes) -> bytes:
        facts: dict[str, Any] = {
            "study": header.study,
            "order": sha256_hex(order),
            "bytes": len(order),
            "hub_entries": header.log_entries,
        }
        try:
            reply, sent = self._worked(header.study, order)
        except Exception as error:  # noqa: BLE001  what a study's work can raise stays here, and its text does not leave
            word = word_of(error)
            text = str(error) if isinstance(error, WardroundError) else "".join(traceback.format_exception(error))
            self._log_seldom("refused", text, word=word, hub_head=header.log_head, **facts)
            return to_bytes(Refusal(RefusalHeader(study=header.study, site=self.own.name, order=sha256_hex(order), code=word)))
        self._worked_for = header.study
        facts |= {"reply": sha256_hex(reply), "reply_bytes": len(reply), "hub_head": header.log_head, **sent}
        self.log.append("answer", "An order was answered.", **facts)
        return reply

    def _worked(self, study: str, order: bytes) -> tuple[bytes, Mapping[str, Any]]:
        """The answer, and what the log says of it besides: which sum, what was charged, under which approval it leaves."""
        decision = self._approved(study)
        site = self._site(study, decision)
        reply, sent = site.handle(order), site.sent
        approval = self._approved(study)  # revoked while it worked: what was made does not leave
        if site.is_closed:
            self._finish(study)
        return reply, {**sent, "approval": approval.hash}

    def _approved(self, study: str) -> Decision:
        policy = load_policy(self.home.policy_file)
        decision = self._decisions.require_approved(study, policy, self._now_ms())
        if not policy.allows_now(self.clock()):
            raise RefusedError(
                "This hospital's machine does not work at this hour",
                expected=f"from {policy.from_hour} to {policy.until_hour}",
                hint="the hub tries again later; or change from_hour and until_hour in policy.toml",
                code="hours",
            )
        return decision

    def _site(self, study: str, decision: Decision) -> Site:
        """The study at work, opened anew where its approval is another than before."""
        at_work = self._sites.get(study)
        if at_work is not None and at_work[0] != decision:
            at_work[1].close()
            del self._sites[study]
        if study not in self._sites:
            self._sites[study] = (decision, self._config(study, decision).open())
        site = self._sites[study][1]
        if (note := self.home.study(study) / GO_ON).exists():
            self.log.append("went-on", f"It had stopped ({site.store.go_on() or 'it had not'}), and answers again.", study=study)
            note.unlink()
        return site

    def _config(self, study: str, decision: Decision) -> SiteConfig:
        offered, facts = self._offers.get(study), decision.facts
        data_set = DataSets(self.home.data_file).get(facts.data_set)
        if data_set.ledger != facts.ledger and offered.study.privacy.private:
            raise RefusedError("The data set has another ledger than when the study was approved", code="not-approved")
        ledger = ledger_path(self.home.ledgers, facts.ledger) if facts.ledger else None
        return SiteConfig(
            self.own.name,
            offered.study,
            Path(data_set.data),
            self.home.study(study) / WORK,
            threads=load_policy(self.home.policy_file).cores,
            ledger=ledger,
            ledger_witness=None if ledger is None else witness_of(ledger),
            counter=default_home() / "counters" / f"{study[:16]}-{self.own.name}",
            run=study[:12],
            mapping=None if data_set.mapping is None else Path(data_set.mapping),
            mapping_sha256=facts.mapping,
            task=None if data_set.task is None or not offered.study.keeps_heads else Path(data_set.task),
            task_sha256=facts.task,
            records=facts.fingerprint,
            identity=self.home.path / "keys" / "identity.key",
            synthetic=data_set.synthetic,
            excluded=default_home() / "excluded.json",
            questions=default_home() / "questions",
        )

    def _finish(self, study: str) -> None:
        """The study is over here: its memory is given back, and what it is worth to this hospital is put together."""
        (self.home.study(study) / CLOSED).touch(mode=0o600)
        _, site = self._sites.pop(study)
        try:
            self._keep_record(study, site)
        except Exception as error:  # noqa: BLE001  the records may have caused it, and a refusal would tell
            self.log.append("record", f"No record was kept: {''.join(traceback.format_exception(error))}", study=study)
        site.close()
        self.log.append("finished", "The hub has closed the study.", study=study)

    def _keep_record(self, study: str, site: Site) -> None:
        """The record of this hospital alone, and the model that it keeps in its registry."""
        if not isinstance(site.work, SiteWork):
            return  # no model was made, and the tables are of all hospitals
        home = site.work.home
        record = write_own_record(site.name, home.study, site.store, synthetic=site.work.synthetic, agreed_hash=home.agreed_hash)
        if record is None:
            return
        register_own_record(record, site.store.folder)
        if record.model is not None:
            self.log.append("kept", "The model that this hospital keeps was registered.", study=study, model=record.model.sha256)

    def _now_ms(self) -> int:
        return int(self.clock().timestamp() * 1000)
