"""One study's way at the hub, in a thread of its own: offered until all have approved, run, waited for, finished.

    state.json --phase--> offer | run | wait --steps of study_state.NEXT--> state.json

Whatever happens in it is this study's alone. Killed at any instant it goes on from state.json and the run's checkpoint: what was
asked is asked again, in the same bytes.
"""

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from wardround.hub.daemon.halting import Halted, halting, wait_for
from wardround.hub.daemon.home import HubHome
from wardround.hub.daemon.losses import PATIENCE, lost_words, mend_of_losses
from wardround.hub.daemon.members import Roster, left_out
from wardround.hub.daemon.offering import Heads, Offering, checked_again, no_heads
from wardround.hub.daemon.post import Post
from wardround.hub.daemon.studies import StudyFolder
from wardround.hub.daemon.study_run import Engines, Finish, StudyRun
from wardround.hub.daemon.study_state import AT_WORK, Phase, StudyState, now_ms
from wardround.plan.networks import IN_THIS_PROCESS, Networks
from wardround.plan.plan import Plan
from wardround.study.declaration import Study
from wardround.values.errors import EngineError, WardroundError
from wardround.values.ids import SiteId
from wardround.wire.offers import SiteStatus

HERE_S = 60.0


@dataclass(frozen=True)
class Pace:
    """How often the hub asks, in seconds. offer_s: between offers at first; longest_offer_s: later. answer_s: how long an offer
    waits for answers. retry_s: before a run that lacked hospitals is tried again; doubled each time up to longest_retry_s. tries:
    how often in a row a run that hospitals refuse is tried before a person has to look."""

    offer_s: float = 3.0
    longest_offer_s: float = 300.0
    answer_s: float = 20.0
    retry_s: float = 5.0
    longest_retry_s: float = 1800.0
    tries: int = 12


def _networks_here(folder: StudyFolder) -> Networks:  # noqa: ARG001
    return IN_THIS_PROCESS


@dataclass(frozen=True)
class Means:
    """What a hub works with. post: carries sealed messages. engines: carries a study's orders, by its hash and sites. finishing:
    what is written at the end. networks: who answers about a study's network. heads: where the sites' logs stood. last_seen: when
    each site was heard of on any matter, in seconds since 1970. changed: is called when there is something new to show."""

    home: HubHome
    roster: Roster
    post: Post
    engines: Engines
    finishing: Finish
    networks: Callable[[StudyFolder], Networks] = _networks_here
    heads: Heads = no_heads
    last_seen: Callable[[], Mapping[SiteId, float]] = dict
    pace: Pace = field(default_factory=Pace)
    changed: Callable[[], None] = lambda: None


