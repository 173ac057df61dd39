"""FedPer: every site keeps a last layer of its own, all below it is averaged.

Arivazhagan, Aggarwal, Singh, Choudhary: Federated Learning with Personalization Layers, arXiv 1912.00818 (2019), Algorithms 1
and 2, with the last layer as the one personal layer. Both are trained together in each round. There is no single model: the
coordinator's last layer stays at its starting values, which say one half for everybody.
"""

from wardround.algorithms.kept_parts import KeptParts
from wardround.algorithms.statement import AlgorithmStatement

STATEMENT = AlgorithmStatement(
    "fedper",
    lambda settings, names: KeptParts(names.head),  # noqa: ARG005
    keeps="the last layer",
    one_model=False,
    needs_features=True,
    shares_head=False,
)
