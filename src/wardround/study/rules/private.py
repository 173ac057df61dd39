"""What a private study may not ask for: settings by which something that nobody paid for would leave a hospital, or would make
one patient's data change another's gradient."""

import math
from collections.abc import Iterator

from wardround.algorithms import PrivacyMode, names_where, statement_of
from wardround.study.label import LABEL_KINDS
from wardround.study.rules.sections import PatientSections, Sections

_WORK_UNDER: dict[PrivacyMode, str] = {
    "patient-local": "trains inside each hospital",
    "patient-distributed": "adds gradients step by step",
    "site": "protects one change of the model",
}
"""What a mode needs of an algorithm."""
LARGEST_DELTA_OF_SITES = 1e-3
"""Sites are few, so 1 / sites says little; and where the bound fails, all patients of a hospital may show at once."""

LARGEST_STEP = 2**18
"""Patients that one site may plan to draw in a step. Their true number may be four times the public one, and a draw varies: the
clipped sum is proved for eight times as many (`training/per_patient/clipping.py`)."""


def units_together(study: PatientSections) -> int:
    """The public number of patients (or of sites) of all hospitals together; of the fewest there may be where none is named."""
    sites = max(len(study.sites.names), study.sites.minimum)
    if not study.privacy.of_patients:
        return sites
    stated = study.privacy.public_patients
    return sum(stated.values()) if isinstance(stated, dict) else (stated or 1) * sites


def broken_rules(study: Sections) -> Iterator[str]:
    """One sentence for each setting that a private study cannot keep to; nothing for a sound one."""
    privacy = study.privacy
    if not privacy.private:
        return
    yield from _of_evaluation(study)
    yield from _of_the_algorithm(study)
    yield from broken_delta(study)
    if privacy.mode != "patient-local" and study.summation.mode == "plain":
        yield f'privacy.mode = "{privacy.mode}" adds noise by shares, which the masked sum hides: set summation.mode = "masked"'
    if privacy.of_patients:
        yield from _of_training(study)
        yield from _of_the_step(study)
        if study.data.kind == "image" and not study.data.patient.required:
            yield (
                "data.patient.required: images that name no patient count as a patient each, so that somebody with ten is "
                "protected ten times less: set it to true"
            )
        if study.data.splits.declared:
            yield (
                "data.splits.declared: where a source declares no validation patient, others take that place, so one patient can "
                "move many: leave it out"
            )
    if study.summation.max_update_norm is not None:
        yield "summation.max_update_norm and privacy.clip_norm bound the same thing: leave summation.max_update_norm out"
    if privacy.mode != "patient-local" and study.summation.word_bits != 32:
        yield "the words of a noised sum follow from its noise: leave summation.word_bits out"


def _of_the_step(study: Sections) -> Iterator[str]:
    stated = study.privacy.public_patients
    largest = max(stated.values(), default=1) if isinstance(stated, dict) else stated or 1
    if study.privacy.sampling_rate * largest > LARGEST_STEP:
        yield (
            f"privacy.sampling_rate: {study.privacy.sampling_rate:g} of {largest:,} patients of one hospital would be drawn in a "
            f"step, and clipping is proved for up to {LARGEST_STEP:,}: set it to {_below(LARGEST_STEP / largest)} or less"
        )


def _below(rate: float) -> str:
    """A rate in three digits, rounded down."""
    digits = 2 - math.floor(math.log10(rate))
    return f"{math.floor(rate * 10.0**digits) / 10.0**digits:.{digits}f}"


def broken_delta(study: PatientSections) -> Iterator[str]:
    """One sentence for a delta that promises nothing. Whoever gives one unit's data away, drawn by lot, keeps to epsilon 0 with a
    delta of 1 / units."""
    delta, units = study.privacy.delta or 0.0, units_together(study)
    if study.privacy.of_patients and delta * units >= 1:
        yield (
            f"privacy.delta = {delta:g} must be below 1 / patients of all hospitals together, {1 / units:.2g} for {units}: with "
            "it, giving a whole patient's record away would count as private"
        )
    most = min(LARGEST_DELTA_OF_SITES, 0.1 / units)
    if not study.privacy.of_patients and delta > most:
        yield (
            f"privacy.delta = {delta:g} is the chance that a whole hospital shows, with all its patients: set it to {most:.1g} "
            "or less, a tenth of 1 / sites and never above 0.001"
        )


def _asks(study: Sections, setting: str) -> bool:
    """Whether the kind of question reads this setting."""
    return setting in LABEL_KINDS[study.data.label.kind].uses


def _of_evaluation(study: Sections) -> Iterator[str]:
    if _asks(study, "evaluation.threshold") and study.evaluation.threshold not in ("half", "local"):
        yield (
            f'evaluation.threshold = "{study.evaluation.threshold}" is chosen on the validation patients of all hospitals, which '
            'nobody paid for: set it to "local", each hospital\'s own, which stays there, or to "half"'
        )
    if study.evaluation.own_baseline:
        yield "evaluation.own_baseline shows a model that was trained without privacy: set it to false"
    if study.summation.max_auc_drop is not None:
        yield "summation.max_auc_drop looks at validation patients, and nobody paid for that: leave it out"


def _of_the_algorithm(study: Sections) -> Iterator[str]:
    mode, name = study.privacy.mode, study.algorithm.name
    if mode not in statement_of(name).privacy_modes:
        others = names_where(lambda statement: mode in statement.privacy_modes)
        yield f'mode = "{mode}" {_WORK_UNDER[mode]}: set algorithm.name = {others} instead of "{name}"'


def _of_training(study: Sections) -> Iterator[str]:
    training, plain = study.training, type(study.training)()
    public = any(one.share is not None for one in study.data.label.asked.classes)
    if _asks(study, "training.class_balance") and training.class_balance and not public:
        yield "training.class_balance weighs by counts of patients, so one patient changes every gradient: set it to false"
    if training.augmentation.mixup:
        yield "training.augmentation.mixup mixes two patients into one gradient: leave it out"
    if training.clip_norm is not None:
        yield "privacy.clip_norm bounds each patient's gradient: leave training.clip_norm out"
    steps = (training.batch_size, training.local_epochs) != (plain.batch_size, plain.local_epochs)
    if steps and not study.personal.candidates:
        yield "patients are drawn by privacy.sampling_rate: leave training.batch_size and training.local_epochs out"
