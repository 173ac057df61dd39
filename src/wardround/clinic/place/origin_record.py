"""Where an accepted model comes from, as far as this hospital was told: who taught it, on how many patients, under which promise.

It is noted at the acceptance, and signed with it: pages read it from there, and ask no registry.
"""

from typing import Literal

from pydantic import Field

from wardround.study.record.evaluation_record import Count
from wardround.study.record.privacy_record import Cost
from wardround.study.sections.section import Section


class OriginRecord(Section):
    """Of the study that the model says it is of. Counts are of all its hospitals together, never of this one alone."""

    hospitals: tuple[str, ...] = Field(default=(), description="Who taught the model, by their names in the study.")
    patients: Count | None = Field(default=None, description="Their patients; null where their sum was not released to this one.")
    records: Count | None = Field(default=None, description="Their records: images or rows; null as above.")
    public_patients: Count | None = Field(
        default=None, description="Rounded number of training patients that a private study states in public; null in others."
    )
    privacy_mode: str = Field(description="Privacy mode of the study; none where it adds no noise.")
    summation_mode: str = Field(description="How contributions were summed: plain or masked.")
    unit: Literal["patient", "site"] | None = Field(
        default=None, description="Whose presence the noise hides: one patient or one hospital; null where there is none."
    )
    epsilon: Cost = Field(default=None, description="What the study costs one unit at most; null where nothing bounds it.")
    delta: float | None = Field(default=None, gt=0, lt=1, description="Chance that epsilon does not hold.")
