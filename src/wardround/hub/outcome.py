"""From a finished run to its record: thresholds chosen on validation, figures on test, each hospital's own and pooled.

progress (sums)  +  every hospital's own report (a simulation may read them)  ->  RunRecord  ->  JSON for --json

A hub has no hospital's report. Its record holds what the sums gave, and hospitals by their names alone.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from wardround.hub.checkpoint import Progress
from wardround.hub.run_folder import RunPlan
from wardround.plan.network_view import outputs_for
from wardround.plan.plan import CHOSEN, FEDERATED, SCORED_AT_THE_END, SHIFTED, Plan, own_label
from wardround.study.declaration import Study
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.left_out_record import NO_TURNS, Turns
from wardround.study.record.run_record import (
    EvaluatedRecord,
    MachineRecord,
    ModelRecord,
    NetworkRecord,
    PairedRecord,
    PersonalRecord,
    Pooled,
    PrivacyRecord,
    RoundRecord,
    RunRecord,
    SiteRecord,
    SiteRound,
    TotalsRecord,
    versions_here,
)
from wardround.study.sections.evaluation import Decision, as_decision
from wardround.study.writing import to_toml
from wardround.tasks.evaluation import evaluation_of
from wardround.tasks.protocol import REPLICATES, PairedDifference, Task, read_sums
from wardround.tasks.registry import task_of, task_of_record
from wardround.tasks.sums import Sums, counts_of_json
from wardround.values.cores import usable_cores
from wardround.values.records import SPLITS
from wardround.values.records_file import read_records
from wardround.values.tree import Tree, shapes_of, size_of

SitesReports = Mapping[str, Mapping[str, Any]]
IN_PROCESS, NETWORK = "in_process", "network"
"""What moved the bytes, as a record says it: hospitals on one machine, or elsewhere."""


@dataclass(frozen=True)
class Outcome:
    """A run that has ended. reports: each hospital's own report, by name; None at a hub, which has none. paired: what each
    hospital found when it compared its own model with the federated one. engine: IN_PROCESS or NETWORK."""

    study: Study
    plan: RunPlan
    progress: Progress
    reports: SitesReports | None
    external: Mapping[str, Sums]
    workers: int
    privacy: PrivacyRecord | None = None
    paired: Mapping[str, Mapping[str, PairedDifference]] = field(default_factory=dict)
    engine: str = IN_PROCESS

    @cached_property
    def task(self) -> Task:
        return task_of(self.study)

    def _read(self, value: Mapping[str, Any]) -> Sums:
        return read_sums(self.task, counts_of_json(value))

    def _evaluation(self, sums: Sums, decision: Decision, *, of_a_round: bool = False) -> Evaluation:
        """of_a_round: a curve is drawn of it, and neither intervals nor sums are kept."""
        return evaluation_of(self.task, sums, decision, replicates=0 if of_a_round else REPLICATES, keep_sums=not of_a_round)

    @cached_property
    def threshold(self) -> Decision:
        """Of the federated model. Chosen on validation sums, never on test."""
        return decided(self.study, self.sums(FEDERATED), shared=True)

    def threshold_at(self, site: str) -> Decision:
        """Of the federated model at one hospital: its own where the study leaves it to each."""
        sums = self.site_sums(site, FEDERATED) if self.study.evaluation.threshold == "local" else None
        return self.threshold if sums is None else decided(self.study, sums)

    @property
    def _reports(self) -> SitesReports:
        """By hospital; none at a hub."""
        return {} if self.reports is None else self.reports

    def _summed(self, label: str) -> Mapping[str, Any]:
        """What the hospitals' sum gave of a model's evaluation, by split; empty where nothing was summed."""
        return {} if self.study.privacy.private else self.progress.evaluations.get(label, {})

    def sums(self, label: str) -> dict[str, Sums]:
        """Summed over all hospitals, by split. Where nothing was summed, as in a private study, a simulation may read the
        hospitals' own reports instead; at a hub there are none, and the sums are of no records."""
        summed = self._summed(label)
        if summed:
            return {split: self._read(value) for split, value in summed.items()}
        site_sums = [sums for site in self.progress.sites if (sums := self.site_sums(site, label)) is not None]
        return {split: Sums.together((sums[split] for sums in site_sums), self.task.shapes) for split in SCORED_AT_THE_END}

    def incoming(self, index: int) -> Sums:
        """The validation scores of the model that came into a round, over the hospitals that scored it."""
        entry = self.progress.history[index]
        if not self.study.privacy.private:
            return self._read(entry.validation)
        entries = ((self._reports[site]["rounds"].get(str(entry.round))) for site in self.progress.sites if site in self._reports)
        scored = map(self._validation, entries)
        return Sums.together((sums for sums in scored if sums is not None), self.task.shapes)

    def site_sums(self, site: str, label: str) -> dict[str, Sums] | None:
        """One hospital's own, by split; None where it was lost before it had scored that model."""
        split_sums = self._reports.get(site, {}).get("evaluations", {}).get(label)
        return None if split_sums is None else {split: self._read(value) for split, value in split_sums.items()}

    def site_test(self, site: str, label: str, decision: Decision, *, keep_sums: bool = True) -> Evaluation | None:
        """A model on one hospital's test patients."""
        sums = self.site_sums(site, label)
        return None if sums is None else evaluation_of(self.task, sums["test"], decision, keep_sums=keep_sums)

    @cached_property
    def own_models(self) -> dict[str, Decision]:
        """Hospitals with a model of their own, and its threshold, chosen on that hospital's validation patients alone."""
        sums = {site: self.site_sums(site, own_label(site)) for site in self.progress.sites}
        return {
            site: decided(self.study, own_sums)
            for site, own_sums in sums.items()
            if own_sums is not None and own_label(site) in self.progress.evaluations
        }

    def record(self, model: ModelRecord | None, evaluated: EvaluatedRecord | None = None) -> RunRecord:
        """model: what the run made. evaluated: the finished model of a run that made none."""
        own = {site: self._evaluation(self.sums(own_label(site))["test"], cut) for site, cut in self.own_models.items()}
        return RunRecord(
            run_id=self.plan.run_id,
            created=self.plan.created,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            study_title=self.study.question.title,
            study_hash=self.study.hash,
            study_toml=to_toml(self.study),
            seed=self.study.training.seed,
            engine=self.engine,
            workers=self.workers,
            synthetic=self.plan.synthetic,
            versions=versions_here(),
            machine=MachineRecord(cores=usable_cores()),
            network=NetworkRecord(name=self.study.learned.title, parameters=self._parameters()),
            algorithm=self.study.algorithm.name,
            privacy_mode=self.study.privacy.mode,
            privacy=self.privacy,
            summation_mode=self.study.summation.mode,
            start=self._start(),
            rounds=tuple(self._round(index) for index in range(len(self.progress.history))),
            sites={site: self._site(site) for site in self.progress.sites if site in self._reports},
            hospitals=tuple(map(str, self.progress.sites)),
            totals=self._totals(),
            pooled=self._pooled(own),
            external={name: self._evaluation(sums, self.threshold) for name, sums in self.external.items()},
            trained_on=self._trained_on(),
            cross=self._cross(),
            model=model,
            evaluated=evaluated,
            threshold=None if evaluated is None else self.threshold,
        )

    def _parameters(self) -> int:
        """Numbers that were trained; of a model that was evaluated only, all of them."""
        trained = size_of(shapes_of(self.progress.state["model"]))
        return trained + size_of(shapes_of(self.progress.frozen)) if self.study.evaluates_only else trained

    def _pooled(self, own: dict[str, Evaluation]) -> Pooled | None:
        """None at a hub where nothing was summed: figures of no patients would look like figures."""
        if self.reports is None and not self._summed(FEDERATED):
            return None
        return Pooled(federated=self._evaluation(self.sums(FEDERATED)["test"], self.threshold), own=own)

    def _start(self) -> Evaluation | None:
        """The model before round 1; None where nobody tells the hub how good it was."""
        if not self.progress.history:
            return None
        sums = self.incoming(0)
        if self.reports is None and not self.task.records(sums):
            return None
        return evaluation_of(self.task, sums, self.threshold, replicates=0)

    def _totals(self) -> TotalsRecord | None:
        """What the opening's sum said of all hospitals together; None of a private study, where nothing was counted."""
        counts = self.progress.dataset_counts
        if not counts:
            return None
        return TotalsRecord(
            patients=sum(counts["patients"]),
            images=sum(counts["images"]),
            split_patients=dict(zip(SPLITS, counts["patients"], strict=True)),
            split_images=dict(zip(SPLITS, counts["images"], strict=True)),
            labels={name: sum(counts[name]) for name in self.task.words.counted},
        )

    def _site(self, site: str) -> SiteRecord:
        dataset_counts = self._reports[site]["dataset_counts"]["counts"]
        label_counts = {name: sum(dataset_counts[name]) for name in self.task.words.counted}
        return SiteRecord(
            patients=sum(dataset_counts["patients"]),
            images=sum(dataset_counts["images"]),
            split_patients=dict(zip(SPLITS, dataset_counts["patients"], strict=True)),
            split_images=dict(zip(SPLITS, dataset_counts["images"], strict=True)),
            federated=self.site_test(site, FEDERATED, self.threshold_at(site)),
            own=self._own(site),
            personal=self._personal(site),
            paired={name: PairedRecord(**asdict(one)) for name, one in self.paired.get(site, {}).items()},
            **label_counts,
        )

    def _own(self, site: str) -> Evaluation | None:
        """Of a hospital's own model there: where all own models were tried everywhere, or where it chose among personal ones."""
        sums = self.site_sums(site, own_label(site))
        tried = site in self.own_models or "personal" in self._reports[site]
        return self.site_test(site, own_label(site), decided(self.study, sums)) if tried and sums is not None else None

    def _personal(self, site: str) -> PersonalRecord | None:
        """What the hospital wrote of its choice; None where it made none."""
        choice = self._reports[site].get("personal", {}).get("choice")
        if choice is None:
            return None
        test = self.site_test(site, CHOSEN, as_decision(choice["threshold"]))
        return PersonalRecord.model_validate_json(json.dumps({**choice, "test": None if test is None else test.model_dump()}))

    def _trained_on(self) -> dict[str, dict[str, int]]:
        """For each external test set, how many of its records each hospital that compared them has trained on."""
        counts = {
            str(site): int(shared)
            for site in self.progress.sites
            if (shared := self._reports.get(site, {}).get("external", {}).get("shared_records")) is not None
        }
        return dict.fromkeys(self.external, counts)

    def _cross(self) -> dict[str, dict[str, Evaluation]]:
        """Every model on every hospital's test patients; a hospital's own model goes by the hospital's name."""
        sites = self.progress.sites
        models = [(FEDERATED, FEDERATED, {site: self.threshold_at(site) for site in sites})]
        models += [(site, own_label(site), dict.fromkeys(sites, cut)) for site, cut in self.own_models.items()]
        evaluations = {
            name: {site: self.site_test(site, label, cuts[site], keep_sums=False) for site in sites}
            for name, label, cuts in models
        }
        shown: dict[str, dict[str, Evaluation]] = {
            name: {site: one for site, one in row.items() if one is not None} for name, row in evaluations.items()
        }
        return {name: row for name, row in shown.items() if row or self.reports is not None}

    def _round(self, index: int) -> RoundRecord:
        entry = self.progress.history[index]
        last = index + 1 == len(self.progress.history)
        after = self.sums(FEDERATED)["validation"] if last else self.incoming(index + 1)
        return RoundRecord(
            round=entry.round,
            seconds=entry.seconds,
            counted=tuple(entry.counted),
            lost={str(site): code for site, code in entry.lost.items()},
            discarded=entry.discarded,
            exchanges=entry.exchanges,
            train_loss=entry.loss,
            validation=self._validated(after),
            bytes_out=entry.bytes_out,
            bytes_in=entry.bytes_in,
            per_site={site: self._site_round(site, entry.round, last=last) for site in entry.counted if site in self._reports},
        )

    def _validated(self, sums: Sums) -> Evaluation | None:
        """None at a hub where a hospital of the opening was missing: there are no figures then."""
        if self.reports is None and not self.task.records(sums):
            return None
        return self._evaluation(sums, self.threshold, of_a_round=True)

    def _site_round(self, site: str, number: int, *, last: bool) -> SiteRound:
        rounds = self._reports[site]["rounds"]
        own = rounds[str(number)]
        end = (self.site_sums(site, FEDERATED) or {}).get("validation")
        after = end if last else self._validation(rounds.get(str(number + 1)))
        return SiteRound(
            train_loss=own["loss_sum"] / own["loss_count"] if own["loss_count"] else None,
            validation=None if after is None else self._evaluation(after, self.threshold_at(site), of_a_round=True),
        )

    def _validation(self, entry: Any) -> Sums | None:
        """None where the site was lost in the round after, and so did not score the model that came in."""
        return None if entry is None else self._read(entry["evaluations"]["validation"])


