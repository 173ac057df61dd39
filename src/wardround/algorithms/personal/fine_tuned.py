"""The federated model after some passes over the hospital's own training records; how many is chosen on validation records.

No pass is among the choices, so that a hospital whose patients the federated model fits keeps it.
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
    return best_of(after_passes(material, pass_counts(settings.passes)), material)


CANDIDATE = NamedCandidate("fine_tuned", fit, frozenset({"passes", "rate"}))
