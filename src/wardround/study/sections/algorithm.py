"""The [algorithm] section: how the sites' work becomes one model."""

from typing import Literal

from pydantic import Field

from wardround.study.sections.section import Section


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
