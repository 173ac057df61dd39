"""The short sections of a study: question, algorithm, summation, evaluation, sites, simulation.

The data contract, the network, the training and the privacy have modules of their own.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from wardround.study.section import Section
from wardround.study.site_name import SiteName
from wardround.values.quorum import LARGEST

IdentityKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(gt=0, le=1)]


class QuestionSection(Section):
    """What the study asks, in words that a doctor and a privacy officer can read."""

    title: str = Field(min_length=3, max_length=200, description="One line that names the study.")
    description: str = Field(default="", max_length=5000, description="What is asked, of whom, and why.")
    intended_use: str = Field(default="", max_length=5000, description="What the model may be used for, and what not.")
    contact: str = Field(default="", max_length=500, description="Who answers questions about the study.")


class AlgorithmSection(Section):
    """How the sites' work becomes one model. `docs/algorithms.md` helps to choose."""

    name: Literal["fedavg", "fedprox", "fedopt", "scaffold", "fedbn", "fedsgd"] = Field(
        default="fedavg", description="The federated algorithm."
    )
    rounds: int = Field(
        default=10, ge=1, le=100_000, description="How many times every hospital is visited; with fedsgd each visit is one step."
    )
    proximal_mu: float = Field(
        default=0.01, ge=0, le=100, description="fedprox: weight of the pull towards the round's starting model."
    )
    server_optimizer: Literal["momentum", "adagrad", "adam", "yogi"] = Field(
        default="adam", description="fedopt and fedsgd: the optimiser that the coordinator takes its step with."
    )
    server_learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="fedopt, fedsgd and scaffold: the coordinator's step size. Left out: 1 for momentum and scaffold, 0.01 for "
        "adagrad, adam and yogi, whose steps are of about this size in every value.",
    )
    server_momentum: float = Field(default=0.9, ge=0, lt=1, description="fedopt and fedsgd: momentum, beta 1.")
    server_beta2: float = Field(default=0.99, ge=0, lt=1, description="fedopt and fedsgd: beta 2 of adam and yogi.")
    server_tau: float = Field(
        default=1e-3, gt=0, le=1, description="fedopt and fedsgd: adaptivity; larger is closer to plain momentum."
    )
    server_schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="fedsgd: the step size over all rounds: constant, or falling to nothing as half a cosine."
    )
    server_decay: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="fedsgd: weight decay of a step, times the step size; biases and norms are left alone.",
    )
    server_average: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="fedsgd: share of the last rounds whose models are averaged into the result, 0 (the last alone) to 1.",
    )


class SummationSection(Section):
    """How contributions are added: in fixed point, so that every way of adding gives the same bits."""

    mode: Literal["masked", "plain"] = Field(
        default="masked",
        description="masked: each hospital hides its contribution, and only the sum over the hospitals can be opened, by "
        "`threshold` of them together. plain: the coordinator receives each hospital's contribution and adds them.",
    )
    threshold: int | None = Field(
        default=None,
        ge=2,
        le=LARGEST,
        description="masked: how many hospitals must contribute, and help to open the sum. More than half of hospitals and "
        "collusion together. Left out: the smallest that protects, and at least sites.minimum.",
    )
    collusion: int = Field(
        default=1,
        ge=0,
        le=LARGEST - 2,
        description="masked: how many hospitals may work together with the coordinator and still learn nothing but the sum. With "
        "1, three hospitals need all three in every round. 0 trusts every hospital not to help the coordinator.",
    )
    word_bits: Literal[16, 32] = Field(
        default=32,
        description="Bits per value on the wire. 16 halves what travels and needs a tight clip: measured on a small network "
        "with 40 steps of Adam, rounding adds 1e-7 of the mean change (squared) with the clip at learning rate x steps, and 1e-3 "
        "with the default of 4.",
    )
    clip: float = Field(
        default=4.0,
        gt=0,
        le=1e6,
        description="Largest change of one model value in one round that a site sends; more is clipped. "
        "The default fits any training and wastes most of a 16-bit word: with those choose a tight one, for AdamW about "
        "learning rate x steps of a round.",
    )

    longest: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="Largest Euclidean length of one hospital's change of the model in a round: each shortens its own to it, and "
        "a round whose mean is longer is not used. Left out: no limit.",
    )
    largest_drop: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="A round is taken back where its model lowers the validation AUC of all hospitals together by more than "
        "this. Left out: never.",
    )

    @model_validator(mode="after")
    def plain_has_no_threshold(self) -> "SummationSection":
        if self.mode == "plain" and self.threshold is not None:
            raise ValueError("summation.threshold belongs to the masked sum; sites.minimum is what the plain sum keeps")
        return self


