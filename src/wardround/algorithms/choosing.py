"""From the study's [algorithm] section to an algorithm."""

from wardround.algorithms.fedavg import FedAvg
from wardround.algorithms.fedbn import FedBN
from wardround.algorithms.fedopt import FedOpt
from wardround.algorithms.fedprox import fedprox
from wardround.algorithms.fedsgd import FedSgd
from wardround.algorithms.protocol import Algorithm
from wardround.algorithms.scaffold import Scaffold
from wardround.study.sections.algorithm import AlgorithmSection


def build_algorithm(
    section: AlgorithmSection, norm_names: frozenset[str], feature_mean: str = "", unit: float = 1.0
) -> Algorithm:
    """norm_names: the network's normalisation parameters, which FedBN keeps at the sites. feature_mean, unit: see FedSgd."""
    match section.name:
        case "fedavg":
            return FedAvg()
        case "fedprox":
            return fedprox(section.proximal_mu)
        case "fedopt":
            return _descent(section)
        case "fedsgd":
            cosine = section.server_schedule == "cosine"
            return FedSgd(
                _descent(section), section.rounds, cosine, section.server_decay, section.server_average, feature_mean, unit
            )
        case "scaffold":
            return Scaffold(section.server_learning_rate or 1.0)
        case "fedbn":
            return FedBN(norm_names)


def _descent(section: AlgorithmSection) -> FedOpt:
    return FedOpt(
        section.server_optimizer,
        section.server_learning_rate or (1.0 if section.server_optimizer == "momentum" else 0.01),
        section.server_momentum,
        section.server_beta2,
        section.server_tau,
    )
