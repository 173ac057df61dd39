"""Personal models: what one hospital can make of the federated model, and which of them it keeps.

    own, federated --candidates--> tuners --cross-fitted on validation patients--> choice --tuned on all of them--> the model kept

One file each, which ends with the candidate; one line here makes it known. All of it is local: nothing leaves or is charged.
"""

from wardround.algorithms.personal import federated, fine_tuned, mixed, neighbours, own, private_head, proximal, recalibrated
from wardround.algorithms.personal.choice import FEWEST, OWN, Choice, Score, choose, cross_fitted, halvings, kept_own, per_patient
from wardround.algorithms.personal.memory import Memory, Neighbours
from wardround.algorithms.personal.protocol import (
    MOST_REMEMBERED,
    Candidate,
    Material,
    Option,
    Part,
    PersonalModel,
    PersonalSettings,
    Tuner,
)
from wardround.algorithms.personal.registry import CANDIDATES, candidate_named, register

register(own.CANDIDATE)
register(federated.CANDIDATE)
register(fine_tuned.CANDIDATE)
register(private_head.CANDIDATE)
register(proximal.CANDIDATE)
register(recalibrated.CANDIDATE)
register(mixed.CANDIDATE)
register(neighbours.CANDIDATE)

__all__ = [
    "CANDIDATES",
    "FEWEST",
    "MOST_REMEMBERED",
    "OWN",
    "Candidate",
    "Choice",
    "Material",
    "Memory",
    "Neighbours",
    "Option",
    "Part",
    "PersonalModel",
    "PersonalSettings",
    "Score",
    "Tuner",
    "candidate_named",
    "choose",
    "cross_fitted",
    "halvings",
    "kept_own",
    "per_patient",
    "register",
]
