"""The [evaluation] section: how the model is judged."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from wardround.study.sections.section import Section

ModelHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Probability = Annotated[float, Field(ge=0, le=1)]
Decision = float | tuple[float, ...] | None
"""The threshold of a yes or no; of several findings one of each, in their order; None of a question that has none."""
DecisionSetting = Probability | tuple[Probability, ...] | None


def as_decision(stored: Any) -> Decision:
    """A decision that went through JSON, where several are a list."""
    return tuple(stored) if isinstance(stored, list) else stored


Threshold = Literal["half", "validation", "near_half", "robust", "local"]


class ExternalTest(Section):
    """A test set that no hospital trains on. The coordinator holds it, and its run file says where."""

    name: str = Field(default="external", pattern=r"^[a-z][a-z0-9_-]{0,40}$", description="What reports call it.")


class EvaluationSection(Section):
    """How the model is judged. Hospitals send counts, never scores of patients."""

    threshold: Threshold = Field(
        default="validation",
        description="Where the score becomes a yes: at 0.5 (half); best balanced accuracy on the hospitals' validation patients "
        "(validation); as near to 0.5 as one standard error of that allows (near_half); the best on validation images seen "
        "through simulated scanner shifts (robust); or at each hospital as near to 0.5 as its own validation patients allow, "
        "which no other hospital learns, and 0.5 elsewhere (local). Each of several findings has its own.",
    )
    flip_average: bool = Field(default=False, description="Images: average the score of the image and of its mirror image.")
    own_baseline: bool = Field(
        default=True, description="Also train, at each hospital, a model on its own data alone, to show the benefit."
    )
    external: ExternalTest | None = Field(default=None, description="A test set that no hospital trains on.")
    model: ModelHash | None = Field(
        default=None,
        description="The finished model that hospitals are asked to evaluate, with algorithm.rounds = 0: the hash of its arrays, "
        "64 hexadecimal digits, as `wardround study new --evaluate MODEL` writes it. Nothing is trained then. Left out: the "
        "study trains a model and evaluates it.",
    )
    model_threshold: DecisionSetting = Field(
        default=None,
        description="With model: the threshold that the model has, a probability from 0 to 1, at which it is judged; of several "
        "findings a list, one of each in their order. Left out: one by the rule of threshold, on the hospitals' validation "
        "patients.",
    )

    @property
    def shared_rule(self) -> Threshold:
        """How the threshold is chosen by which all hospitals are judged together, and which the shared model carries."""
        return "half" if self.threshold == "local" else self.threshold

    @property
    def home_rule(self) -> Threshold:
        """How a hospital chooses a threshold from its own validation patients alone."""
        return "near_half" if self.threshold == "local" else self.threshold
