"""A study's run at the hub: the coordinator over an engine, and what it tells, as the state that is shown and kept.

StudyFolder --RunFolder.begin--> Coordinator --notices--> StudyState --finishing--> model, record, report --close--> sites
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from typing import Protocol

from wardround.analysis.result import Result
from wardround.hub.analysis_coordinator import AnalysisCoordinator
from wardround.hub.checkpoint import RoundHistory
from wardround.hub.coordinator import Coordinator
from wardround.hub.daemon.halting import HaltingEngine
from wardround.hub.daemon.spending import Spending
from wardround.hub.daemon.studies import StudyFolder
from wardround.hub.daemon.study_state import ExchangeNow, RoundLine, StudyState, now_ms
from wardround.hub.engine import Engine
from wardround.hub.notices import (
    ExchangeStarted,
    Notice,
    RoundDiscarded,
    RoundFinished,
    SiteAnswered,
    SiteBlamed,
    SiteLost,
)
from wardround.hub.run_folder import RunFolder
from wardround.hub.summing import READ_LOGS
from wardround.plan.evaluated_model import EVALUATED, GivenModel
from wardround.plan.networks import IN_THIS_PROCESS, Networks
from wardround.study.declaration import Study
from wardround.study.run_settings import RunSettings
from wardround.values.canonical import finite_or_none
from wardround.values.chained_log import ChainedLog
from wardround.values.ids import SiteId

Engines = Callable[[str, tuple[SiteId, ...]], Engine]
"""Study's hash, its sites -> what carries its orders."""
WRITTEN_EVERY_S = 1.0


class Finish(Protocol):
    """What a study needs at its two ends."""

    def stage(self, study: Study, settings: RunSettings, folder: RunFolder) -> None:
        """What lies beside the run before its first order."""
        ...

    def write_result(self, folder: StudyFolder, coordinator: AnalysisCoordinator, result: Result) -> str:
        """The tables of an analysis that has come to its end; the hash of its model, empty where it is none."""
        ...

    def made_ready(self, folder: StudyFolder) -> AbstractContextManager[None]:
        """What `write` takes long to load may be loaded inside, while hospitals still train; leaving it lets go of that."""
        ...

    def write(self, folder: StudyFolder) -> str:
        """Model, record and report of a run that has come to its end; the hash of the model, empty where none was made."""
        ...


class Keep(Protocol):
    """Takes the study's state as it is now."""

    def __call__(self, state: StudyState, *, written: bool = True) -> None: ...


