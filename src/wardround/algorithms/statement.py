"""What an algorithm says of itself, so that nobody else asks for it by its name.

    one file of this room --AlgorithmStatement--> registry --statement_of--> rules of a study, Plan

The statement names what a study may set and promise with the algorithm. tests/algorithms/algorithm_conformance.py holds the
algorithm to its statement.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from wardround.algorithms.protocol import Algorithm

PrivacyMode = Literal["none", "patient-local", "patient-distributed", "site"]
ServerOptimizer = Literal["momentum", "adagrad", "adam", "yogi"]


class AlgorithmSettings(Protocol):
    """The [algorithm] section of a study, as an algorithm reads it."""

    @property
    def rounds(self) -> int: ...
    @property
    def proximal_mu(self) -> float: ...
    @property
    def server_optimizer(self) -> ServerOptimizer: ...
    @property
    def server_learning_rate(self) -> float | None: ...
    @property
    def server_momentum(self) -> float: ...
    @property
    def server_beta2(self) -> float: ...
    @property
    def server_tau(self) -> float: ...
    @property
    def server_schedule(self) -> Literal["constant", "cosine"]: ...
    @property
    def server_decay(self) -> float: ...
    @property
    def server_average(self) -> float: ...


@dataclass(frozen=True)
class NetworkNames:
    """Arrays of the network that an algorithm may treat apart.

    normalisation: parameters and buffers of the normalisation layers. head: the arrays of the last layer. feature_mean: the array
    that holds the mean of the features; empty where the study asks for none. feature_length: how long a feature vector of length
    1 is in their sum.
    """

    normalisation: frozenset[str] = frozenset()
    head: frozenset[str] = frozenset()
    feature_mean: str = ""
    feature_length: float = 1.0


@dataclass(frozen=True)
class Demand:
    """A setting that must have one value under an algorithm. setting: its dotted name. reason: follows the algorithm's name."""

    setting: str
    value: str | int
    reason: str


@dataclass(frozen=True)
class AlgorithmStatement:
    """One algorithm, and what a study may say with it.

    build: the algorithm, from the study's [algorithm] section and the network's names.
    reads: the settings of [algorithm] that it reads, `name` and `rounds` apart.
    local_steps: whether hospitals take steps of their own. Then the study's [training] says how; else the coordinator takes the
    one step of a round, and a contribution weighs as many records as that step has.
    privacy_modes: those that it works under. Under "site" and "patient-distributed" it sends one kind of values.
    keeps: what stays at each hospital from round to round, in words; empty for nothing. A round cannot be taken back there.
    one_model: whether all hospitals end with the same model, which an external test set could judge.
    sums_feature_mean: whether it can take the mean of all hospitals' features.
    needs_features: whether it needs layers below the last one that training changes.
    shares_head: whether the last layer is among what it shares.
    """

    name: str
    build: Callable[[AlgorithmSettings, NetworkNames], Algorithm]
    reads: frozenset[str] = frozenset()
    local_steps: bool = True
    privacy_modes: frozenset[PrivacyMode] = frozenset({"none"})
    keeps: str = ""
    one_model: bool = True
    sums_feature_mean: bool = False
    needs_features: bool = False
    shares_head: bool = True
    demands: tuple[Demand, ...] = ()

    @property
    def rolls_back(self) -> bool:
        """Whether a round can be taken back."""
        return not self.keeps
