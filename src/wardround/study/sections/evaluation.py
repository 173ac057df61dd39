"""The [evaluation] section: how the model is judged."""

from typing import Literal

from pydantic import Field

from wardround.study.sections.section import Section


class ExternalTest(Section):
    """A test set that no hospital trains on. The coordinator holds it, and its run file says where."""

    name: str = Field(default="external", pattern=r"^[a-z][a-z0-9_-]{0,40}$", description="What reports call it.")


class EvaluationSection(Section):
    """How the model is judged. Hospitals send counts, never scores of patients."""

    threshold: Literal["half", "validation", "near_half", "robust"] = Field(
        default="validation",
        description="Where the score becomes a yes: at 0.5 (half); best balanced accuracy on the hospitals' validation patients "
        "(validation); as near to 0.5 as one standard error of that allows (near_half); or the best on validation images seen "
        "through simulated scanner shifts (robust).",
    )
    flip_average: bool = Field(default=False, description="Images: average the score of the image and of its mirror image.")
    own_baseline: bool = Field(
        default=True, description="Also train, at each hospital, a model on its own data alone, to show the benefit."
    )
    external: ExternalTest | None = Field(default=None, description="A test set that no hospital trains on.")
