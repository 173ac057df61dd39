"""The [privacy] section: what is protected beyond keeping records at home, and what a patient's share in a study may cost.

No figure in it comes from data: rates, steps and divisors are public, so that they cost nothing.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wardround.algorithms import PrivacyMode
from wardround.study.sections.section import Section
from wardround.study.sections.site_name import SiteName

Patients = Annotated[int, Field(ge=1, le=2**28)]
_PATIENT_MODES = frozenset({"patient-local", "patient-distributed"})


class PrivacySection(Section):
    """Differential privacy: the mode says whom it protects and where the noise is made (docs/privacy.md)."""

    mode: PrivacyMode = Field(
        default="none",
        description="none: no differential privacy. patient-local: one patient, by noise inside each hospital; holds against "
        "everyone else together. patient-distributed: one patient, by noise that all hospitals make together under the masked "
        "sum; holds against the coordinator with summation.collusion hospitals, and needs less noise. site: one hospital, for "
        "federations of many.",
    )
    epsilon: float | None = Field(
        default=None,
        gt=0,
        le=32,
        description="The most that the whole study may cost one patient (or one site): the noise follows from it.",
    )
    delta: float | None = Field(
        default=None,
        gt=0,
        lt=0.1,
        description="Chance, above 0 to below 0.1, that epsilon does not hold. Patient modes: below 1 / patients of all "
        "hospitals together, better a hundred times; site: at most 0.001, and a tenth of 1 / sites.",
    )
    noise_multiplier: float | None = Field(
        default=None,
        ge=0,
        le=1e6,
        description="Deviation of the noise over clip_norm, 0 to 1e6. With epsilon: what `wardround study privacy` worked out, "
        "and is checked. Alone: epsilon follows. 0 is no noise, and no guarantee, to compare with.",
    )
    clip_norm: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        description="Longest gradient of one patient (site: longest change of one hospital's model) that counts; longer ones are "
        "shortened to it.",
    )
    sampling_rate: float = Field(
        default=1.0, gt=0, le=1, description="Chance with which a patient takes part in one step; each hospital draws in secret."
    )
    steps: int | None = Field(
        default=None, ge=1, le=100_000, description="patient-local: private steps of a hospital in each round."
    )
    public_patients: Patients | dict[SiteName, Patients] | None = Field(
        default=None,
        description="Public, rounded number of training patients: one for every hospital, or one for each by name. Steps and "
        "weights are computed with it and never with the true number. Needed for the patient modes.",
    )
    images_per_patient: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="At most so many of a patient's records in one step, drawn in secret; the patient's gradient is their mean. "
        "Left out: all.",
    )
    views: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Augmented views of each record in a step; their mean costs no more than one.",
    )

    @property
    def private(self) -> bool:
        return self.mode != "none"

    @property
    def of_patients(self) -> bool:
        """Whether one patient is the unit that is protected."""
        return self.mode in _PATIENT_MODES

    @property
    def unit(self) -> Literal["patient", "site"]:
        return "site" if self.mode == "site" else "patient"

    def step_weight(self, patients: int) -> int:
        """How many of so many patients one step stands for: a public number."""
        return max(1, round(self.sampling_rate * patients))

    @model_validator(mode="after")
    def settings_belong_to_the_mode(self) -> "PrivacySection":
        if not self.private:
            set_anyway = [
                name for name in type(self).model_fields if getattr(self, name) != type(self).model_fields[name].default
            ]
            if set_anyway:
                raise ValueError(f'{set_anyway[0]} means nothing with mode = "none": remove it or choose a mode')
            return self
        if self.delta is None:
            raise ValueError("a private study says its delta, for example 1e-5")
        if self.epsilon is None and self.noise_multiplier is None:
            raise ValueError("a private study says its epsilon (the noise follows), or its noise_multiplier (epsilon follows)")
        self._steps_fit()
        return self

    def _steps_fit(self) -> None:
        if (self.steps is not None) != (self.mode == "patient-local"):
            raise ValueError('steps, of a hospital in each round, is what mode = "patient-local" needs, and it alone')
        if self.of_patients and self.public_patients is None:
            raise ValueError("public_patients is missing: a public, rounded number of training patients for each hospital")
        of_patients = (self.public_patients, self.sampling_rate, self.images_per_patient, self.views)
        if not self.of_patients and of_patients != (None, 1.0, None, 1):
            raise ValueError('public_patients, sampling_rate, images_per_patient and views mean nothing with mode = "site"')