class StudyRunner:
    """Carries one study on as far as it goes by itself. state: as it stands, for whoever looks."""

    def __init__(self, folder: StudyFolder, means: Means, ending: threading.Event) -> None:
        self.folder, self._means, self._ending = folder, means, ending
        self._log = means.home.log
        self.state = self._written = folder.state
        self._prepared = False

    def run(self) -> None:
        """Returns when the study needs a person, is over, or the process ends. Raises nothing: a fault is the study's state."""
        try:
            self._go_on()
        except Halted:
            pass
        except WardroundError as error:
            self._fail(str(error), error.hint)
        except Exception as error:  # noqa: BLE001  (the other studies go on; the log has the whole of it)
            self._log_fault()
            self._fail(f"This is a fault of Wardround ({type(error).__name__}).", _OUR_FAULT)

    def _go_on(self) -> None:
        self._obey()
        study: Study | None = None
        while self.state.phase in AT_WORK and not self._ending.is_set():
            study = study or self.folder.study()
            match self.state.phase:
                case "offered":
                    self._offer(study)
                case "running":
                    self._run(study)
                case "waiting":
                    self._wait(study)
            self._obey()

    def _obey(self) -> None:
        """Does what a person wished last, once."""
        wish = self.folder.wish
        if wish is None or wish.number <= self.state.wish:
            return
        phase = self.state.phase
        if wish.wish == "stop" and phase in ("offered", "running", "waiting", "declined", "failed"):
            self._to("stopped", reason="A person stopped it.", mend=f"wardround hub resume {self._short}", wish=wish.number)
        elif wish.wish == "resume" and phase in ("stopped", "declined", "failed"):
            self._to("waiting" if self.state.begun else "offered", tries=0, without_missing=False, wish=wish.number)
        elif wish.wish == "resume" and phase == "waiting":
            self._log.append("without-missing", "A person lets it go on with the hospitals that are there.", study=self._hash)
            self._to("running", tries=0, begun=True, without_missing=True, wish=wish.number)
        else:
            self._keep(self.state.revised(wish=wish.number))

    def _halted(self) -> bool:
        """Whether a person wants something else, or the process ends."""
        wish = self.folder.wish
        return self._ending.is_set() or (wish is not None and wish.number > self.state.wish)

    def _offer(self, study: Study) -> None:
        began = now_ms()
        statuses = self._ask(study)
        if statuses is None:
            return
        refusing = [str(site) for site, status in statuses.items() if status.state == "refused"]
        if refusing:
            names = ", ".join(refusing)
            mend = f"agree with {names}, then: wardround hub resume {self._short}; or submit a study without it"
            self._to("declined", reason=f"Refused by {names}.", mend=mend, awaits=tuple(refusing))
        elif not self.state.missing_approvals:
            self._to("running", begun=True)
        elif gone := self._gone(study, self.state.missing_approvals):
            self._to("waiting", awaits=self.state.missing_approvals, **gone)
        else:
            self._prepare(study)
            self._pause(began, self.state.missing_approvals)

    def _prepare(self, study: Study) -> None:
        """Works out once what the first order needs, while people still read: where it takes another process, it is on disk then.
        An error comes again when the study runs, and is told there."""
        if not self._prepared:
            self._prepared = True
            if study.analysis is not None:
                return
            with suppress(WardroundError):
                _ = Plan(study, self._means.networks(self.folder)).network

    def _gone(self, study: Study, missing: tuple[str, ...]) -> dict[str, str]:
        """Reason and mend where nobody is missing but hospitals that the roster has no more; empty where others are."""
        reasons = left_out(study, self._means.roster)
        if not missing or not reasons.keys() >= set(missing):
            return {}
        mend = f"to go on without: wardround hub resume {self._short}; or submit a study with the hospitals that are there"
        return {"reason": "; ".join(f"{name} {reasons[name]}" for name in missing) + ".", "mend": mend}

    def _ask(self, study: Study) -> dict[str, SiteStatus] | None:
        """Offers the study once and notes what is heard: site -> its status. None where a person or the end came between."""
        means = self._means
        offering = Offering(self.folder, study, means.roster, means.post, self._log, means.heads, self.state.begun)
        try:
            statuses = halting(lambda: offering.offer(means.pace.answer_s), self._halted)
        except Halted:
            return None
        self._keep(checked_again(offering.after(self.state, statuses), study, now_ms()))
        return {str(site): status for site, status in statuses.items()}

    def _run(self, study: Study) -> None:
        """From the checkpoint to the finished study, or to what stops it."""
        if self._begins_unapproved(study):
            return
        means, networks = self._means, self._means.networks(self.folder)
        run = StudyRun(self.folder, study, means.engines, self._log, self._keep, lambda: self.state, self._halted, networks)
        try:
            model = run.to_its_end(means.finishing)
        except Halted:
            return
        except EngineError as error:
            self._without_enough(error, run)
            return
        made = "The record of the evaluation and its report" if study.evaluates_only else "The model and its report"
        made = made if study.analysis is None else "The tables of the analysis and their page"
        self._to("finished", reason=f"{made} are in the run folder.", model=model)

    def _begins_unapproved(self, study: Study) -> bool:
        """Whether the first order would leave without every approval: one expired just now, or the file of the state was edited.
        Those that lack are waited for then."""
        self._keep(checked_again(self.state, study, now_ms()))
        missing = self.state.missing_approvals
        if not missing or self.state.without_missing or (self.folder.run / "plan.json").exists():
            return False
        self._to("waiting", reason=f"No approval in force of {', '.join(missing)}.", awaits=missing)
        return True

    def _without_enough(self, error: EngineError, run: StudyRun) -> None:
        """Waits for the hospitals that were lost. What no hospital can mend, or none mends after many tries, is for a person."""
        lost, pace = run.lost, self._means.pace
        tries = self.state.tries + 1
        impatient = any(word not in PATIENCE for word in lost.values())
        gone = self.state.without_missing and left_out(run.study, self._means.roster).keys() >= lost.keys()
        if not lost or gone or (impatient and tries > pace.tries):
            told = EngineError(error.what, expected=error.expected, found=error.found)
            self._fail(str(told), run.mended(error.hint) or mend_of_losses(lost, self._short))
            return
        seconds = min(pace.retry_s * 2 ** (tries - 1), pace.longest_retry_s)
        reason = f"{error.what}: {lost_words(lost)}."
        mend = mend_of_losses(lost, self._short)
        awaits, retry_at = tuple(sorted(lost)), now_ms() + int(seconds * 1000)
        self._to("waiting", reason=reason, mend=mend, awaits=awaits, retry_at=retry_at, tries=tries)

    def _wait(self, study: Study) -> None:
        """Until those that are awaited say that they are there and have approved, and it was not tried just now."""
        began = now_ms()
        left_s = (self.state.retry_at - now_ms()) / 1000
        wait_for(min(max(0.0, left_s), self._means.pace.longest_retry_s), self._halted)  # the clock may have been set back
        if self._halted():
            return
        statuses = self._ask(study)
        if statuses is None:
            return
        missing = tuple(site for site in self.state.awaits if site not in statuses or self.state.sites[site].state != "approved")
        gone = self._gone(study, missing)
        if not missing or (gone and self.state.without_missing):
            self._to("running")
        else:
            self._keep(self.state.revised(**gone))
            self._pause(began, missing)

    def _pause(self, began: int, awaited: tuple[str, ...]) -> None:
        """Until the next offer, which comes seldom after a while; at once where one that is awaited has come back."""
        pace, waited = self._means.pace, (began - self.state.since) / 1000
        here = self._here(awaited)
        seconds = min(max(pace.offer_s, waited / 20), pace.longest_offer_s)
        wait_for(seconds, lambda: self._halted() or bool(self._here(awaited) - here))

    def _here(self, sites: tuple[str, ...]) -> frozenset[str]:
        """Which of these were heard of in the last minute."""
        recently = time.time() - HERE_S
        return frozenset(site for site, at in self._means.last_seen().items() if site in sites and at > recently)

    def _to(self, phase: Phase, *, reason: str = "", mend: str = "", **more: object) -> None:
        before = self.state.phase
        self._keep(self.state.to(phase, reason=reason[:4000], mend=mend[:4000], **more))  # type: ignore[arg-type]
        facts = {"study": self._hash, "before": before, "phase": phase}
        self._log.append("phase", f"The study is {phase}. {reason}".strip(), **facts)

    def _fail(self, reason: str, mend: str) -> None:
        """Ends in `failed`, as far as the disk lets it."""
        try:
            if self.state.phase in AT_WORK:
                self._to("failed", reason=reason, mend=mend)
        except (WardroundError, OSError):
            self.state = self.state.revised(reason=reason[:4000], mend=mend[:4000])  # shown, if not kept; it is tried again

    def _log_fault(self) -> None:
        """The whole of an error that nobody expected."""
        with suppress(WardroundError, OSError):
            self._log.append("fault", traceback.format_exc(), study=self._hash)

    def _keep(self, state: StudyState, *, written: bool = True) -> None:
        if written and state != self._written:
            self.folder.keep(state)
            self._written = state
        self.state = state
        self._means.changed()

    @property
    def _hash(self) -> str:
        return self.folder.hash

    @property
    def _short(self) -> str:
        return self.folder.hash[:12]


_OUR_FAULT = "the hub's log has the whole of it (wardround hub log); tell it to Wardround's makers, then: wardround hub resume"
