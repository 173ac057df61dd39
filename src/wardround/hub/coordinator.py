"""The coordinator: it orders, sums and updates. It never sees a record, and uses contributions only through their sum.

order -> wire -> exchange -> replies -> summation -> reveal -> update -> checkpoint
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wardround.hub.acceptance import DROPPED, FROM_DISCARDED, IMPOSSIBLE, TOO_LONG, dropped, impossible, too_long, under
from wardround.hub.checkpoint import KeyProgress, Progress, RoundHistory, Traffic, load, save
from wardround.hub.engine import Engine
from wardround.hub.masked_summing import MaskedSumming
from wardround.hub.notices import ExchangeStarted, Listener, RoundDiscarded, RoundFinished, SiteAnswered, SiteLost, silent
from wardround.plan.plan import FEDERATED, LAST, LOSS_UNIT, Plan
from wardround.privacy.fixed_point_mechanism import CLIPPED
from wardround.privacy.frame import Frame
from wardround.privacy.gaussian_mechanism import NoisedFrame
from wardround.privacy.mechanism import AnyFrame, reveal
from wardround.study.declaration import Study
from wardround.summation.approved import Approved
from wardround.summation.plain import NO_ANSWER, Collecting, Replies, SumFailed, SumOpened, step
from wardround.tasks.metrics import auc
from wardround.tasks.score_sums import ScoreSums
from wardround.values.canonical import finite_or_none, sha256_hex
from wardround.values.contribution import Contribution, Counts
from wardround.values.errors import EngineError, RunError, WireError
from wardround.values.ids import SiteId
from wardround.values.tree import Bundle, Tree
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import ContributionMessage, Order, OrderHeader, Refusal, Step


class Coordinator:
    """Runs one study over one engine, keeping its checkpoint in `folder`."""

    def __init__(
        self, study: Study, engine: Engine, folder: Path, *, listener: Listener = silent, every_site_must_open: bool = False
    ) -> None:
        self.study, self.engine, self.folder, self.listener = study, engine, folder, listener
        self.every_site_must_open = every_site_must_open
        self.plan = Plan(study)
        _ = self.plan.private  # refuses a private study whose noise nobody worked out, before anything runs
        self.progress = self._resumed()
        self._summing: MaskedSumming | None = None
        if self.plan.masked:
            approved = Approved(study.hash, study.quorum, study.sites.keys)
            self._summing = MaskedSumming(approved, folder, self._exchange, self._keep_keys, listener, self.progress.keys)

    def _resumed(self) -> Progress:
        found = load(self.folder)
        if found is None:
            return Progress(study=self.study.hash)
        if found.study != self.study.hash:
            raise RunError(
                f"{self.folder} holds a run of another study",
                expected=f"study {self.study.hash[:12]}",
                found=f"study {found.study[:12]}",
                hint="resume with the study file the run began with, or choose a new folder",
            )
        return found

    @property
    def model(self) -> Tree:
        """The whole federated model as it stands."""
        return {**self.progress.frozen, **self.progress.state["model"]}

    def run(self) -> Progress:
        """From wherever the checkpoint stands to the evaluated model. Raises EngineError where too few sites contribute."""
        if not self.progress.state:
            self._open()
        for number in range(self.progress.round + 1, self.study.algorithm.rounds + 1):
            self._train(number)
        if self.study.evaluation.own_baseline:
            for number in range(self.progress.own_round + 1, self.study.algorithm.rounds + 1):
                self._train_own(number)
        self._look_at_the_last()
        self.evaluate(FEDERATED, self.progress.state["model"])
        return self.progress

    def close(self) -> None:
        """Tells the sites that the run is over, and whose last contribution was counted."""
        if not self.progress.closed:
            self._tell("close", max(self.progress.round, 1))
            if self._summing is not None:
                self._summing.close()
            self._save(replace(self.progress, closed=True))

    def _open(self) -> None:
        model = self.plan.initial_model()
        asked = self.engine.sites()
        self._require_sites(asked)
        self.progress = replace(self.progress, sites=asked)
        opened, weight, dataset_counts = self._opened({"model": model}, asked)
        if opened.lost and self.every_site_must_open:
            raise _too_few(opened.counted, opened.lost, len(asked))
        moving = self.plan.trainable(model)
        self._save(
            replace(
                self.progress,
                sites=opened.counted,
                weight=weight,
                dataset_counts=dataset_counts,
                state=self.plan.algorithm.start(moving, weight),
                frozen={name: array for name, array in model.items() if name not in moving},
            )
        )

    def _opened(self, bundle: Bundle, asked: tuple[SiteId, ...]) -> tuple[SumOpened, int, dict[str, list[int]]]:
        """Who opened the study, the total weight, and the counts of images, patients and positives: none of a private study,
        whose weights are public."""
        if self.plan.private is not None:
            opened = self._tell("open", 0, bundle)
            if len(opened.counted) < self.study.sites.minimum:
                raise _too_few(opened.counted, opened.lost, self.study.sites.minimum)
            return opened, self.plan.private.weight(opened.counted), {}
        frame = self.plan.opening_frame(len(asked))
        opened, _ = self._sum("open", 0, bundle, frame)
        counts = reveal(opened.total, {}, frame).counts
        return opened, int(counts["images"][0]), {name: array.tolist() for name, array in counts.items()}

    def _train(self, number: int) -> None:
        began = time.monotonic()
        progress = self.progress
        bundle = self.plan.algorithm.order(progress.state)
        frame = self.plan.training_frame(bundle["model"], len(progress.sites), progress.weight)
        opened, traffic = self._sum("train", number, bundle, frame)
        private = self.plan.private
        weight = private.weight(opened.counted) if private is not None else 0
        total = reveal(opened.total, self.plan.algorithm.reference(bundle), frame, weight)
        if total.weight < 1:
            raise EngineError(f"Round {number} has no training records in its sum", hint="check the sites' data")
        # A private total holds no counts that could be impossible, and no scores: both stay at the sites.
        possible = private is not None or not impossible(total, progress.dataset_counts)
        scores = _scores(total.counts, "validation") if private is None and possible else ScoreSums.zero()
        entry = self._history(number, time.monotonic() - began, opened, total, traffic, scores)
        if not possible:
            self._keep(replace(entry, discarded=IMPOSSIBLE))
        elif self._fell(scores):
            self._roll_back()
            self._keep(replace(entry, discarded=FROM_DISCARDED))
        elif not isinstance(frame, NoisedFrame) and too_long(total, self.plan.algorithm.reference(bundle), frame):
            self._keep(replace(entry, discarded=TOO_LONG))
        else:
            before = progress.state if self.plan.rolls_back else {}
            self._keep(entry, state=self.plan.algorithm.update(progress.state, total), before=before)
        self.listener(RoundFinished(number, self.study.algorithm.rounds, entry.seconds, entry.loss, auc(scores), opened.lost))

    def _keep(self, entry: RoundHistory, **changes: Any) -> None:
        if entry.discarded:
            self.listener(RoundDiscarded(entry.round, entry.discarded))
        history = (*self.progress.history, entry)
        self._save(replace(self.progress, round=entry.round, history=history, **changes))

    def _fell(self, scores: ScoreSums) -> bool:
        """Whether the model that the last round made is worse than the one it began with by more than the study allows."""
        history, limit = self.progress.history, self.study.summation.max_auc_drop
        if not self.progress.before or not history or history[-1].discarded:
            return False
        return dropped(ScoreSums.from_json(history[-1].validation), scores, limit)

    def _roll_back(self) -> None:
        """The state before the last round; what that round gave is marked. Recorded with the next checkpoint."""
        last = replace(self.progress.history[-1], discarded=DROPPED)
        self.listener(RoundDiscarded(last.round, DROPPED))
        history = (*self.progress.history[:-1], last)
        self.progress = replace(self.progress, state=self.progress.before, before={}, history=history)

    def _look_at_the_last(self) -> None:
        """The last round's model has no next round in which it would be scored."""
        if self.plan.rolls_back and self.progress.before and FEDERATED not in self.progress.evaluations:
            sums = self.evaluate(LAST, self.progress.state["model"])
            if self._fell(sums["validation"]):
                self._roll_back()
                self._save(self.progress)

    def _history(
        self, number: int, seconds: float, opened: SumOpened, total: Contribution, traffic: Traffic, scores: ScoreSums
    ) -> RoundHistory:
        loss, count = (int(value) for value in total.counts["loss"]) if "loss" in total.counts else (0, 0)
        return RoundHistory(
            round=number,
            seconds=seconds,
            counted=opened.counted,
            lost=dict(opened.lost),
            loss=finite_or_none(loss * LOSS_UNIT / count) if count else None,
            clipped=int(total.counts.get(CLIPPED, 0)),
            validation=scores.to_json(),
            bytes_out=traffic.out,
            bytes_in=traffic.back,
            exchanges=traffic.exchanges,
        )

    def _train_own(self, number: int) -> None:
        self._tell("own", number)
        self._save(replace(self.progress, own_round=number))

    def evaluate(self, label: str, model: Tree) -> dict[str, ScoreSums]:
        """Summed scores of `model` over all sites, by split; once per label. Of a private study none: each site keeps its own."""
        if self.plan.private is not None:
            self._evaluate_at_home(label, model)
            return {}
        if label not in self.progress.evaluations:
            frame = self.plan.evaluation_frame(len(self.progress.sites), shifted=self.plan.wants_shifted(label))
            opened, _ = self._sum("evaluate", self.study.algorithm.rounds, {"model": model}, frame, label)
            counts = reveal(opened.total, {}, frame).counts
            splits = sorted({name.partition(".")[0] for name in counts})
            found = {split: _scores(counts, split).to_json() for split in splits}
            self._save(replace(self.progress, evaluations={**self.progress.evaluations, label: found}))
        stored = self.progress.evaluations[label]
        return {split: ScoreSums.from_json(value) for split, value in stored.items()}

    def _evaluate_at_home(self, label: str, model: Tree) -> None:
        if label not in self.progress.evaluations:
            self._tell("evaluate", self.study.algorithm.rounds, {"model": model}, label)
            self._save(replace(self.progress, evaluations={**self.progress.evaluations, label: {}}))

    def _tell(self, name: Step, number: int, bundle: Bundle | None = None, label: str = "") -> SumOpened:
        """An order that nothing is summed for: who followed it. A site that does not answer is noticed, and the run goes on
        without it."""
        replies, _ = self._carry(self._order(name, number, bundle or {}, label), Frame(sites=len(self.progress.sites)))
        lost = {site: replies.refused.get(site, NO_ANSWER) for site in self.progress.sites if site not in replies.arrays}
        for site, code in lost.items():
            self.listener(SiteLost(site, code))
        return SumOpened({}, tuple(site for site in self.progress.sites if site not in lost), lost)

    def _sum(self, name: Step, number: int, bundle: Bundle, frame: AnyFrame, label: str = "") -> tuple[SumOpened, Traffic]:
        """One sum, masked or plain; also what it took. EngineError where too few contributed."""
        order = self._order(name, number, bundle, label)
        if self._summing is not None:
            outcome, traffic = self._summing.sum(order, frame.layout)
        else:
            replies, traffic = self._carry(order, frame)
            outcome, _ = step(Collecting(self.progress.sites, frame.layout, self.study.sites.minimum), replies)
        for site, code in outcome.lost.items():
            self.listener(SiteLost(site, code))
        if isinstance(outcome, SumFailed):
            raise _too_few(outcome.counted, outcome.lost, outcome.minimum)
        return outcome, traffic

    def _order(self, name: Step, number: int, bundle: Bundle, label: str) -> Order:
        cohort = self.progress.sites
        self.listener(ExchangeStarted(name, number, self.study.algorithm.rounds if name in ("train", "own") else 0, cohort))
        header = OrderHeader(
            study=self.study.hash,
            step=name,
            round=number,
            label=label,
            cohort=cohort,
            counted={str(site): number for site, number in self.progress.last_counted.items()},
            weight=self.progress.weight,
        )
        return Order(header, pack_bundle(bundle))

    def _carry(self, order: Order, frame: AnyFrame) -> tuple[Replies, Traffic]:
        """One order to every site of the run, and what came back, unmasked."""
        data = to_bytes(order)
        cohort = self.progress.sites
        answers = self._exchange(dict.fromkeys(cohort, data), heard=True)
        replies = self._replies(order.header, sha256_hex(data), answers, frame)
        return replies, Traffic(len(data) * len(cohort), sum(len(answer) for answer in answers.values()), 1)

    def _exchange(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> Mapping[SiteId, bytes]:
        """One trip. heard: the listener hears of each answer, as it arrives; of an order, not of what its sum takes besides."""
        arrived = (lambda site: self.listener(SiteAnswered(site))) if heard else None
        return self.engine.exchange(outbox, self.study.sites.deadline_s, arrived)

    def _keep_keys(self, keys: KeyProgress) -> None:
        self._save(replace(self.progress, keys=keys))

    def _replies(self, header: OrderHeader, order_hash: str, answers: Mapping[SiteId, bytes], frame: AnyFrame) -> Replies:
        arrays: dict[SiteId, Tree] = {}
        refused: dict[SiteId, str] = {}
        limit = 1024 + sum(200 + int(dtype.removeprefix("uint")) // 8 * size for dtype, size in frame.layout.values())
        for site, data in answers.items():
            try:
                message = from_bytes(data, payload_limit=limit)
            except WireError:
                refused[site] = "wire"
                continue
            if isinstance(message, Refusal) and (message.header.order, message.header.site) == (order_hash, site):
                refused[site] = message.header.code
            elif isinstance(message, ContributionMessage) and _answers(message, header, order_hash, site):
                arrays[site] = message.arrays
            else:
                refused[site] = "wrong-answer"
        return Replies(arrays, refused)

    def _require_sites(self, asked: tuple[SiteId, ...]) -> None:
        named = tuple(sorted(self.study.sites.names))
        if named and named != asked:
            raise EngineError(
                "The sites that can be reached are not those the study names",
                expected=", ".join(named),
                found=", ".join(asked) or "none",
                hint="start all of them, or correct sites.names",
            )
        if len(asked) < self.study.sites.minimum:
            raise _too_few(asked, {}, self.study.sites.minimum)

    def _save(self, progress: Progress) -> None:
        """Also what the masked sums have come to: a sum and the turn it used up are recorded together."""
        self.progress = replace(progress, keys=self._summing.progress) if self._summing is not None else progress
        save(self.progress, self.folder)


def _answers(message: ContributionMessage, order: OrderHeader, order_hash: str, site: SiteId) -> bool:
    """Whether a contribution is this site's answer to this very order."""
    header = message.header
    return (header.study, header.step, header.round, header.site, header.order) == (
        order.study,
        order.step,
        order.round,
        site,
        order_hash,
    )


def _scores(counts: Counts, prefix: str) -> ScoreSums:
    return ScoreSums.from_counts(under(prefix, counts))


def _too_few(counted: Sequence[SiteId], lost: Mapping[SiteId, str], needed: int) -> EngineError:
    reasons = ", ".join(f"{site}: {code}" for site, code in lost.items()) or "none lost"
    return EngineError(
        "Too few sites contributed, so nothing was summed",
        expected=f"at least {needed}",
        found=f"{len(counted)} ({reasons})",
        hint="see each site's own log for the reason, mend it, and run again with --resume",
    )
