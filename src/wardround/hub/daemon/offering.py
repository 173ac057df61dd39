"""What the hub says and hears of a study beside its orders: the offer, and where each hospital stands with it.

    Offer --sealed--> site      SiteStatus <-- site: its word, and for "approved" the proof, signed by its key

A hospital's word counts for itself only. That it approved is believed where the study's own key of that hospital signed it, about
this study, in time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardround.hub.daemon.members import Roster, key_cards, left_out
from wardround.hub.daemon.post import Post
from wardround.hub.daemon.studies import StudyFolder
from wardround.hub.daemon.study_state import SiteStanding, StudyState, now_ms
from wardround.study.declaration import Study
from wardround.study.writing import to_toml
from wardround.values.chained_log import ChainedLog
from wardround.values.errors import WireError
from wardround.values.ids import SiteId
from wardround.wire.offers import HeardHead, Offer, SignedApproval, SiteStatus

PROVED = frozenset({"approved", "hours"})
"""States that need a proof."""
Heads = Callable[[], tuple[HeardHead, ...]]


def no_heads() -> tuple[HeardHead, ...]:
    return ()


def approval_fault(approval: SignedApproval | None, site: str, study: Study, at_ms: int) -> str:
    """Why a hospital's approval proves nothing, as a clause; empty where it does."""
    if approval is None:
        return "it says so without a proof"
    statement = approval.statement
    if statement.site != site:
        return f"its proof is of {statement.site}"
    if statement.study != study.hash:
        return f"its proof is of another study, {statement.study[:12]}"
    if not approval.is_signed_by(study.sites.keys.get(site, "")):
        return "its proof was not signed by the key that stands in the study"
    if statement.decision != "approved":
        return f"what it signed says {statement.decision}"
    return "" if at_ms < statement.until else "its approval has expired"


def standing_of(status: SiteStatus, site: str, study: Study, at_ms: int) -> SiteStanding:
    """What is known of a hospital after its word. Its own last refusal of an order is forgotten."""
    standing = SiteStanding(state=status.state, at=at_ms, release=status.release, approval=status.approval)
    if status.state not in PROVED:
        return standing
    fault = approval_fault(status.approval, site, study, at_ms)
    return standing.revised(state="unproved", fault=fault) if fault else standing


def checked_again(state: StudyState, study: Study, at_ms: int) -> StudyState:
    """The state with every kept approval looked at anew: one that expired, or that the file lies about, counts no more."""
    for site, standing in state.sites.items():
        if standing.state in PROVED and (fault := approval_fault(standing.approval, site, study, at_ms)):
            state = state.with_site(site, state="unproved", fault=fault)
    return state


@dataclass(frozen=True)
class Offering:
    """Offers one study. heads: where the logs of the sites stood, as the hub heard. begun: whether orders of it have left."""

    folder: StudyFolder
    study: Study
    roster: Roster
    post: Post
    log: ChainedLog
    heads: Heads = no_heads
    begun: bool = False

    def offer(self, deadline_s: float) -> dict[SiteId, SiteStatus]:
        """Offers the study to those of its hospitals that are enrolled, and what each that answered in time says. An answer that
        is no status is a line in the log. StudyError where too few of them are enrolled."""
        cards = key_cards(self.folder.path, self.study, self.roster, begun=self.begun)
        names = {card.name for card in cards}
        heads = tuple(head for head in self.heads() if head.site in names)
        lead = self.folder.submission.lead
        offer = Offer(study=to_toml(self.study), sites=cards, lead=lead, heads=heads).to_bytes()
        outbox = {SiteId(name): offer for name in names - self.left_out().keys()}
        answers = self.post.ask("offer", self.study.hash, outbox, deadline_s)
        return self._read(answers)

    def left_out(self) -> dict[str, str]:
        """Hospitals of the study that nothing is said to any more, and why."""
        return left_out(self.study, self.roster)

    def _read(self, answers: Mapping[SiteId, bytes]) -> dict[SiteId, SiteStatus]:
        statuses = {}
        for site, data in sorted(answers.items()):
            try:
                statuses[site] = SiteStatus.from_bytes(data)
            except WireError as error:
                self.log.append("wrong-status", f"{site}: {error}", study=self.study.hash, site=str(site))
        return statuses

    def after(self, state: StudyState, statuses: Mapping[SiteId, SiteStatus]) -> StudyState:
        """The state after these answers; each change is a line in the log."""
        at = now_ms()
        for site, status in statuses.items():
            before = state.sites.get(str(site), SiteStanding())
            standing = standing_of(status, str(site), self.study, at)
            state = state.with_site(str(site), **dict(standing))
            if (before.state, before.fault, before.approval) != (standing.state, standing.fault, standing.approval):
                self._log_change(str(site), standing)
        for name, reason in self.left_out().items():
            state = state.with_site(name, state="unproved", fault=f"it {reason}")
        return state

    def _log_change(self, site: str, standing: SiteStanding) -> None:
        facts = {"study": self.study.hash, "site": site, "state": standing.state}
        if standing.approval is not None:
            statement = standing.approval.statement
            facts |= {"by": statement.by, "subject": statement.subject, "signature": standing.approval.signature}
        fault = f", but {standing.fault}" if standing.fault else ""
        state = "approved" if standing.state == "unproved" else standing.state
        self.log.append("status", f"{site} says: {state}{fault}.", **facts)
