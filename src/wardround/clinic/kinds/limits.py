"""What a record keeps of a kind's tuning: how outputs are corrected, and what may be told of them."""

from typing import Annotated, Literal

from pydantic import Field

from wardround.study.sections.section import Section
from wardround.tasks.binary.conformal import ConformalLimits
from wardround.tasks.binary.local_map import LocalMap

CorrectionName = Literal["none", "offset", "line", "maps"]
Promise = Annotated[float, Field(gt=0, lt=1, description="Share of cases whose answer is to hold the truth.")]
Cases = Annotated[int, Field(ge=0, description="Cases that made it.")]


class Correction(Section):
    """Outputs become slope times outputs plus an offset: one for all, or one for each."""

    name: CorrectionName = Field(default="none", description="none: as the model says it. maps: a yes or no's map each.")
    slope: float = Field(default=1.0, gt=0, description="Of line; 1 elsewhere.")
    offsets: tuple[float, ...] = Field(default=(), description="One, or one for each output.")
    maps: tuple[LocalMap, ...] = Field(default=(), description="findings: the map of each.")


class ClassLimits(Section):
    """A class may be true where its chance is at or above its floor: so often as was promised of cases of that class."""

    kind: Literal["classes"] = "classes"
    promise: Promise
    floors: tuple[float | None, ...] = Field(description="Logarithm of the least chance, by class; null rules it never out.")
    cases: tuple[int, ...] = Field(description="Cases that made each.")


class GradeLimits(Section):
    """Grades whose chance is at or above a floor, and those between them."""

    kind: Literal["grades"] = "grades"
    promise: Promise
    floor: float | None = Field(default=None, description="The least chance, 0 to 1; null holds every grade.")
    cases: Cases


class FindingLimits(Section):
    """Of each finding the limits of a yes or no."""

    kind: Literal["findings"] = "findings"
    promise: Promise
    each: tuple[ConformalLimits, ...] = Field(description="In the order of the study.")


class Reach(Section):
    """How far an interval reaches beyond what the model gives: of a number beyond its own range, of a count around its root."""

    kind: Literal["number", "count"]
    promise: Promise
    reach: float | None = Field(default=None, description="On the scale of the outputs; null: the whole range.")
    cases: Cases


class LikeGroup(Section):
    """Cases of this hospital with answers like one another, and what became of them (Kaplan-Meier, Greenwood, 95 %)."""

    until: float | None = Field(description="The largest risk of the group; null of the last.")
    cases: Cases
    events: int = Field(ge=0, description="Cases with the event by the last horizon.")
    survival: tuple[float, ...] = Field(description="Share without the event at each horizon.")
    low: tuple[float | None, ...] = Field(description="Null where nobody was followed so long.")
    high: tuple[float | None, ...]


class TimeLimits(Section):
    """What like patients had."""

    kind: Literal["time"] = "time"
    groups: tuple[LikeGroup, ...] = Field(min_length=1, description="From the least risk on.")


Limits = Annotated[ClassLimits | GradeLimits | FindingLimits | Reach | TimeLimits, Field(discriminator="kind")]
