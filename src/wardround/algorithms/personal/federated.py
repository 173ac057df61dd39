"""The federated model as it came; where an algorithm keeps part of the model at the hospital, with that part."""

from wardround.algorithms.personal.protocol import Material, NamedCandidate, PersonalSettings, Tuner, option_of, untuned


def fit(material: Material, settings: PersonalSettings) -> Tuner:  # noqa: ARG001
    return untuned(option_of(material.federated, material))


CANDIDATE = NamedCandidate("federated", fit)
