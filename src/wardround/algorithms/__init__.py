"""Federated algorithms: what a site contributes to the sum, and what the coordinator does with the total.

One file each, which ends with the algorithm's statement; one line here makes it known.
"""

from wardround.algorithms import fedavg, fedbn, fedopt, fedper, fedprox, fedsgd, scaffold
from wardround.algorithms.protocol import Algorithm, Trainer
from wardround.algorithms.registry import ALGORITHMS, names_where, register, statement_of
from wardround.algorithms.statement import AlgorithmSettings, AlgorithmStatement, NetworkNames, PrivacyMode, ServerOptimizer

register(fedavg.STATEMENT)
register(fedprox.STATEMENT)
register(fedopt.STATEMENT)
register(scaffold.STATEMENT)
register(fedbn.STATEMENT)
register(fedper.STATEMENT)
register(fedsgd.STATEMENT)

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AlgorithmSettings",
    "AlgorithmStatement",
    "NetworkNames",
    "PrivacyMode",
    "ServerOptimizer",
    "Trainer",
    "names_where",
    "register",
    "statement_of",
]
