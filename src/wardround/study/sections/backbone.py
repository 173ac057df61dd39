"""The [network.backbone] section: a frozen network in front of the one that learns, and what is read off it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wardround.study.sections.section import Section

FeatureScaling = Literal["none", "unit", "synthetic"]
Stage = Annotated[int, Field(ge=1, le=8)]

# Channels at the end of stages 1 to 7 of EfficientNet-Lite0, and of its last convolution, stage 8.
STAGE_CHANNELS = (16, 24, 40, 80, 112, 192, 320, 1280)
SMALLEST_SIDE = 32


class BackboneSection(Section):
    """A frozen network in front of the one that learns. Each hospital computes its features once and trains on them."""

    name: Literal["efficientnet_lite0"] = Field(
        default="efficientnet_lite0",
        description="Which network: efficientnet_lite0 with ImageNet weights; needs the extra wardround[pretrained].",
    )
    average: tuple[Stage, ...] = Field(
        default=(3, 4, 5, 6, 7),
        max_length=8,
        description="Stages whose channels are averaged over the image, 1 (fine) to 8 (the last convolution); they have 16, 24, "
        "40, 80, 112, 192, 320 and 1280 channels.",
    )
    maximum: tuple[Stage, ...] = Field(
        default=(3, 4, 5, 6, 7),
        max_length=8,
        description="Stages whose channels are also, or instead, represented by their largest value over the image.",
    )
    scaling: FeatureScaling = Field(
        default="synthetic",
        description="How features are scaled before the network that learns. none. unit: within each image, the averages and the "
        "maxima of each stage to mean 0 and deviation 1, then all features to length 1. synthetic: within each image as before, "
        "then each feature against its mean and deviation over a fixed set of drawn radiographs, then all to length 1. No "
        "hospital's data decide any of it, so nothing is paid for it in a private study.",
    )

    views: int = Field(
        default=0,
        ge=0,
        le=16,
        description="Changed views of each training image, as training.augmentation says, whose features are learned from "
        "beside its own; made once. Other scanners then surprise the model less. Only in the patient modes of privacy, where a "
        "patient's views are part of the one unit.",
    )
    feature_mean: bool = Field(
        default=False,
        description="Also take the mean over all hospitals' patients from the scaled features. The first round sums it in "
        "place of a step; in a private study it is noised and charged like one. Only with an algorithm that "
        "sums it (docs/algorithms.md).",
    )

    @model_validator(mode="after")
    def _centred_features_are_scaled(self) -> "BackboneSection":
        if self.feature_mean and self.scaling == "none":
            raise ValueError('feature_mean needs features of length 1: set scaling to "unit" or "synthetic"')
        return self

    @model_validator(mode="after")
    def _stages_are_in_order(self) -> "BackboneSection":
        for field in ("average", "maximum"):
            stages = getattr(self, field)
            if list(stages) != sorted(set(stages)):
                raise ValueError(f"{field} names each stage once, in rising order; found {list(stages)}")
        if not self.average and not self.maximum:
            raise ValueError("average and maximum are both empty: name at least one stage")
        return self

    @property
    def parts(self) -> tuple[int, ...]:
        """Features in each part of an image's row: the averages stage by stage, then the maxima."""
        return tuple(STAGE_CHANNELS[stage - 1] for stage in (*self.average, *self.maximum))

    @property
    def features(self) -> int:
        """How many numbers an image becomes."""
        return sum(self.parts)
