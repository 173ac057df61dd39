"""The coordinator's side of a masked sum over an engine: keys, attempts, exchanges, and what is on disk before each of them.

    roster, once an epoch  ->  order, attempt 1  ->  (signatures)  ->  shares  ->  total
                                       \\--failed--> attempt 2, 3 with the next turn, or the run stops

An order follows from the checkpoint alone, so a coordinator that was killed sends the same bytes and gets the stored answers.
Between exchanges the machine's state is on disk as well: who was counted must not change once a site was asked to sign it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wardround.hub.checkpoint import KeyProgress
from wardround.hub.exchange import Traffic, Trip, exchange, reply_limit
from wardround.hub.notices import Listener, SiteBlamed
from wardround.hub.summing import READ_LOGS
from wardround.summation.approved import Approved
from wardround.summation.masked import attempt as masked_attempt
from wardround.summation.masked.attempt import OTHER_SEED, Attempt, Collecting, Opening, Received, Signing, State
from wardround.summation.masked.coordinator import asks, step
from wardround.summation.masked.keys import Roster, genuine, holds_a_secret
from wardround.summation.masked.layout import contribution_layout, is_opening, set_hash, sum_name
from wardround.summation.masked.store import sum_from_tensors, sum_to_tensors
from wardround.summation.plain import NO_ANSWER, Layout, SumFailed, SumOpened
from wardround.values.canonical import sha256_hex
from wardround.values.ids import SiteId
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.wire.envelope import to_bytes
from wardround.wire.messages import Answer, Ask, AskHeader, Masked, Message, Order, Statement

ATTEMPTS = 3
NEW_KEYS = frozenset({"keys", "roster", "turn", "peer-forgot"})
"""Refusals that a new epoch mends."""
CHANGES_TO_KEEP = 2
"""One for a site that is lost, one for when it comes back."""
FILE = "sum.safetensors"
STOPPED = "stopped"
OVER = frozenset({"memory", "already-open", "old-round", "asked-before", "old-sum"})
"""A site that says so can never be in this sum: it has lost the memory of what it said, or all of it but that it spoke."""
NOT_ASKED = "not-asked"
NEW_STUDY = "agree on a new study without it"


@dataclass
class MaskedSumming:
    """Carries masked sums. keep: makes a KeyProgress durable."""

    approved: Approved
    folder: Path
    trip: Trip
    keep: Callable[[KeyProgress], None]
    listener: Listener
    keys: KeyProgress = field(default_factory=KeyProgress)

    def sum(self, order: Order, layout: Layout, least: int = 0) -> tuple[SumOpened | SumFailed, Traffic]:
        """The sum that `order` asks of its cohort. After ATTEMPTS that fail it is SumFailed, with the last one's reasons.

        The first sum takes as many sites as are witnesses of each other's beginning."""
        traffic = Traffic()
        lost: dict[SiteId, str] = {}
        begins = not self.keys.last_set or is_opening(sum_name(order.header))
        least = max(least, self.approved.quorum.witnesses) if begins else least
        for _ in range(ATTEMPTS):
            state, words = self._one_attempt(order, layout, least, traffic)
            lost = _reasons(lost, words)
            if isinstance(state, masked_attempt.Opened):
                roster = self._roster_after(state.lost)
                begun = not state.silent and Roster(self.keys.epoch, self.keys.roster).nobody_spoke
                certify = self.keys.certify and not begun
                self.keys = self.keys.after_total(state.attempt.turn, lost, roster, certify=certify)
                for site, what in state.blamed.items():
                    self.listener(SiteBlamed(site, what))
                return SumOpened(state.total, state.counted, lost), traffic
            if state is None:
                break
            roster = self._roster_after(state.lost)
            certify = self.keys.certify or "no-certificate" in state.lost.values()
            turn, attempt = state.attempt.turn, state.attempt.attempt_number + 1
            self._save(replace(self.keys, turn=turn, attempt=attempt, roster=roster, certify=certify))
        counted = tuple(SiteId(site) for site in order.header.cohort if site not in lost)
        return SumFailed(counted, lost, max(least, self.approved.quorum.threshold)), traffic

    def closed_for_ever(self, failed: SumFailed) -> bool:
        """Whether a sum that failed can never be opened: a site that lost its memory may have been in it before, or
        sites spoke for a set, and one of that set refuses to help."""
        refuses = any(failed.lost.get(SiteId(site), NO_ANSWER) != NO_ANSWER for site in self.keys.counted)
        return refuses or bool(OVER & set(failed.lost.values()))

    def leaves_out(self, sites: Sequence[str]) -> bool:
        """Whether some of these are not asked any more, since the set may not change for them."""
        return len(self._within_changes(tuple(sites))) < len(sites)

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The set that sites may have spoken for: the sum opens for no other."""
        return self.keys.counted

    @property
    def bound(self) -> bool:
        return bool(self.keys.answered)

    def mend(self, failed: SumFailed) -> str:
        """What cures a sum that failed."""
        if self.keys.counted:
            missing = ", ".join([site for site in self.keys.counted if site in failed.lost] or failed.lost)
            return (
                f"this sum opens for {', '.join(self.keys.counted)} together or not at all: read why in the log of {missing}, "
                f"bring it back, and run again with --resume; {self._without_them}"
            )
        if OTHER_SEED in failed.lost.values():
            pair = ", ".join(sorted(site for site, word in failed.lost.items() if word == OTHER_SEED))
            return f"one of {pair} lies about their common mask: find out which, and run again with --resume, or {NEW_STUDY}"
        if self.keys.last_set and self._changes_left <= 1:
            missing = ", ".join([site for site in self.keys.last_set if site in failed.lost] or failed.lost)
            if self._lacks_witnesses and not self._changes_left:
                return "a site without memory takes more sites than the last set has, and it may not change: agree on a new study"
            return (
                f"the set of hospitals has changed about as often as summation.max_set_changes allows: bring back {missing} and "
                "run again with --resume, or agree on a new study with more changes or other hospitals"
            )
        return READ_LOGS

    @property
    def _without_them(self) -> str:
        return (
            f"if one is gone for good, {NEW_STUDY}"
            if self.bound
            else "a resumed run that misses it still goes on without this sum"
        )

    def give_up(self) -> None:
        """The sum at hand is over without a total; the next one has another name. Who answered in an opening answers in the next
        for the same set only."""
        self.close()
        self.keys = replace(self.keys, attempt=1, counted=self.keys.answered)

    @property
    def _changes_left(self) -> int:
        return self.approved.set_changes - self.keys.set_changes

    def _within_changes(self, cohort: tuple[str, ...]) -> tuple[str, ...]:
        """Whom to ask, so that the set changes as seldom as the study allows. Whoever comes back changes it, and one change is
        kept for whoever is lost next."""
        left = self._changes_left
        if left > 1 or not self.keys.last_set or (left == 1 and self._lacks_witnesses):
            return cohort
        return tuple(site for site in cohort if site in self.keys.last_set)

    @property
    def _lacks_witnesses(self) -> bool:
        """Whether a site that lost its memory could not speak for the last set again: that takes more sites (spec, 3.6)."""
        return self.keys.certify and len(self.keys.last_set) < self.approved.quorum.witnesses

    def _standing(self, cohort: Sequence[SiteId]) -> dict[SiteId, int]:
        """Of sites at odds one is left out. It is the other one's turn each time, as long as changes of the set are to spare:
        those that are left are kept for sites that are lost."""
        to_spare = self._changes_left > CHANGES_TO_KEEP
        return {site: self.keys.disputes.get(site, 0) if to_spare else int(site in self.keys.last_set) for site in cohort}

    def _may_ask_for(self, counted: tuple[SiteId, ...], least: int) -> bool:
        """Whether the sites may be asked to speak for a set. If not, they have not spoken, and the sum can be tried again."""
        if self.keys.counted not in ((), counted) or len(counted) < least:
            return False
        return self._changes_left > 0 or not self.keys.last_set or self.keys.last_set == counted

    def _may_open(self, state: Signing | Opening, least: int) -> bool:
        """Whether to go on with those counted. An opening does not leave out one of two at odds: it would be out for the whole
        study, and may be the honest one."""
        disputed = OTHER_SEED in state.lost.values() and is_opening(state.attempt.sum)
        return not disputed and self._may_ask_for(state.counted, least)

    def _one_attempt(
        self, order: Order, layout: Layout, least: int, traffic: Traffic
    ) -> tuple[masked_attempt.Opened | masked_attempt.Failed | None, dict[SiteId, str]]:
        """How the next attempt ended, and who was lost; None where too few have keys for its sum to open."""
        state: State | None = self._resumed(sum_name(order.header))
        missing: dict[SiteId, str] = {}
        if state is None:
            # Sites that spoke for a set in an earlier attempt speak for that one only: so nobody else is asked.
            candidates = self.keys.counted or self._within_changes(order.header.cohort)
            missing = self._agree_where_needed(candidates, order.header.stage, traffic)
            cohort = tuple(SiteId(site) for site in candidates if site not in missing)
            if len(cohort) < max(least, self.approved.quorum.threshold):
                # Nothing could be opened; and whoever is asked in vain again and again stops until a person has looked.
                return None, missing
            state = self._ordered(order, cohort, layout, traffic)
        ended = self._to_the_end(state, least, traffic)
        absent = {SiteId(site): NOT_ASKED for site in order.header.cohort if site not in ended.attempt.cohort}
        return ended, {**absent, **missing, **ended.lost}

    def _roster_after(self, lost: Mapping[SiteId, str]) -> tuple[Statement, ...]:
        """No keys where a site has lost its own, so that the next attempt or sum begins an epoch with it."""
        return () if NEW_KEYS & set(lost.values()) else self.keys.roster

    def close(self) -> None:
        """The masked totals of the last sum are of no more use."""
        (self.folder / FILE).unlink(missing_ok=True)

    def _save(self, progress: KeyProgress) -> None:
        self.keys = progress
        self.keep(progress)

    def _agree_where_needed(self, cohort: Sequence[str], stage: int, traffic: Traffic) -> dict[SiteId, str]:
        """Who of the cohort has no key in this epoch, and why. A new epoch is tried first where somebody has none. stage: of the
        sum at hand; no site has been in a later one."""
        with_keys = {statement.site for statement in self.keys.roster}
        if set(cohort) <= with_keys:
            return {}
        epoch = self.keys.epoch + 1
        ask = to_bytes(Ask(AskHeader(study=self.approved.hash, what="keys", epoch=epoch)))
        received = self._exchange({SiteId(site): ask for site in cohort}, traffic, {})
        statements = {site: self._statement(site, epoch, stage, message) for site, message in received.messages.items()}
        good = {site: statement for site, statement in statements.items() if statement is not None}
        entries = tuple(good[site] for site in sorted(good))
        # Who never contributed, though the study is on its way, may have forgotten that it did.
        forgetful = self.keys.turn > 0 and any(statement.turn == 0 for statement in good.values())
        counters = {**self.keys.counters, **{one.site: one.counter for one in entries}}
        keys = replace(self.keys, epoch=epoch, roster=entries, certify=self.keys.certify or forgetful, counters=counters)
        self._save(keys)
        return {
            SiteId(site): received.refused.get(SiteId(site), "wrong-signature" if site in received.messages else NO_ANSWER)
            for site in cohort
            if site not in good
        }

    def _statement(self, site: SiteId, epoch: int, stage: int, message: Message) -> Statement | None:
        """A site's key, if it signed it. One that claims turns that never were would only push the others' keys ahead; with a
        degenerate key, or where it states less than it did before, the others would refuse the whole roster."""
        if not isinstance(message, Answer):
            return None
        header = message.header
        latest = self.keys.turn + (1 if epoch > 1 else 0)  # one order may be out that this process has not recorded
        if header.turn > latest or header.stage > stage or (header.counter and not self.keys.last_set):
            return None
        if message.arrays or not header.key or not holds_a_secret(header.key):
            return None
        before = self.keys.turns.get(site, 0), self.keys.counters.get(site, 0)
        if header.turn and (header.turn < before[0] or header.counter < before[1]):
            return None
        statement = header.statement(site)
        return statement if genuine(bytes.fromhex(self.approved.hash), epoch, statement, self.approved.keys) else None

    def _ordered(self, order: Order, cohort: tuple[SiteId, ...], layout: Layout, traffic: Traffic) -> State:
        """Exchange 1: the order to the cohort, and what came back."""
        roster = Roster(self.keys.epoch, self.keys.roster)
        masked = Masked(
            attempt=self.keys.attempt,
            turn=max(self.keys.turn, roster.position) + 1,
            epoch=roster.epoch,
            roster=roster.statements,
            set_changes=self.keys.set_changes,
            last_set=set_hash(bytes.fromhex(self.approved.hash), self.keys.last_set),
        )
        header = order.header.revised(cohort=cohort, masked=masked)
        data = to_bytes(Order(header, order.arrays))
        attempt = Attempt(
            study=self.approved.hash,
            quorum=self.approved.quorum,
            keys=self.approved.keys,
            sum=sum_name(header),
            attempt_number=masked.attempt,
            turn=masked.turn,
            order=sha256_hex(data),
            cohort=cohort,
            layout=dict(layout),
            certify=self.keys.certify,
            standing=self._standing(cohort),
        )
        outbox = dict.fromkeys(cohort, data)
        del data  # as large as the model
        received = self._exchange(outbox, traffic, contribution_layout(dict(layout), len(cohort)), heard=True)
        return step(Collecting(attempt), received)

    def _to_the_end(self, state: State, least: int, traffic: Traffic) -> masked_attempt.Opened | masked_attempt.Failed:
        if isinstance(state, Signing | Opening) and not self._may_open(state, least):
            # Sites may have spoken for another set in an earlier attempt. One that did not, and spoke for this one now, would be
            # lost to it, and the sum closed for ever.
            lost = {**state.lost, **dict.fromkeys(state.at_odds, OTHER_SEED)}
            state = masked_attempt.Failed(state.attempt, "Collecting", lost, len(state.counted))
        while isinstance(state, Signing | Opening):
            # Whoever was counted must stay counted: the sites speak for one set only, also after this process died.
            write_tensors(self.folder / FILE, *sum_to_tensors(state))
            self.keys = self.keys.asked_for(state.counted, state.attempt.turn)
            if isinstance(state, Opening) and is_opening(state.attempt.sum):
                self.keys = replace(self.keys, answered=state.counted)
            outbox = {site: to_bytes(ask) for site, ask in asks(state).items()}
            state = step(state, self._exchange(outbox, traffic, contribution_layout({}, len(state.attempt.cohort))))
        if not isinstance(state, masked_attempt.Opened | masked_attempt.Failed):
            raise TypeError(type(state).__name__)
        return state

    def _resumed(self, name: str) -> Signing | Opening | None:
        """The attempt that an earlier process was in the middle of. Its order was what this process would send again."""
        path = self.folder / FILE
        if not path.exists():
            return None
        state = sum_from_tensors(*read_tensors(path))
        at_hand = (self.approved.hash, name, self.keys.attempt)
        return state if (state.attempt.study, state.attempt.sum, state.attempt.attempt_number) == at_hand else None

    def _exchange(self, outbox: dict[SiteId, bytes], traffic: Traffic, layout: Layout, *, heard: bool = False) -> Received:
        return exchange(self.trip, outbox, reply_limit(layout), traffic, heard=heard)


def _reasons(before: Mapping[SiteId, str], words: Mapping[SiteId, str]) -> dict[SiteId, str]:
    """Why each site is lost. A site says once why it stops, and one that an earlier attempt went on without is not asked again:
    of both the earlier word tells. before: of the attempts until now. words: of the last."""
    silent = {STOPPED: STOPPED, NOT_ASKED: NO_ANSWER}
    return {site: before.get(site, silent[word]) if word in silent else word for site, word in words.items()}
