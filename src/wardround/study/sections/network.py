"""The [network] section: which network learns, how wide it is, and which part of it changes."""

from typing import Literal

from pydantic import Field, model_validator

from wardround.study.sections.backbone import BackboneSection
from wardround.study.sections.section import Section

NetworkName = Literal["small_cnn", "plain_cnn", "resnet", "efficientnet_lite0", "densenet121", "mlp", "logistic"]
PixelScaling = Literal["none", "standardise", "local"]
Pool = Literal["mean", "mean_max"]

EFFICIENTNET_BLOCKS = 16
LAST_LAYERS = ("head", "dense.class_layers.out")
"""Where a network keeps its last layer: ours, and densenet121's."""
_STAGED = frozenset({"small_cnn", "resnet"})


class NetworkSection(Section):
    """A network by name. Settings that a network does not have are refused, so that no setting is silently ignored."""

    name: NetworkName = Field(
        description="Which network. Images: small_cnn (fast on a CPU, 32 to 128 pixels), plain_cnn (four convolutions, "
        "smaller and faster), resnet (ResNet-18-like), "
        "efficientnet_lite0 "
        "(can start from ImageNet), densenet121 (MONAI). Tables: mlp, logistic. logistic also takes images, as a baseline."
    )
    width: int | None = Field(
        default=None,
        ge=8,
        le=256,
        multiple_of=8,
        description="Channels of the first stage, a multiple of 8 from 8 to 256; each later stage doubles it. "
        "Only small_cnn and plain_cnn (24 when left out) and resnet (64 when left out).",
    )
    blocks: tuple[int, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=6,
        description="Residual blocks in each stage, 1 to 8 a stage, 1 to 6 stages; each stage after the first halves the image. "
        "Only small_cnn ([1, 1, 1, 1] when left out) and resnet ([2, 2, 2, 2] when left out).",
    )
    hidden: tuple[int, ...] | None = Field(
        default=None,
        max_length=8,
        description="Units in each hidden layer, 1 to 4096, at most 8 layers. Only mlp ([64, 32] when left out).",
    )
    scaling: PixelScaling | None = Field(
        default=None,
        description="How pixels are scaled inside the network: standardise (each image to mean 0 and deviation 1), "
        "local (each pixel against "
        "the mean and deviation of its surroundings, which takes out a scanner's exposure and contrast), "
        "none (0..1 as they are). "
        "On images; standardise when left out, but efficientnet_lite0 then scales as its ImageNet weights were trained.",
    )
    pool: Pool | None = Field(
        default=None,
        description="What the head reads of each channel: mean (over all places) or mean_max (also its largest value, which lets "
        "one small opacity speak). Only efficientnet_lite0 (mean when left out).",
    )
    dropout: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="Share of what the head reads that is dropped, drawn anew in each training step, above 0 to below 1. Only "
        "plain_cnn (none when left out), and not where the unit of privacy is the patient.",
    )
    pretrained: bool = Field(
        default=False,
        description="Start from ImageNet weights. Only efficientnet_lite0; needs the extra wardround[pretrained].",
    )
    fine_tune: Literal["all", "head", "from_block"] = Field(
        default="all",
        description="Which parameters change: all, head (the last linear layer only) or from_block (from block number "
        "from_block to the end). "
        "head and from_block only with efficientnet_lite0.",
    )
    from_block: int | None = Field(
        default=None,
        ge=0,
        lt=EFFICIENTNET_BLOCKS,
        description="First block that changes, 0 to 15 of efficientnet_lite0's 16 blocks. Needed with fine_tune = "
        "from_block and only then.",
    )
    backbone: BackboneSection | None = Field(
        default=None, description="A frozen network in front of this one. Images, with mlp or logistic."
    )
    private: Literal["head", "at_home"] | None = Field(
        default=None,
        description="head: the hospitals learn all layers but the last one together. The last one, and the question that it "
        "answers, is each hospital's own, and no other learns of it. Then the study has neither [data.label] nor [task]. Left "
        "out: the whole network and one question are shared. at_home stands in a hospital's own record alone: such a study as "
        "that hospital carried it out, with its question.",
    )

    @property
    def title(self) -> str:
        """What reports call the model."""
        return self.name if self.backbone is None else f"{self.name} on frozen {self.backbone.name}"

    @model_validator(mode="after")
    def _only_what_the_network_has(self) -> "NetworkSection":
        for field, names in (
            ("width", _STAGED | {"plain_cnn"}),
            ("blocks", _STAGED),
            ("hidden", frozenset({"mlp"})),
            ("pool", frozenset({"efficientnet_lite0"})),
            ("dropout", frozenset({"plain_cnn"})),
        ):
            if getattr(self, field) is not None and self.name not in names:
                raise ValueError(f"{self.name} has no setting {field}; only {', '.join(sorted(names))} has it")
        if self.blocks is not None and not all(1 <= count <= 8 for count in self.blocks):
            raise ValueError(f"blocks are 1 to 8 in each stage, found {list(self.blocks)}")
        if self.hidden is not None and not all(1 <= units <= 4096 for units in self.hidden):
            raise ValueError(f"hidden layers have 1 to 4096 units, found {list(self.hidden)}")
        return self

    @model_validator(mode="after")
    def _something_is_shared(self) -> "NetworkSection":
        if self.private and self.trains_only_its_head:
            raise ValueError(
                'private = "head" shares what lies below the last layer, and nothing there learns: choose name = "mlp" with '
                "hidden layers, or another network"
            )
        return self

    @property
    def trains_only_its_head(self) -> bool:
        """Whether nothing below the last layer learns."""
        return self.name == "logistic" or self.hidden == () or self.fine_tune == "head"

    @model_validator(mode="after")
    def _backbone_fits(self) -> "NetworkSection":
        if self.backbone is None:
            return self
        if self.name not in ("mlp", "logistic"):
            raise ValueError(f'{self.name} reads images, and a backbone gives features: choose name = "logistic" or "mlp"')
        if self.scaling is not None:
            raise ValueError("scaling is for pixels, which this network does not see: leave it out, or set backbone.scaling")
        return self

    @model_validator(mode="after")
    def _fine_tuning_fits(self) -> "NetworkSection":
        if self.name != "efficientnet_lite0" and (self.pretrained or self.fine_tune != "all"):
            raise ValueError(f"pretrained and fine_tune belong to efficientnet_lite0, not to {self.name}")
        if (self.from_block is not None) != (self.fine_tune == "from_block"):
            raise ValueError('from_block is the block number that fine_tune = "from_block" starts at: give both or neither')
        if self.fine_tune != "all" and not self.pretrained:
            raise ValueError('fine_tune other than "all" leaves part of the network at its random start: set pretrained = true')
        return self
