"""Which model one hospital keeps, and why: the candidates on its validation patients, the chosen one on its test patients."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from wardround.study.record.evaluation_record import Count, Evaluation, Figure, Interval, Sha256, as_interval, by_name
from wardround.study.sections.evaluation import DecisionSetting
from wardround.study.sections.section import Section

Ends = Annotated[Interval | None, BeforeValidator(as_interval)]
LOG_LOSS = "log_loss"
"""The key of a difference of mean losses, beside those of figures."""


class PairedRecord(Section):
    """Two models on the same test patients of one site: the second model's figure less the first's. In `SiteRecord.paired` the
    second is the shared model and the first the site's own."""

    difference: Figure = Field(description="The difference; null where the patients cannot give it.")
    interval: Ends = Field(default=None, description="Two-sided 95 % interval of the difference; null where undefined.")
    p_value: Figure = Field(description="Two-sided p-value of no difference; null where undefined.")
    n: Count = Field(description="Records that both models were tested on.")
    discordant: Count = Field(description="Records that the two models treat differently.")


class CandidateRecord(Section):
    """One candidate on the validation patients. What was tuned on them is scored on those it was not tuned on."""

    name: str = Field(description="own, federated, fine_tuned, private_head, proximal, recalibrated, mixed or neighbours.")
    setting: str = Field(default="", description="What was tuned, in words, as `3 passes`; empty where nothing was.")
    loss: Figure = Field(description="Mean loss of a validation patient, in nats; null where there is none.")
    interval: Ends = Field(default=None, description="Two-sided 95 % interval of the loss.")
    gain: Figure = Field(default=None, description="By how much the loss is below that of the own model, patient by patient.")
    standard_error: Figure = Field(default=None, description="One standard error of the gain; null where undefined.")


class PersonalRecord(Section):
    """What one hospital made of the shared model, and what it keeps. Nothing of it left the hospital."""

    chosen: str = Field(
        description="Name of the candidate that the hospital keeps, or of the two whose mean it keeps, with ` + ` between."
    )
    reason: str = Field(description="Why, in one line.")
    few: bool = Field(description="True where so few validation patients chose that another draw may choose otherwise.")
    patients: Count = Field(description="Validation patients that the candidates were scored on.")
    candidates: tuple[CandidateRecord, ...] = Field(description="In the study's order.")
    test: Evaluation | None = Field(default=None, description="The chosen model on the hospital's test patients.")
    losses: Annotated[dict[str, Figure], AfterValidator(by_name)] = Field(
        default_factory=dict, description="Mean loss of a test record, in nats: own, federated, chosen."
    )
    over_own: Annotated[dict[str, PairedRecord], AfterValidator(by_name)] = Field(
        default_factory=dict,
        description="The chosen model's figure less the own model's, on the same test patients: the headline and `log_loss`.",
    )
    over_federated: Annotated[dict[str, PairedRecord], AfterValidator(by_name)] = Field(
        default_factory=dict, description="The same less the shared model's."
    )
    threshold: DecisionSetting = Field(
        default=None,
        description="The number by which the chosen model's output becomes a decision, of several findings one of each; null "
        "where there is none.",
    )
    parameters: Count = Field(default=0, description="Numbers of the chosen model's networks.")
    holds_records: bool = Field(
        default=False,
        description="True where the chosen model's files hold values of single patients: they must never leave the hospital.",
    )
    sha256: Sha256 | None = Field(default=None, description="Hash of the chosen model's safetensors file.")
    files: Annotated[dict[str, str], AfterValidator(by_name)] = Field(
        default_factory=dict, description="File name within the hospital's folder by kind: safetensors, onnx, card."
    )
