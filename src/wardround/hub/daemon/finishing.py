"""What a study at the hub needs at its two ends: the external test set before it, model, record and report after it.

The hub reads no hospital's folder. So its record holds the totals, and each hospital by its name alone.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardround.analysis.result import Result
from wardround.hub.analysis_coordinator import AnalysisCoordinator
from wardround.hub.analysis_model import EndedAnalysis, write_fitted_model
from wardround.hub.artifacts import write_artifacts
from wardround.hub.checkpoint import Progress, load
from wardround.hub.daemon.studies import StudyFolder
from wardround.hub.outcome import NETWORK, Outcome, score_externally
from wardround.hub.run_folder import RunFolder, RunPlan, external_in, run_plan_in
from wardround.plan.plan import Plan
from wardround.plan.pricing import privacy_of
from wardround.study.declaration import Study
from wardround.study.record.run_record import RunRecord
from wardround.study.run_settings import RunSettings
from wardround.study.writing import to_toml
from wardround.values.errors import RunError, StudyError
from wardround.values.tree import Tree

Stage = Callable[[Study, RunSettings, Path], None]
WriteEvidence = Callable[[RunRecord, Path], None]
WriteResult = Callable[[Result, dict[str, Any], str, Path], None]


@dataclass(frozen=True)
class Finishing:
    """stage_external: reads the external test set and writes it to a file; None where this hub has no way to. write_evidence:
    writes report and model card into a folder. write_tables: the same of an analysis. register: whether the model enters this
    user's registry."""

    write_evidence: WriteEvidence
    stage_external: Stage | None = None
    write_tables: WriteResult | None = None
    register: bool = True

    def stage(self, study: Study, settings: RunSettings, folder: RunFolder) -> None:
        """The external test set beside the run, before its first order. StudyError where it cannot be had."""
        if study.evaluation.external is None or folder.external.exists():
            return
        if self.stage_external is None or settings.external is None:
            raise StudyError(
                f"Nobody said where the external test set {study.evaluation.external.name} lies",
                hint="write [external] into STUDY.run.toml beside the study, and submit it with: wardround hub run STUDY",
            )
        self.stage_external(study, settings, folder.external)

    def write_result(self, folder: StudyFolder, coordinator: AnalysisCoordinator, result: Result) -> str:
        """The tables of an analysis that has come to its end, in the run's folder, and its model where it is one: the model's
        hash."""
        plan, study = run_plan_in(folder.run), folder.study()
        if plan is None or self.write_tables is None:
            raise RunError(f"{folder.run} holds no run, or this hub has no way to write tables", hint="update the hub")
        self.write_tables(result, coordinator.facts(plan, study), to_toml(study), folder.run)
        sites = tuple(map(str, coordinator.progress.sites))
        ended = EndedAnalysis(study, plan, result, coordinator.exchanges, sites, NETWORK, len(sites), privacy_of(Plan(study)))
        record = write_fitted_model(ended, folder.run, register=self.register)
        if record is None or record.model is None:
            return ""
        self.write_evidence(record, folder.run)
        return record.model.sha256

    def made_ready(self, folder: StudyFolder) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing: what this process needs it loads once."""
        return nullcontext()

    def write(self, folder: StudyFolder) -> str:
        """The hash of the model of a run that has come to its end. All that it leaves is in the folder then; writing it again
        changes nothing."""
        ended = EndedRun.of(folder)
        plan, progress, run = ended.plan, ended.progress, folder.run
        outside = score_externally(plan, ended.model, external_in(run), folder.settings().run.device)
        outcome = Outcome(
            plan.study, ended.run_plan, progress, None, outside, len(progress.sites), privacy_of(plan), engine=NETWORK
        )
        record = write_artifacts(outcome, ended, run, register=self.register)
        self.write_evidence(record, run)
        for staged in run.glob("external.*"):
            staged.unlink()
        return record.model.sha256 if record.model else ""


@dataclass(frozen=True)
class EndedRun:
    """Implements `hub.artifacts.Trained`: a run as its folder holds it."""

    plan: Plan
    run_plan: RunPlan
    progress: Progress

    @classmethod
    def of(cls, folder: StudyFolder) -> "EndedRun":
        """RunError where the folder holds no run."""
        run_plan, progress = run_plan_in(folder.run), load(folder.run)
        if run_plan is None or progress is None:
            raise RunError(f"{folder.run} holds no run", hint=f"let it begin: wardround hub resume {folder.hash[:12]}")
        return cls(Plan(folder.study()), run_plan, progress)

    @property
    def model(self) -> Tree:
        return self.progress.model
