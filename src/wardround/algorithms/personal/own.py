"""The model of the hospital's own records alone: what it keeps where nothing is better for its patients."""

from wardround.algorithms.personal.protocol import Material, NamedCandidate, PersonalSettings, Tuner, option_of, untuned


def fit(material: Material, settings: PersonalSettings) -> Tuner:  # noqa: ARG001
    return untuned(option_of(material.own, material))


CANDIDATE = NamedCandidate("own", fit)
