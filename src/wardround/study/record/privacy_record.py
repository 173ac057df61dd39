"""What a private run promised and what it cost: the part of a run record that a privacy officer reads."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from wardround.study.record.evaluation_record import Count, as_figure
from wardround.study.sections.section import Section

Cost = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(as_figure)]


class PrivacyRecord(Section):
    """Differential privacy under adding or removing one unit."""

    unit: Literal["patient", "site"] = Field(description="Whose presence is hidden: one patient with all records, or one site.")
    delta: Annotated[float, Field(gt=0, lt=1)] = Field(description="Chance that epsilon does not hold.")
    epsilon: Cost = Field(description="What the whole study costs one unit of one hospital; null where it has no bound.")
    epsilons: dict[str, Cost] = Field(default_factory=dict, description="Epsilon at other deltas.")
    noise_multiplier: Annotated[float, Field(ge=0)] = Field(description="Deviation of the noise over the sensitivity.")
    clip_norm: Annotated[float, Field(gt=0)] = Field(description="Longest gradient, or change of the model, that counts.")
    sampling_rate: Annotated[float, Field(gt=0, le=1)] = Field(description="Chance of a patient to be drawn into one step.")
    events: Count = Field(description="Charged steps of the whole study.")
    collusion: Count | None = Field(
        default=None, description="Hospitals that may help the coordinator; null where the guarantee holds against all others."
    )
    spent: dict[str, Cost] = Field(default_factory=dict, description="Each hospital's ledger after the run, at delta.")
    ledger_study: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(
        default="",
        description="The study's name in the hospitals' ledgers: its hash as they approved it, with their names and keys and the "
        "noise; study_hash is of the file.",
    )
    ledger_entries: dict[str, Count] = Field(
        default_factory=dict, description="Number of the entry in each hospital's ledger with which this study begins."
    )
