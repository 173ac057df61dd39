"""[watch] and [retention] of clinic.toml: from where on somebody is told that a model ages, and how long rows are kept."""

from typing import Annotated

from pydantic import Field

from wardround.study.sections.section import Section

Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int, Field(ge=0, le=36500)]


class WatchSection(Section):
    """An alert is raised where the whole 95 % interval lies beyond a limit, so few cases raise none."""

    days: Annotated[int, Field(ge=1, le=3650)] = Field(default=30, description="Cases of so many days are looked at.")
    cases_at_least: Annotated[int, Field(ge=20, le=10**6)] = Field(
        default=100, description="With fewer cases nothing is said of drift, and nothing is shared."
    )
    psi_at_most: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.2, description="Largest population stability index of the score and of each figure of the input."
    )
    more_cannot_tell_at_most: Share = Field(
        default=0.1, description="By how much the share of `cannot tell` may lie above that of the acceptance."
    )
    more_unusual_at_most: Share = Field(
        default=0.05, description="By how much the share of unusual records may lie above that of the acceptance."
    )
    opinions_at_least: Annotated[int, Field(ge=10, le=10**6)] = Field(
        default=30, description="With fewer opinions of doctors nothing is said of agreement and calibration."
    )
    agreement_at_least: Share = Field(default=0.8, description="How often doctors agree with a yes or a no at least.")
    calibration_at_most: Share = Field(
        default=0.1,
        description="By how much the share with the finding, by doctors, may differ from the mean probability.",
    )
    metrics_token: str = Field(
        default="",
        max_length=200,
        description="What opens /metrics, as `Authorization: Bearer TOKEN`; empty: this machine alone, and no proxy before it.",
    )


class RetentionSection(Section):
    """Rows that are older are deleted by `wardround clinic retention --apply`. 0 keeps them."""

    case_days: Days = Field(default=0, description="Cases, their answers, views, opinions and kept films.")
    audit_days: Days = Field(default=0, description="Lines of the audit; the hash that the rest begins from is kept.")