class ExternalTest(Section):
    """A test set that no hospital trains on. The coordinator holds it."""

    name: str = Field(default="external", pattern=r"^[a-z][a-z0-9_-]{0,40}$", description="What reports call it.")
    dataset: str | None = Field(
        default=None, description="A data set by name (`wardround data list`): the test split that its publisher set apart."
    )
    path: str | None = Field(default=None, description="Or a path, relative to the study file.")
    split: Literal["train", "validation", "test", "all"] = Field(
        default="test", description="With path: which of the splits that the source declares is the test set, or all records."
    )

    @model_validator(mode="after")
    def one_place(self) -> "ExternalTest":
        if (self.dataset is None) == (self.path is None):
            raise ValueError("name either a dataset or a path")
        return self


class EvaluationSection(Section):
    """How the model is judged. Hospitals send counts, never scores of patients."""

    threshold: Literal["half", "validation", "robust"] = Field(
        default="validation",
        description="Where the score becomes a yes: at 0.5; best balanced accuracy on the hospitals' validation patients; or "
        "the same on validation images seen through simulated scanner shifts.",
    )
    flip_average: bool = Field(default=False, description="Images: average the score of the image and of its mirror image.")
    own_baseline: bool = Field(
        default=True, description="Also train, at each hospital, a model on its own data alone, to show the benefit."
    )
    external: ExternalTest | None = Field(default=None, description="A test set that no hospital trains on.")


class SitesSection(Section):
    """Which hospitals take part and when a round counts."""

    names: tuple[SiteName, ...] = Field(default=(), description="The hospitals. Empty: whoever is named when the study runs.")
    keys: dict[SiteName, IdentityKey] = Field(
        default_factory=dict,
        description="The public identity key of each hospital, 64 hexadecimal digits, compared out of band. A simulation makes "
        "its own.",
    )
    minimum: int = Field(default=2, ge=1, le=10_000, description="A round with fewer contributions than this stops the run.")
    deadline_s: float = Field(default=3600.0, gt=0, le=604_800, description="Seconds that a hospital has to answer an order.")

    @model_validator(mode="after")
    def names_are_different(self) -> "SitesSection":
        if len(set(self.names)) != len(self.names):
            raise ValueError("two sites have the same name")
        if self.keys and set(self.keys) != set(self.names):
            raise ValueError("sites.keys must hold exactly one key for each of sites.names")
        if len(set(self.keys.values())) != len(self.keys):
            raise ValueError("two sites have the same key: somebody would be counted twice")
        if self.names and self.minimum > len(self.names):
            raise ValueError(f"minimum is {self.minimum}, but only {len(self.names)} sites are named")
        return self


class SimulatedHospital(Section):
    """One hospital that `wardround simulate` makes from a single data set."""

    name: SiteName = Field(description="The hospital's name.")
    share: Share = Field(default=1.0, description="Its share of the records, relative to the others.")
    positive_share: float | None = Field(
        default=None, ge=0, le=1, description="by = label: the share of positive records it should have."
    )


class SimulationSection(Section):
    """How one data set becomes several hospitals on one machine. Real hospitals ignore this section."""

    by: Literal["iid", "size", "label", "dirichlet", "column"] = Field(
        default="iid",
        description="iid: equal random parts; size: by share; label: by share and positive_share; dirichlet: label shares drawn "
        "with concentration alpha; column: the hospitals that the data set itself names. Patients are never divided.",
    )
    hospitals: tuple[SimulatedHospital, ...] = Field(default=(), description="The hospitals, with their shares.")
    alpha: float = Field(default=0.5, gt=0, le=1000, description="dirichlet: concentration; smaller is more uneven.")
    seed: int = Field(default=1, ge=0, lt=2**31, description="Seed of the division.")
