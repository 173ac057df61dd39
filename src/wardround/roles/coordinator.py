"""The coordinator: it orders, sums and updates. It never sees a record, and uses contributions only through their sum.

order -> wire -> exchange -> replies -> summation -> reveal -> update -> checkpoint
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wardround.privacy.frame import Frame
from wardround.privacy.no_privacy import CLIPPED, reveal
from wardround.roles.engine import Engine
from wardround.roles.events import ExchangeStarted, Listener, RoundFinished, SiteAnswered, SiteLost, silent
from wardround.roles.plan import FEDERATED, LOSS_UNIT, Plan
from wardround.roles.progress import Progress, RoundHistory, load, save
from wardround.roles.site_work import counts_from_json, counts_to_json
from wardround.study.declaration import Study
from wardround.summation.plain import NO_ANSWER, Collecting, Failed, Opened, Replies, step
from wardround.training.metrics import auc
from wardround.training.score_sums import ScoreSums
from wardround.values.canonical import finite_or_none, sha256_hex
from wardround.values.contribution import Contribution, Counts
from wardround.values.errors import EngineError, RunError, WireError
from wardround.values.ids import SiteId
from wardround.values.tree import Bundle, Tree
from wardround.wire.envelope import from_bytes, pack_bundle, to_bytes
from wardround.wire.messages import Contribution as ContributionMessage
from wardround.wire.messages import Order, OrderHeader, Refusal, Step


class Coordinator:
    """Runs one study over one engine, keeping its checkpoint in `folder`."""

    def __init__(
        self, study: Study, engine: Engine, folder: Path, *, listener: Listener = silent, every_site_must_open: bool = False
    ) -> None:
        self.study, self.engine, self.folder, self.listener = study, engine, folder, listener
        self.every_site_must_open = every_site_must_open
        self.plan = Plan(study)
        self.progress = self._resumed()

    def _resumed(self) -> Progress:
        found = load(self.folder)
        if found is None:
            return Progress(study=self.study.hash)
        if found.study != self.study.hash:
            raise RunError(
                f"{self.folder} holds a run of another study",
                expected=f"study {self.study.hash[:12]}",
                found=f"study {found.study[:12]}",
                mend="resume with the study file the run began with, or choose a new folder",
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
        self.evaluate(FEDERATED, self.progress.state["model"])
        return self.progress

    def close(self) -> None:
        """Tells the sites that the run is over, and whose last contribution was counted."""
        if not self.progress.closed:
            self._tell("close", max(self.progress.round, 1))
            self._save(replace(self.progress, closed=True))

    def _open(self) -> None:
        model = self.plan.initial_model()
        asked = self.engine.sites()
        self._require_sites(asked)
        self.progress = replace(self.progress, sites=asked)
        opened, _ = self._sum("open", 0, {"model": model}, self.plan.opening_frame(len(asked)))
        if opened.lost and self.every_site_must_open:
            raise _too_few(opened.counted, opened.lost, len(asked))
        counts = reveal(opened.total, {}, self.plan.opening_frame(len(asked))).counts
        weight = int(counts["images"][0])
        moving = self.plan.moving(model)
        self._save(
            replace(
                self.progress,
                sites=opened.counted,
                weight=weight,
                census={name: array.tolist() for name, array in counts.items()},
                state=self.plan.algorithm.start(moving, weight),
                frozen={name: array for name, array in model.items() if name not in moving},
            )
        )

    def _train(self, number: int) -> None:
        began = time.monotonic()
        progress = self.progress
        bundle = self.plan.algorithm.order(progress.state)
        frame = self.plan.training_frame(bundle["model"], len(progress.sites), progress.weight)
        opened, traffic = self._sum("train", number, bundle, frame)
        total = reveal(opened.total, self.plan.algorithm.reference(bundle), frame)
        if total.weight < 1:
            raise EngineError(f"Round {number} has no training records in its sum", mend="check the sites' data")
        state = self.plan.algorithm.update(progress.state, total)
        seconds = time.monotonic() - began
        history = self._history(number, seconds, opened, total, traffic)
        self._save(replace(progress, round=number, state=state, history=(*progress.history, history)))
        found = auc(_scores(total.counts, "validation"))
        self.listener(RoundFinished(number, self.study.algorithm.rounds, seconds, history.loss, found, opened.lost))

    def _history(
        self, number: int, seconds: float, opened: Opened, total: Contribution, traffic: tuple[int, int]
    ) -> RoundHistory:
        loss, count = (int(value) for value in total.counts["loss"])
        return RoundHistory(
            round=number,
            seconds=seconds,
            counted=opened.counted,
            lost=dict(opened.lost),
            loss=finite_or_none(loss * LOSS_UNIT / count) if count else None,
            clipped=int(total.counts[CLIPPED]),
            validation=counts_to_json(_scores(total.counts, "validation")),
            bytes_out=traffic[0],
            bytes_in=traffic[1],
        )

    def _train_own(self, number: int) -> None:
        self._tell("own", number)
        self._save(replace(self.progress, own_round=number))

    def evaluate(self, label: str, model: Tree) -> dict[str, ScoreSums]:
        """Summed scores of `model` over all sites, by split; once per label."""
        if label not in self.progress.evaluations:
            frame = self.plan.evaluation_frame(len(self.progress.sites), shifted=self.plan.wants_shifted(label))
            opened, _ = self._sum("evaluate", self.study.algorithm.rounds, {"model": model}, frame, label)
            counts = reveal(opened.total, {}, frame).counts
            splits = sorted({name.partition(".")[0] for name in counts})
            found = {split: counts_to_json(_scores(counts, split)) for split in splits}
            self._save(replace(self.progress, evaluations={**self.progress.evaluations, label: found}))
        stored = self.progress.evaluations[label]
        return {split: counts_from_json(value) for split, value in stored.items()}

    def _tell(self, name: Step, number: int) -> None:
        """An order that nothing is summed for. A site that does not answer is noticed, and the run goes on without it."""
        replies, _ = self._carry(name, number, {}, Frame(sites=len(self.progress.sites)), "")
        for site in self.progress.sites:
            if site not in replies.arrays:
                self.listener(SiteLost(site, replies.refused.get(site, NO_ANSWER)))

    def _sum(self, name: Step, number: int, bundle: Bundle, frame: Frame, label: str = "") -> tuple[Opened, tuple[int, int]]:
        """One sum over one exchange; also the bytes sent and received. EngineError where too few contributed."""
        replies, traffic = self._carry(name, number, bundle, frame, label)
        outcome, _ = step(Collecting(self.progress.sites, frame.layout, self.study.sites.minimum), replies)
        for site, code in outcome.lost.items():
            self.listener(SiteLost(site, code))
        if isinstance(outcome, Failed):
            raise _too_few(outcome.counted, outcome.lost, outcome.minimum)
        return outcome, traffic

    def _carry(self, name: Step, number: int, bundle: Bundle, frame: Frame, label: str) -> tuple[Replies, tuple[int, int]]:
        """One order to every site of the run, and what came back."""
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
        order = to_bytes(Order(header, pack_bundle(bundle)))
        deadline_s = self.study.sites.deadline_s
        answers = self.engine.exchange(dict.fromkeys(cohort, order), deadline_s, lambda site: self.listener(SiteAnswered(site)))
        replies = self._replies(header, sha256_hex(order), answers, frame)
        return replies, (len(order) * len(cohort), sum(len(answer) for answer in answers.values()))

    def _replies(self, header: OrderHeader, order_hash: str, answers: dict[SiteId, bytes], frame: Frame) -> Replies:
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
                mend="start all of them, or correct sites.names",
            )
        if len(asked) < self.study.sites.minimum:
            raise _too_few(asked, {}, self.study.sites.minimum)

    def _save(self, progress: Progress) -> None:
        save(progress, self.folder)
        self.progress = progress


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
    start = f"{prefix}."
    return ScoreSums.from_counts({name.removeprefix(start): array for name, array in counts.items() if name.startswith(start)})


def _too_few(counted: Sequence[SiteId], lost: Mapping[SiteId, str], needed: int) -> EngineError:
    reasons = ", ".join(f"{site}: {code}" for site, code in lost.items()) or "none lost"
    return EngineError(
        "Too few sites contributed, so nothing was summed",
        expected=f"at least {needed}",
        found=f"{len(counted)} ({reasons})",
        mend="see each site's own log for the reason, mend it, and run again with --resume",
    )
