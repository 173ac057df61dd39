"""The coordinator: it orders, sums and updates. It never sees a record, and uses contributions only through their sum.

order -> wire -> exchange -> replies -> summation -> reveal -> acceptance -> update -> checkpoint
"""

import time
from dataclasses import replace
from pathlib import Path

from wardround.hub.acceptance import CLOSED_FOR_EVER, DIVERGED, IMPOSSIBLE, Verdict, judge, possible_counts, validation_of
from wardround.hub.checkpoint import Progress, RoundHistory, on_disk, resumed, save
from wardround.hub.engine import Engine
from wardround.hub.exchange import Traffic
from wardround.hub.notices import Listener, RoundDiscarded, RoundFinished, Score, silent
from wardround.hub.orders import Orders, Question, nothing, require_sites, too_few
from wardround.plan.evaluated_model import require_first_model
from wardround.plan.networks import IN_THIS_PROCESS, Networks
from wardround.plan.permission import require_listed_hospitals
from wardround.plan.plan import FEDERATED, LAST, Plan
from wardround.plan.usable_arrays import is_usable
from wardround.privacy.mechanism import AnyFrame, reveal
from wardround.study.declaration import Study
from wardround.study.sections.execution import DEADLINE_S
from wardround.summation.plain import SumFailed, SumOpened
from wardround.tasks.sums import Sums
from wardround.values.errors import EngineError, WireError
from wardround.values.ids import SiteId
from wardround.values.mapped_tensors import MappedFiles
from wardround.values.tree import Bundle, Tree
from wardround.wire.envelope import pack_bundle

NO_FIGURES = (
    "read why in the log of each site that is missing, bring it back, and run again with --resume; a resumed run that misses it "
    "still ends without these figures"
)


