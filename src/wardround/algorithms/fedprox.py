"""FedProx: federated averaging whose sites are held back from drifting.

Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: Federated Optimization in Heterogeneous Networks, MLSys 2020, equation 2:
each site minimises F_k(w) + mu/2 |w - w_t|^2. The gradient gains mu (w - w_t); everything else is federated averaging.
"""

from wardround.algorithms.fedavg import FedAvg
from wardround.algorithms.statement import AlgorithmStatement


def fedprox(proximal_mu: float) -> FedAvg:
    """proximal_mu >= 0; 0 is federated averaging, bit for bit."""
    return FedAvg(proximal_mu)


STATEMENT = AlgorithmStatement(
    "fedprox",
    lambda settings, names: fedprox(settings.proximal_mu),  # noqa: ARG005
    reads=frozenset({"proximal_mu"}),
    privacy_modes=frozenset({"none", "patient-local", "site"}),
)
