"""FedBN: every site keeps its own normalisation, all else is averaged.

Li, Jiang, Zhang, Kamp, Dou: FedBN: Federated Learning on Non-IID Features via Local Batch Normalization, ICLR 2021, Algorithm 1.
It fits hospitals whose scanners differ. There is no single model for a hospital outside the federation: the coordinator's
normalisation stays at its starting values.
"""

from wardround.algorithms.kept_parts import KeptParts
from wardround.algorithms.statement import AlgorithmStatement

STATEMENT = AlgorithmStatement(
    "fedbn",
    lambda settings, names: KeptParts(names.normalisation),  # noqa: ARG005
    privacy_modes=frozenset({"none", "patient-local", "site"}),
    keeps="normalisation",
    one_model=False,
)