class Coordinator:
    """Runs one study over one engine, keeping its checkpoint in `folder`. deadline_s: seconds that a site has to answer.
    networks: who answers about the study's network. spare_memory: whether the model stays in the checkpoint's file while nobody
    looks at it: for a process that waits for hospitals. Its arrays cannot be changed then."""

    def __init__(
        self,
        study: Study,
        engine: Engine,
        folder: Path,
        *,
        listener: Listener = silent,
        every_site_must_open: bool = False,
        deadline_s: float = DEADLINE_S,
        networks: Networks = IN_THIS_PROCESS,
        spare_memory: bool = False,
    ) -> None:
        self.study, self.engine, self.folder, self.listener = study, engine, folder, listener
        self.every_site_must_open = every_site_must_open
        self.plan = Plan(study, networks)
        _ = self.plan.private  # refuses a private study whose noise nobody worked out, before anything runs
        self.progress = resumed(folder, study.hash)
        self._files = MappedFiles() if spare_memory and MappedFiles.can_let_go() else None
        self._let_go = nothing if self._files is None else self._files.let_go
        if self._files is not None and self.progress.state:
            self.progress = on_disk(self.progress, folder, self._files)  # a resumed one, which was proved when it was read
        self._orders = Orders(self.plan, engine, listener, deadline_s, self._let_go)
        self._summing = self._orders.summing(folder, self._keep_keys, self.progress.keys)

    @property
    def model(self) -> Tree:
        """The whole federated model as it stands."""
        return self.progress.model

    def run(self) -> Progress:
        """From wherever the checkpoint stands to the evaluated model. Raises EngineError where too few sites contribute."""
        if not self.progress.state:
            self._open()
        rounds = self.study.algorithm.rounds
        for number in range(self.progress.round + 1, rounds + 1):
            self._train(number)
        if self.study.evaluation.own_baseline:
            for number in range(self.progress.own_round + 1, rounds + 1):
                self._orders.tell(self.progress, Question("own", number))
                self._save(replace(self.progress, own_round=number))
        self._look_at_the_last()
        self.evaluate(FEDERATED, self.progress.state["model"])
        return self.progress

    def personalise(self) -> None:
        """Sends the federated model once more, for each hospital to make its personal models of; their answers are empty. No
        model of a hospital may be evaluated after that."""
        if self.study.personal.candidates and not self.progress.personal:
            model = self.progress.state["model"]
            self._orders.tell(self.progress, Question("personal", self.study.algorithm.rounds, {"model": model}))
            self._save(replace(self.progress, personal=True))

    def close(self) -> None:
        """Tells the sites that the run is over, and whose last contribution was counted."""
        if not self.progress.closed:
            self._orders.tell(self.progress, Question("close", self.study.algorithm.rounds))
            self._summing.close()
            self._save(replace(self.progress, closed=True))

    def evaluate(self, label: str, model: Tree) -> dict[str, Sums]:
        """Summed scores of `model` over all sites, by split; once per label. Of a private study, and where each site has its own
        question, none: each site keeps its own.

        None either where a site is missing: less its numbers, the sums of the opening would show them."""
        if label not in self.progress.evaluations:
            sums = self._evaluated(label, {"model": model})
            stored = {split: one.to_json() for split, one in sums.items()}
            self._save(replace(self.progress, evaluations={**self.progress.evaluations, label: stored}))
        return {split: self.plan.read_scores(value) for split, value in self.progress.evaluations[label].items()}

    def _evaluated(self, label: str, bundle: Bundle) -> dict[str, Sums]:
        question = Question("evaluate", self.study.algorithm.rounds, bundle, label)
        if "evaluate" not in self.plan.summed:
            self._orders.tell(self.progress, question)
            return {}
        everybody = len(self.progress.sites)
        frame = self.plan.evaluation_frame(everybody, shifted=self.plan.wants_shifted(label))
        opened, _ = self._orders.sum(self._summing, self.progress, question, frame, everybody)
        if isinstance(opened, SumFailed):
            self._without_figures(label, opened)
            return {}
        counts = reveal(opened.total, {}, frame).counts
        try:
            return {split: self.plan.scores(counts, split) for split in sorted({name.partition(".")[0] for name in counts})}
        except WireError:  # numbers that no scores of patients add up to
            return {}

    def _without_figures(self, label: str, failed: SumFailed) -> None:
        """Stops once, so that a hospital can come back; a run that is resumed without it ends without these figures."""
        hopeless = self._summing.closed_for_ever(failed) or self._summing.leaves_out(self.progress.sites)
        if label not in self.progress.missed and not hopeless:
            self._save(replace(self.progress, missed=(*self.progress.missed, label)))
            raise too_few(failed.counted, failed.lost, failed.minimum, NO_FIGURES)
        self._summing.give_up()

    @property
    def _fewest(self) -> int:
        """Sites without which no sum opens."""
        minimum = self.study.sites.minimum
        return max(minimum, self.study.quorum.threshold) if self.plan.masked else minimum

    def _open(self) -> None:
        model = self.plan.initial_model()
        require_first_model(self.study, model)
        asked = self.engine.sites()
        require_sites(self.study.sites, asked)
        require_listed_hospitals(self.study, asked)
        opened = self._orders.content(Question("open", 0, {"model": model}))
        self.progress = replace(self.progress, sites=asked, opened=opened)
        sites, lost, weight, dataset_counts = self._opened({"model": model})
        needed = len(asked) if self.every_site_must_open else self._fewest
        if len(sites) < needed:
            raise too_few(sites, lost, needed)
        trainable = self.plan.trainable(model)
        self._save(
            replace(
                self.progress,
                sites=sites,
                weight=weight,
                dataset_counts=dataset_counts,
                state=self.plan.algorithm.start(trainable, weight),
                frozen={name: array for name, array in model.items() if name not in trainable},
            )
        )

    def _opened(self, bundle: Bundle) -> tuple[tuple[SiteId, ...], dict[SiteId, str], int, dict[str, list[int]]]:
        """Who opened the study and who did not, the total weight, and the counts of images, patients and labels: none of a
        private study, whose weights are public."""
        if self.plan.private is not None:
            sites, lost = self._orders.tell(self.progress, Question("open", 0, bundle))
            return sites, lost, self.plan.private.weight(sites), {}
        frame = self.plan.opening_frame(len(self.progress.sites))
        opened = self._opening_sum(bundle, frame)
        counts = reveal(opened.total, {}, frame).counts
        if not possible_counts(counts, evaluates_only=self.study.evaluates_only):
            raise EngineError(
                "The hospitals' counts at the opening add up to numbers that no hospitals have, so one of them states false ones",
                hint="which one cannot be seen in a sum: agree on a new study, with fewer hospitals, until one opens",
            )
        weight = int(counts["images"][0])
        return opened.counted, dict(opened.lost), weight, {name: array.tolist() for name, array in counts.items()}

    def _opening_sum(self, bundle: Bundle, frame: AnyFrame) -> SumOpened:
        """The first opening of the list that opens. One that never can is over, and the next is asked: at most one more in a
        process, so that somebody looks before the list is at its end."""
        least = len(self.progress.sites) if self.every_site_must_open else 0
        last = min(self.progress.opening + 2, self.plan.openings)
        for number in range(self.progress.opening, last):
            opened, _ = self._orders.sum(self._summing, self.progress, Question("open", number, bundle), frame, least)
            if isinstance(opened, SumOpened):
                return opened
            self._require_over(f"open/{number}", opened)
            self._summing.give_up()
            self._save(replace(self.progress, opening=number + 1))
            lost = opened
        if self.progress.opening < self.plan.openings:
            raise too_few(lost.counted, lost.lost, lost.minimum)
        raise EngineError(
            f"None of the study's {self.plan.openings} openings opened, and each is asked only once",
            hint="agree on a new study; the log of each hospital that was missing says why it was",
        )

    def _train(self, number: int) -> None:
        began = time.monotonic()
        bundle = self.plan.algorithm.order(self.progress.state)
        frame = self.plan.training_frame(bundle["model"], len(self.progress.sites), self.progress.weight)
        opened, traffic = self._orders.sum(self._summing, self.progress, Question("train", number, bundle), frame)
        if isinstance(opened, SumFailed):
            self._without_total(number, time.monotonic() - began, opened, traffic)
            return
        private = self.plan.private
        reference = self.plan.algorithm.reference(bundle)
        weight = 0 if private is None else private.weight(opened.counted)
        total = reveal(opened.total, reference, frame, weight, self._let_go)
        opened = replace(opened, total={})  # words as large as the model
        verdict = judge(self.plan, self.progress, total, reference, frame)
        whole = opened.counted == self.progress.sites and verdict.discarded != IMPOSSIBLE
        scores = validation_of(self.plan, total, verdict) if whole else self.plan.no_scores
        entry = RoundHistory.of_total(number, time.monotonic() - began, opened, total, traffic, scores, whole=whole)
        state = {} if verdict.discarded else self.plan.algorithm.update(self._state_before(verdict), total)
        if state and not is_usable(pack_bundle(self.plan.algorithm.order(state))):
            verdict = replace(verdict, discarded=DIVERGED)  # no hospital would work with it
        self._save(self._after(replace(entry, discarded=verdict.discarded), verdict, state))
        score = Score(self.plan.task.words.in_text[self.plan.task.headline], self.plan.task.score(scores))
        self.listener(RoundFinished(number, self.study.algorithm.rounds, entry.seconds, entry.loss, score, opened.lost))

    def _without_total(self, number: int, seconds: float, failed: SumFailed, traffic: Traffic) -> None:
        """Goes on to the next round where this one can never be opened. EngineError where hospitals that come back cure it."""
        self._require_over(f"train/{number}", failed)
        self._summing.give_up()
        entry = RoundHistory.without_total(number, seconds, failed, traffic, CLOSED_FOR_EVER, self.plan.no_scores)
        self.listener(RoundDiscarded(number, entry.discarded))
        self._save(self.progress.with_round(entry))
        if [one.discarded for one in self.progress.history[-2:]] == [CLOSED_FOR_EVER, CLOSED_FOR_EVER]:
            # Somebody should look before all rounds are given up. A resumed run goes on with the next.
            raise too_few(failed.counted, failed.lost, failed.minimum)

    def _require_over(self, name: str, failed: SumFailed) -> None:
        """EngineError where a sum that failed may still be opened. One that waits for a hospital stops the run once: a resumed
        run that still misses it goes on without this sum, since the next may be opened without that hospital."""
        if self._summing.closed_for_ever(failed):
            return
        waits = bool(self._summing.waits_for) and not self._summing.bound
        if not waits or name not in self.progress.missed:
            hint = self._summing.mend(failed)
            if waits:
                self._save(replace(self.progress, missed=(*self.progress.missed, name)))
            raise too_few(failed.counted, failed.lost, failed.minimum, hint)

    def _state_before(self, verdict: Verdict) -> Bundle:
        """The state that a total is applied to."""
        return self.progress.before if verdict.rolls_back else self.progress.state

    def _after(self, entry: RoundHistory, verdict: Verdict, state: Bundle) -> Progress:
        """The progress after a round, by what became of its total. state: what the total makes of the one before."""
        progress = self._rolled_back(verdict) if verdict.rolls_back else self.progress
        if entry.discarded:
            self.listener(RoundDiscarded(entry.round, entry.discarded))
            return progress.with_round(entry)
        before = progress.state if self.plan.rolls_back else {}
        return progress.with_round(entry, state, before)

    def _rolled_back(self, verdict: Verdict) -> Progress:
        self.listener(RoundDiscarded(self.progress.history[-1].round, verdict.rolls_back))
        return self.progress.rolled_back(verdict.rolls_back)

    def _look_at_the_last(self) -> None:
        """The last round's model has no next round in which it would be scored."""
        if self.plan.rolls_back and self.progress.before and FEDERATED not in self.progress.evaluations:
            sums = self.evaluate(LAST, self.progress.state["model"])
            scores = sums.get("validation", self.plan.no_scores)
            verdict = Verdict.of_scores(self.plan, self.progress, scores)
            if verdict.rolls_back:
                self._save(self._rolled_back(verdict))

    def _keep_keys(self, keys: object) -> None:  # noqa: ARG002  (they are read off the summing, with everything else)
        self._save(self.progress)

    def _save(self, progress: Progress) -> None:
        """Also what the masked sums have come to: a sum and the turn it used up are recorded together."""
        self.progress = replace(progress, keys=self._summing.keys)
        save(self.progress, self.folder)
        if self._files is not None:
            self.progress = on_disk(self.progress, self.folder, self._files)
            self._let_go()  # what was read to be written
