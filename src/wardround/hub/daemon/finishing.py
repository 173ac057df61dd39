"""What a study at the hub needs at its two ends: the external test set before it, model, record and report after it.

The hub reads no hospital's folder. So its record holds the totals, and each hospital by its name alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wardround.hub.artifacts import write_artifacts
from wardround.hub.coordinator import Coordinator
from wardround.hub.outcome import NETWORK, Outcome, score_externally
from wardround.hub.run_folder import RunFolder, RunPlan
from wardround.plan.pricing import price_of
from wardround.study.declaration import Study
from wardround.study.record.run_record import PrivacyRecord, RunRecord
from wardround.study.run_settings import RunSettings
from wardround.values.errors import StudyError

Stage = Callable[[Study, RunSettings, Path], None]
WriteEvidence = Callable[[RunRecord, Path], None]


@dataclass(frozen=True)
class Finishing:
    """stage_external: reads the external test set and writes it to a file; None where this hub has no way to. write_evidence:
    writes report and model card into a folder. register: whether the model enters this user's registry."""

    write_evidence: WriteEvidence
    stage_external: Stage | None = None
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

    def write(self, plan: RunPlan, coordinator: Coordinator, folder: RunFolder, settings: RunSettings) -> str:
        """The hash of the model. All that a finished run leaves is in the folder then; writing it again changes nothing."""
        study, progress = coordinator.study, coordinator.progress
        outside = score_externally(study, coordinator.model, coordinator, folder.external, settings.run.device)
        outcome = Outcome(study, plan, progress, None, outside, len(progress.sites), privacy_of(study), engine=NETWORK)
        record = write_artifacts(outcome, coordinator, folder, register=self.register)
        self.write_evidence(record, folder.path)
        for staged in folder.path.glob("external.*"):
            staged.unlink()
        return record.model.sha256 if record.model else ""


def privacy_of(study: Study) -> PrivacyRecord | None:
    """What a private study promised. What it cost each hospital stands in that hospital's own ledger."""
    privacy = study.privacy
    if not privacy.private or privacy.delta is None:
        return None
    price = price_of(study)
    return PrivacyRecord(
        unit=privacy.unit,
        delta=privacy.delta,
        epsilon=price.epsilon,
        epsilons={f"{delta:g}": value for delta, value in price.epsilons.items()},
        noise_multiplier=price.noise_multiplier,
        clip_norm=privacy.clip_norm,
        sampling_rate=privacy.sampling_rate,
        events=price.events,
        collusion=None if privacy.mode == "patient-local" else study.summation.collusion,
        ledger_study=study.hash,
    )
