"""The [training] section: how a hospital trains on its own records within one round."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wardround.study.sections.section import Section

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class AugmentationSection(Section):
    """Random changes of each training image, drawn anew every time it is read. Zero (or 1 for a factor) switches one off.

    They apply to images only; a table ignores them unless mixup is set.
    """

    shift: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        default=0.0, description="Largest shift along each axis, as a fraction of the image's side, 0 to 0.5."
    )
    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = Field(
        default=0.0, description="Largest rotation either way, in degrees, 0 to 180."
    )
    scale: Annotated[float, Field(ge=1.0, le=4.0)] = Field(
        default=1.0, description="Largest zoom in or out as a factor, 1 (none) to 4; drawn evenly in the logarithm."
    )
    stretch: Annotated[float, Field(ge=1.0, le=2.0)] = Field(
        default=1.0,
        description="Largest change of the height to width ratio as a factor, 1 (none) to 2; drawn evenly in the logarithm.",
    )
    shear: Annotated[float, Field(ge=0.0, le=45.0)] = Field(
        default=0.0, description="Largest shear either way, in degrees, 0 to 45."
    )
    border: Literal["zeros", "repeat", "reflect"] = Field(
        default="zeros",
        description="What a moved image shows beyond its own edge: zeros (black), repeat (its outermost pixels) or reflect (its "
        "mirror image).",
    )
    flip: Fraction = Field(default=0.0, description="Chance of a left-right mirror image, 0 to 1.")
    gamma: Annotated[float, Field(ge=1.0, le=4.0)] = Field(
        default=1.0,
        description="Largest gamma (pixel to the power gamma) or its inverse, 1 (none) to 4; drawn evenly in the logarithm.",
    )
    contrast: Annotated[float, Field(ge=1.0, le=4.0)] = Field(
        default=1.0,
        description="Largest contrast factor about the image's mean, or its inverse, 1 (none) to 4; drawn evenly in "
        "the logarithm.",
    )
    brightness: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.0, description="Largest brightness added or taken away, as a fraction of the full range, 0 to 1."
    )
    blur: Annotated[float, Field(ge=0.0, le=0.1)] = Field(
        default=0.0, description="Largest Gaussian blur, standard deviation as a fraction of the image's side, 0 to 0.1."
    )
    sharpen: Annotated[float, Field(ge=0.0, le=4.0)] = Field(
        default=0.0, description="Largest sharpening: how many times the blurred-away detail is added back, 0 to 4."
    )
    noise: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        default=0.0, description="Largest standard deviation of added noise, as a fraction of the full range, 0 to 0.5."
    )
    chance: Fraction = Field(
        default=1.0,
        description="Chance that an image is changed by the settings above (flip aside), 0 to 1; the others stay as they are.",
    )
    cutout: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.0, description="Side of one square that is blanked, as a fraction of the image's side, 0 (none) to 1."
    )
    cutout_chance: Fraction = Field(default=0.5, description="Chance that an image gets the blanked square, 0 to 1.")
    cutout_fill: Literal["zero", "mean"] = Field(
        default="zero", description="What the blanked square is set to: zero (black) or mean (the mean of the image itself)."
    )
    mixup: Annotated[float, Field(ge=0.0, le=2.0)] = Field(
        default=0.0, description="Mixup: alpha of the Beta distribution that mixes two records and their labels, 0 (off) to 2."
    )


class TrainingSection(Section):
    """Local training. The learning rate follows one curve over all rounds, as if the rounds were one long training."""

    local_epochs: Annotated[float, Field(gt=0.0, le=100.0)] = Field(
        default=1.0,
        description="Passes over a hospital's own records in each round, above 0 to 100; may be a fraction: the next "
        "round goes on where this "
        "one stopped.",
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] = Field(default=64, description="Records in one optimiser step, 1 to 4096.")
    micro_batch: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=32,
        description="Records computed at once on one CPU thread, 1 to 4096. A batch is always cut this way, so the "
        "model does not depend on "
        "the number of threads; smaller pieces spread better, larger ones compute faster.",
    )
    optimizer: Literal["sgd", "adamw"] = Field(
        default="adamw",
        description="sgd (with momentum) or adamw. Its state starts anew in each round, unless keep_optimizer. Of molecules the "
        "default is sgd with momentum 0.9 and a learning rate of 0.1: adamw fails on bits that few molecules have.",
    )
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = Field(
        default=1e-3, description="Highest learning rate of the schedule, above 0 to 10."
    )
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.0, description="Momentum of sgd, 0 to below 1; adamw has its own."
    )
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.999, description="How slowly adamw forgets the squares of earlier gradients, 0 to below 1; 0.99 fits few steps."
    )
    keep_optimizer: bool = Field(
        default=False,
        description="Each hospital keeps its optimiser's state (moments and step count) from round to round, in its own folder; "
        "it never leaves. A round that did not count leaves no trace in it.",
    )
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.0,
        description="Weight decay, 0 to 1: decoupled (times the learning rate) for weights; biases and norms are left alone.",
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="Learning rate over all rounds: cosine (falls to final_rate) or constant."
    )
    warmup_rounds: Annotated[float, Field(ge=0.0, le=100.0)] = Field(
        default=0.0,
        description="Rounds, 0 to 100, over which the learning rate first rises in a straight line; may be a fraction.",
    )
    final_rate: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.01, description="Where the cosine ends, as a fraction of learning_rate, 0 to 1."
    )
    class_balance: bool = Field(
        default=True,
        description="Weigh each class by the inverse of its count at the hospital: the answers are then those of patients of "
        "whom half have the finding, and no probabilities where fewer have it. A hospital with one class only uses weight 1.",
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = Field(
        default=0.0,
        description="How far the target is drawn towards one half: 0 means targets 0 and 1, 0.1 means 0.05 and 0.95. Below 0.5.",
    )
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.0,
        description="Decay per step of a moving average of the weights within a round, 0 (off) to below 1; the average "
        "is what the hospital gives.",
    )
    clip_norm: Annotated[float, Field(gt=0.0)] | None = Field(
        default=None, description="Largest length of the whole gradient; longer ones are scaled down. Left out: no limit."
    )
    head_passes: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10,
        description="With network.private: most passes over a hospital's own records, after the last round, in which its last "
        "layer alone learns, at the learning rate; how many is chosen on its validation records. 0 to 100.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**53)] = Field(
        default=0, description="Start of all random choices of training, 0 to 2^53 - 1. Never used where privacy is claimed."
    )
    augmentation: AugmentationSection = Field(
        default_factory=AugmentationSection, description="Random changes of the training images."
    )

    @model_validator(mode="after")
    def _settings_fit(self) -> "TrainingSection":
        if self.optimizer == "adamw" and self.momentum:
            raise ValueError('momentum belongs to sgd; adamw has its own: leave momentum out or choose optimizer = "sgd"')
        return self
