"""A last layer of the hospital's own on the federated model's features.

Arivazhagan, Aggarwal, Singh, Choudhary: Federated Learning with Personalization Layers, arXiv 1912.00818 (2019): the features
stay as they came, and the head alone is the hospital's own. Ours starts at the federated head, after the federated rounds, so
that it needs no round of its own; heads that are kept apart in every round are `fedper`. How many passes it takes is chosen on
validation records.
"""

from wardround.algorithms.personal.protocol import (
    Material,
    NamedCandidate,
    PersonalSettings,
    Tuner,
    after_passes,
    best_of,
    pass_counts,
)


def fit(material: Material, settings: PersonalSettings) -> Tuner:
    return best_of(after_passes(material, pass_counts(settings.passes), learns=material.head), material)


CANDIDATE = NamedCandidate("private_head", fit, frozenset({"passes", "rate"}))
