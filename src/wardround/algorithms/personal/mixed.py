"""The own and the federated model together: a weighted mean of what they give, before it becomes a probability.

Mansour, Mohri, Ro, Suresh: Three Approaches for Personalization with Applications to Federated Learning, arXiv 2002.10619 (2020),
section 5, with the two models as they are. The weight is found on validation records; it is shown as a share of the federated.
"""

from wardround.algorithms.personal.protocol import (
    Material,
    NamedCandidate,
    Option,
    Outputs,
    Part,
    PersonalModel,
    PersonalSettings,
    Tuner,
    best_of,
)

SHARES = tuple(tenths / 10 for tenths in range(11))
"""Shares of the federated model, the own model alone first: of equal ones it is kept."""


def fit(material: Material, settings: PersonalSettings) -> Tuner:  # noqa: ARG001
    own, federated = material.outputs(material.own), material.outputs(material.federated)
    options = [_option(share, material, (1.0 - share) * own + share * federated) for share in SHARES]
    return best_of(options, material)


def _option(share: float, material: Material, outputs: Outputs) -> Option:
    parts = tuple(part for part in (Part(1.0 - share, material.own), Part(share, material.federated)) if part.weight)
    return Option(PersonalModel(parts), outputs, f"{share:.1f} federated, {1.0 - share:.1f} own")


CANDIDATE = NamedCandidate("mixed", fit)
