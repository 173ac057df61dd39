"""The coordinator of an analysis: it carries the sums that the analysis asks for, one after another, and reads totals alone.

    open -> ask -> masked sum -> total, in the checkpoint -> the next ask, ... -> result -> close

The totals are all that a run must remember: they are kept as the words that were opened, and a resumed run gives them to the
analysis again.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from wardround.analysis.carrying import carried, most_asks, total_of
from wardround.analysis.protocol import Ask, Total
from wardround.analysis.result import Result
from wardround.hub.checkpoint import Progress, resumed, save
from wardround.hub.engine import Engine
from wardround.hub.notices import Listener, silent
from wardround.hub.orders import Orders, Question, require_sites, too_few
from wardround.hub.run_folder import RunPlan
from wardround.plan.permission import ORDER
from wardround.plan.plan import Plan
from wardround.plan.pricing import price_of_plan
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy.bounded_arrays import ArrayWords
from wardround.privacy.noised_arrays import NoisedArrayWords
from wardround.study.declaration import Study
from wardround.study.sections.execution import DEADLINE_S
from wardround.summation.plain import SumFailed
from wardround.values.canonical import finite_or_none
from wardround.values.tree import Tree
from wardround.values.version import __version__

NOT_WITHOUT = (
    "an analysis sums over the same hospitals from its first sum to its last: bring the missing ones back, and run again with "
    "--resume"
)
OVER = "this sum can never be opened: agree on the study anew, and run it in a new folder"


class AnalysisCoordinator:
    """Runs one study over one engine, keeping its checkpoint in `folder`. deadline_s: seconds that a site has to answer."""

    def __init__(
        self, study: Study, engine: Engine, folder: Path, *, listener: Listener = silent, deadline_s: float = DEADLINE_S
    ) -> None:
        self.study, self.engine, self.folder, self.plan = study, engine, folder, Plan(study)
        assert self.plan.analysis is not None
        self.analysis = self.plan.analysis
        _ = self.plan.private  # refuses a private study whose noise nobody worked out, before anything runs
        self.progress = resumed(folder, study.hash)
        self._orders = Orders(self.plan, engine, listener, deadline_s)
        self._summing = self._orders.summing(folder, self._keep_keys, self.progress.keys)

    def run(self) -> Result:
        """From wherever the checkpoint stands to the result. EngineError where a hospital is lost; a resumed run goes on."""
        if not self.progress.opened:
            self._open()
        return carried(self.analysis, self._total)

    def close(self) -> None:
        """Tells the sites that the run is over."""
        if not self.progress.closed:
            self._orders.tell(self.progress, Question("close", self._last))
            self._summing.close()
            self._save(replace(self.progress, closed=True))

    @property
    def exchanges(self) -> int:
        """How many sums were opened so far."""
        return len(self.progress.state)

    def facts(self, plan: RunPlan, declared: Study) -> dict[str, Any]:
        """What results.json says of the run. declared: the study as it was written; a simulation adds names and keys to it."""
        return {
            "format": 1,
            "run": plan.run_id,
            "created": plan.created,
            "study": declared.hash,
            "hospitals": [str(site) for site in self.progress.sites],
            "summation": declared.summation.mode,
            "exchanges": self.exchanges,
            "synthetic": plan.synthetic,
            "version": __version__,
            **({} if self.plan.private is None else {"privacy": privacy_facts(self.plan.private)}),
        }

    @property
    def _last(self) -> int:
        return most_asks(self.analysis)

    def _open(self) -> None:
        asked = self.engine.sites()
        require_sites(self.study.sites, asked)
        question = Question("open", 0)
        self.progress = replace(self.progress, sites=asked, opened=self._orders.content(question))
        opened, lost = self._orders.tell(self.progress, question)
        if lost:
            raise too_few(opened, lost, len(asked), NOT_WITHOUT)
        self._save(self.progress)

    def _total(self, ask: Ask) -> Total:
        """The total of an ask: the one in the checkpoint, or a new sum."""
        name, sites = f"{ask.number:05d}-{ask.label}", self.progress.sites
        words = self.plan.analysis_words(ask.label, len(sites))
        if name not in self.progress.state:
            self._save(replace(self.progress, state={**self.progress.state, name: self._summed(ask, words)}))
        return total_of(words.decode(self.progress.state[name]), words, tuple(map(str, sites)))

    def _summed(self, ask: Ask, words: ArrayWords | NoisedArrayWords) -> Tree:
        """The words of a sum over every hospital of the run."""
        question = Question("evaluate", ask.number, {ORDER: ask.order}, ask.label)
        everybody = len(self.progress.sites)
        opened, _ = self._orders.sum(self._summing, self.progress, question, words, everybody)
        if isinstance(opened, SumFailed):
            over = self._summing.closed_for_ever(opened)
            raise too_few(opened.counted, opened.lost, everybody, OVER if over else NOT_WITHOUT)
        return opened.total

    def _keep_keys(self, keys: object) -> None:  # noqa: ARG002  (they are read off the summing, with everything else)
        self._save(self.progress)

    def _save(self, progress: Progress) -> None:
        self.progress = replace(progress, keys=self._summing.keys)
        save(self.progress, self.folder)


def privacy_facts(plan: PrivatePlan) -> dict[str, Any]:
    """What a private analysis promises, as results.json holds it: epsilon None where it has no bound. Each hospital's own ledger
    says what it has spent."""
    price, study = price_of_plan(plan), plan.study
    return {
        "unit": study.privacy.unit,
        "mode": study.privacy.mode,
        "epsilon": finite_or_none(price.epsilon),
        "delta": price.delta,
        "noise_multiplier": price.noise_multiplier,
        "events": price.events,
        "collusion": study.summation.collusion,
    }
