"""The [algorithm] section: how the sites' work becomes one model."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from wardround.algorithms import ALGORITHMS, ServerOptimizer
from wardround.study.sections.section import Section


def _registered(name: str) -> str:
    if name not in ALGORITHMS:
        raise ValueError(f"the algorithm is one of {', '.join(ALGORITHMS)}; found {name[:80]!r}: write one of these")
    return name


def _names_of_algorithms(schema: dict[str, Any]) -> None:
    schema["enum"] = list(ALGORITHMS)


def _readers(setting: str) -> Callable[[dict[str, Any]], None]:
    """Puts in front of a setting's description which algorithms read it: they say so themselves."""

    def describe(schema: dict[str, Any]) -> None:
        readers = ", ".join(name for name, statement in ALGORITHMS.items() if setting in statement.reads)
        schema["description"] = f"{readers}: {schema['description']}"

    return describe


class AlgorithmSection(Section):
    """How the sites' work becomes one model. `docs/algorithms.md` helps to choose."""

    name: Annotated[str, AfterValidator(_registered)] = Field(
        default="fedavg", description="The federated algorithm.", json_schema_extra=_names_of_algorithms
    )
    rounds: int = Field(
        default=10,
        ge=0,
        le=100_000,
        description="How many times every hospital is visited; each visit is one step where the coordinator takes the steps. "
        "0 with evaluation.model alone: nothing is trained.",
    )
    proximal_mu: float = Field(
        default=0.01,
        ge=0,
        le=100,
        description="weight of the pull towards the round's starting model.",
        json_schema_extra=_readers("proximal_mu"),
    )
    server_optimizer: ServerOptimizer = Field(
        default="adam",
        description="the optimiser that the coordinator takes its step with.",
        json_schema_extra=_readers("server_optimizer"),
    )
    server_learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="the coordinator's step size. Left out: 0.01 for adagrad, adam and yogi, whose steps are of about this size "
        "in every value; 1 for momentum, and for an algorithm without server_optimizer.",
        json_schema_extra=_readers("server_learning_rate"),
    )
    server_momentum: float = Field(
        default=0.9, ge=0, lt=1, description="momentum, beta 1.", json_schema_extra=_readers("server_momentum")
    )
    server_beta2: float = Field(
        default=0.99, ge=0, lt=1, description="beta 2 of adam and yogi.", json_schema_extra=_readers("server_beta2")
    )
    server_tau: float = Field(
        default=1e-3,
        gt=0,
        le=1,
        description="adaptivity; larger is closer to plain momentum.",
        json_schema_extra=_readers("server_tau"),
    )
    server_schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="the step size over all rounds: constant, or falling to nothing as half a cosine.",
        json_schema_extra=_readers("server_schedule"),
    )
    server_decay: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="weight decay of a step, times the step size; biases and norms are left alone.",
        json_schema_extra=_readers("server_decay"),
    )
    server_average: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the last rounds whose models are averaged into the result, 0 (the last alone) to 1.",
        json_schema_extra=_readers("server_average"),
    )
