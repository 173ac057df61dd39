"""The [simulation] section: how one data set becomes several hospitals on one machine."""

from typing import Annotated, Literal

from pydantic import Field

from wardround.study.sections.section import Section
from wardround.study.sections.site_name import SiteName

Share = Annotated[float, Field(gt=0, le=1)]


class SimulatedHospital(Section):
    """One hospital that `wardround simulate` makes from a single data set."""

    name: SiteName = Field(description="The hospital's name.")
    share: Share = Field(default=1.0, description="Its share of the records, relative to the others.")
    positive_share: float | None = Field(
        default=None, ge=0, le=1, description="by = label: the share of positive records it should have."
    )
    task: str | None = Field(
        default=None,
        description="With network.private: the hospital's own task file, relative to the run file.",
    )


class SimulationSection(Section):
    """How one data set becomes several hospitals on one machine."""

    by: Literal["iid", "size", "label", "dirichlet", "column", "scaffold"] = Field(
        default="iid",
        description="iid: equal random parts; size: by share; label: by share and positive_share; dirichlet: label shares drawn "
        "with concentration alpha; column: the hospitals that the data set itself names; scaffold: molecules, each scaffold at "
        "one hospital, by a hash and share. Patients are never divided.",
    )
    hospitals: tuple[SimulatedHospital, ...] = Field(default=(), description="The hospitals, with their shares.")
    alpha: float = Field(default=0.5, gt=0, le=1000, description="dirichlet: concentration; smaller is more uneven.")
    seed: int = Field(default=1, ge=0, lt=2**31, description="Seed of the division.")

    @property
    def tasks(self) -> dict[str, str]:
        """The task files of the hospitals that have one."""
        return {hospital.name: hospital.task for hospital in self.hospitals if hospital.task is not None}
