"""Federated algorithms: what a site contributes to the sum, and what the coordinator does with the total."""

from wardround.algorithms.choosing import build_algorithm
from wardround.algorithms.protocol import Algorithm, Trainer

__all__ = ["Algorithm", "Trainer", "build_algorithm"]