def decided(study: Study, sums: Mapping[str, Sums], *, shared: bool = False) -> Decision:
    """The decision of one model by the study's rule, from its sums by split. Never from those of test.

    shared: of all hospitals together; else sums and decision are one hospital's.
    """
    if study.evaluation.model_threshold is not None:
        return study.evaluation.model_threshold
    allowed = {split: one for split, one in sums.items() if split in ("validation", SHIFTED)}
    return task_of(study).decide(study.evaluation.shared_rule if shared else study.evaluation.home_rule, allowed)


def score_externally(plan: Plan, model: Tree, path: Path, device: str) -> dict[str, Sums]:
    """The federated model on the external test set at `path`, which the hub holds."""
    external = plan.study.evaluation.external
    if external is None:
        return {}
    outputs, records = outputs_for(model, read_records(path), plan, device)
    return {external.name: plan.task.sums(outputs, records.labels)}


def left_out_json(turns: Turns, record: RunRecord) -> dict[str, Any]:
    """What `simulate --json` says of hospitals that were left out: the others' model at each."""
    counts = {"n", *task_of_record(record.study_toml).words.counted}
    return {"left_out": {name: _figures(turn.evaluation, counts) for name, turn in turns.items()}}


def summary_json(record: RunRecord, folder: Path, seconds: float, turns: Turns = NO_TURNS) -> dict[str, Any]:
    """What `simulate --json` prints. turns: what was learnt without each hospital that was left out."""
    counts = {"n", *task_of_record(record.study_toml).words.counted}
    return {
        "run": str(folder),
        "rounds": len(record.rounds),
        "seconds": round(seconds, 3),
        "synthetic": record.synthetic,
        "sites": {
            name: {
                "patients": site.patients,
                "images": site.images,
                "own": _figures(site.own, counts),
                "federated": _figures(site.federated, counts),
                **_chosen(site, counts),
            }
            for name, site in record.sites.items()
        },
        "pooled": {
            "federated": _figures(record.pooled.federated, counts) if record.pooled else None,
            "own": {site: _figures(own, counts) for site, own in record.pooled.own.items()} if record.pooled else {},
        },
        "external": {name: _figures(evaluation, counts) for name, evaluation in record.external.items()},
        **left_out_json(turns, record),
    }


def _chosen(site: SiteRecord, counts: Collection[str]) -> dict[str, Any]:
    """What a hospital keeps, and why; nothing where the study makes no personal models."""
    if (personal := site.personal) is None:
        return {}
    words = personal.model_dump(mode="json", exclude={"test", "sha256", "files"})
    return {"chosen": _figures(personal.test, counts), "choice": words}


def _figures(evaluation: Evaluation | None, counts: Collection[str]) -> dict[str, Any] | None:
    """counts: the keys that count records, which are whole numbers."""
    if evaluation is None:
        return None
    return {key: int(value) if key in counts and value is not None else value for key, value in evaluation.values.items()}