@dataclass
class StudyRun:
    """One attempt to carry a study to its end. keep: makes a state durable and shows it; with `written` False it only shows it.
    state: as it stands. halted: see HaltingEngine. networks: who answers about the study's network. lost: the hospitals that the
    last exchange lost, and their words."""

    folder: StudyFolder
    study: Study
    engines: Engines
    log: ChainedLog
    keep: Keep
    state: Callable[[], StudyState]
    halted: Callable[[], bool]
    networks: Networks = IN_THIS_PROCESS
    lost: dict[str, str] = field(default_factory=dict)
    _spending: Spending = field(init=False)
    _written: float = 0.0
    _make_ready: Callable[[], None] = field(default=lambda: None, init=False)

    def to_its_end(self, finishing: Finish) -> str:
        """The hash of the model; empty where none was made. EngineError where too few sites contribute; Halted where it was told
        to stop."""
        settings = self.folder.settings()
        engine = HaltingEngine(self.engines(self.study.hash, tuple(sorted(map(SiteId, self.study.sites.names)))), self.halted)
        with closing(RunFolder(self.folder.run)) as run_folder, ExitStack() as ready:
            self._make_ready = lambda: ready.enter_context(finishing.made_ready(self.folder))
            synthetic = self.folder.submission.synthetic
            if run_folder.plan is None:
                run_folder.begin(self.study, settings, synthetic=synthetic)
            if self.study.analysis is not None:
                return self._analysed(engine, run_folder, settings.run.deadline_s, finishing)
            finishing.stage(self.study, settings, run_folder)
            networks: Networks = self.networks
            if self.study.evaluates_only:
                networks = GivenModel(run_folder.path / EVALUATED, networks)
            coordinator = Coordinator(
                self.study,
                engine,
                run_folder.path,
                listener=self._hear,
                every_site_must_open=not self.state().without_missing,
                deadline_s=settings.run.deadline_s,
                networks=networks,
                spare_memory=True,
            )
            self._spending = Spending(coordinator.plan)
            self._catch_up(coordinator)
            coordinator.run()
            coordinator.personalise()
            model = finishing.write(self.folder)
            coordinator.close()
        if self.study.evaluates_only:
            self.log.append("evaluated", "The figures of the model were written.", study=self.study.hash)
        else:
            self.log.append("model", "The model was written.", study=self.study.hash, sha256=model)
        return model

    def _analysed(self, engine: Engine, run_folder: RunFolder, deadline_s: float, finishing: Finish) -> str:
        """From the first sum of an analysis to its tables; the hash of a fitted regression, empty where there is no model."""
        coordinator = AnalysisCoordinator(self.study, engine, run_folder.path, listener=self._hear, deadline_s=deadline_s)
        result = coordinator.run()
        model = finishing.write_result(self.folder, coordinator, result)
        coordinator.close()
        self.log.append("analysed", "The tables were written.", study=self.study.hash, sums=coordinator.exchanges)
        if model:
            self.log.append("model", "The model was written.", study=self.study.hash, sha256=model)
        return model

    def mended(self, hint: str) -> str:
        """A hint of the coordinator as it is true here: a run is resumed by the hub's own command."""
        if hint == READ_LOGS:
            return ""
        return hint.replace("run again with --resume", f"let it go on: wardround hub resume {self.folder.hash[:12]}")

    def _catch_up(self, coordinator: Coordinator) -> None:
        """The rounds of the checkpoint: of a process that was killed the state may lack the last."""
        task = coordinator.plan.task
        lines = tuple(_line_of(entry, coordinator) for entry in coordinator.progress.history)
        whole = self._spending.whole()
        delta = self.study.privacy.delta if self.study.privacy.private else None
        name = task.words.in_text[task.headline]
        self.keep(self.state().revised(rounds=lines, score_name=name, epsilon=whole, delta=delta))

    def _hear(self, notice: Notice) -> None:
        state, study = self.state(), self.study.hash
        match notice:
            case ExchangeStarted():
                self.lost = {}
                state = state.revised(exchange=ExchangeNow.of(notice))
                if notice.step == "train" and notice.number == notice.rounds:
                    self._make_ready()
            case SiteAnswered(site) if state.exchange is not None:
                answered = tuple(sorted({*state.exchange.answered, str(site)}))
                state = state.revised(exchange=state.exchange.revised(answered=answered))
                state = state.with_site(str(site), at=now_ms(), word="")
            case SiteLost(site, word):
                self.lost[str(site)] = word
                state = state.with_site(str(site), word=word)
                self.log.append("lost", f"{site} did not count ({word}).", study=study, site=str(site), word=word)
            case SiteBlamed(site, word):
                self.log.append("blamed", f"{site} was caught at {word}; the sum holds.", study=study, site=str(site), word=word)
            case RoundFinished():
                epsilon = self._spending.after(notice.number, last=notice.number == notice.rounds)
                line = RoundLine.of(notice).revised(epsilon=epsilon, discarded=_discarded(state, notice.number))
                state = state.with_round(line, notice.score.name)
                lost = {str(site): word for site, word in notice.lost.items()}
                self.log.append("round", f"Round {notice.number} is done.", study=study, round=notice.number, lost=lost)
            case RoundDiscarded():
                state = state.with_discarded(notice)
                self.log.append("discarded", f"Round {notice.number}: {notice.why}.", study=study, round=notice.number)
        self._take(state, at_once=not isinstance(notice, SiteAnswered | ExchangeStarted))

    def _take(self, state: StudyState, *, at_once: bool) -> None:
        """The answers of a hundred hospitals in one second are written once."""
        now = time.monotonic()
        written = at_once or now > self._written + WRITTEN_EVERY_S
        self._written = now if written else self._written
        self.keep(state, written=written)


def _discarded(state: StudyState, number: int) -> str:
    """The reason that was told just before the round's end, if it was."""
    return next((line.discarded for line in state.rounds if line.number == number), "")


def _line_of(entry: RoundHistory, coordinator: Coordinator) -> RoundLine:
    plan = coordinator.plan
    score = plan.task.score(plan.read_scores(entry.validation))
    lost = {str(site): word for site, word in entry.lost.items()}
    loss = None if entry.loss is None else finite_or_none(entry.loss)
    return RoundLine(
        number=entry.round,
        seconds=float(entry.seconds),
        loss=loss,
        score=finite_or_none(float(score)),
        lost=lost,
        discarded=entry.discarded,
    )
