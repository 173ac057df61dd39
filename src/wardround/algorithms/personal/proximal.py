"""Ditto: a model of the hospital's own that is held near the federated one.

Li, Hu, Beirami, Smith: Ditto: Fair and Robust Federated Learning Through Personalization, ICML 2021, equation 1:
min over v of F_k(v) + mu/2 |v - w*|^2. Since w* does not depend on v, it may be solved after the federated rounds. The pull, and
not the number of passes, keeps it near: it takes all passes, and nothing is tuned on validation records.
"""

from wardround.algorithms.personal.protocol import Material, NamedCandidate, PersonalSettings, Tuner, option_of, untuned


def fit(material: Material, settings: PersonalSettings) -> Tuner:
    (model,) = material.trained(material.federated, [settings.passes], proximal_mu=settings.proximal_mu)
    return untuned(option_of(model, material))


CANDIDATE = NamedCandidate("proximal", fit, frozenset({"passes", "rate", "proximal_mu"}))
