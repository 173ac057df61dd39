"""Settings whose default depends on what the data are, filled in where a study file is read: the study and its hash hold them.

AdamW divides each step by how large a weight's gradients have been. A bit of a fingerprint that few molecules have is a weight
with few gradients, so that its steps explode: on tox21 that cost a network 0.04 of the area under the curve, a linear model 0.06.
"""

from collections.abc import Mapping
from typing import Any

from wardround.algorithms.registry import ALGORITHMS
from wardround.algorithms.statement import AlgorithmStatement
from wardround.study.sections.algorithm import AlgorithmSection

MOLECULE_TRAINING: Mapping[str, Any] = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1}
"""What a study of molecules trains by where [training] does not say."""


def with_defaults_of_kind(study: dict[str, Any]) -> dict[str, Any]:
    """What a study file says, and for molecules the training that fits them. Whatever is no table is left for the check."""
    data, training, algorithm = (study.get(name, {}) for name in ("data", "training", "algorithm"))
    if not all(isinstance(section, Mapping) for section in (data, training, algorithm)) or data.get("kind") != "molecule":
        return study
    if training.get("optimizer", "sgd") != "sgd" or not _trains(study, algorithm):
        return study
    return {**study, "training": {**MOLECULE_TRAINING, **_demanded(algorithm), **training}}


def _trains(study: Mapping[str, Any], algorithm: Mapping[str, Any]) -> bool:
    """Whether hospitals take steps of their own, which alone read these settings."""
    evaluation, personal = study.get("evaluation"), study.get("personal")
    if isinstance(evaluation, Mapping) and evaluation.get("model") is not None:
        return False
    personally = isinstance(personal, Mapping) and bool(personal.get("candidates"))
    network = study.get("network")
    keeps_heads = isinstance(network, Mapping) and network.get("private") is not None
    statement = _statement(algorithm)
    steps = personally or keeps_heads or statement is None or statement.local_steps
    return study.get("analysis") is None and steps


def _statement(algorithm: Mapping[str, Any]) -> AlgorithmStatement | None:
    """None of a name that is no algorithm's, which the check tells."""
    return ALGORITHMS.get(str(algorithm.get("name", AlgorithmSection.model_fields["name"].default)))


def _demanded(algorithm: Mapping[str, Any]) -> dict[str, Any]:
    """What the algorithm wants these settings to be."""
    statement = _statement(algorithm)
    demands = {} if statement is None else {demand.setting: demand.value for demand in statement.demands}
    return {name: demands[f"training.{name}"] for name in MOLECULE_TRAINING if f"training.{name}" in demands}
