"""The federated model, and what became of the hospital's training records that are most like the one asked about.

Marfoq, Neglia, Vidal, Kameni: Personalized Federated Learning through Local Memorization, ICML 2022, section 3: records are alike
where the federated network's inner values are, those that go into its last layer; the nearest vote, weighed by exp(-distance),
and equation 8 is the answer: share * vote + (1 - share) * federated, as chances. Ours differs in three things.
Distances are in units of their median among the hospital's own records, since a network's inner values have no unit. The vote is
smoothed, so that no few records make sure of anything, and it fades behind the last neighbour (`memory.py`).

How many neighbours and which share is found on validation records; of equal ones the federated model is kept as it came. Training
records answer for others only, since no patient is in two splits: what validation patients say of it is what others will.

What is kept holds the inner values of patients: it must never leave the hospital.
"""

from collections.abc import Iterator

import numpy as np

from wardround.algorithms.personal.memory import Neighbours, scales
from wardround.algorithms.personal.protocol import (
    Material,
    NamedCandidate,
    Option,
    Part,
    PersonalModel,
    PersonalSettings,
    Tuner,
    best_of,
    option_of,
)

NEAREST = (5, 10, 20, 50)
SHARES = tuple(tenths / 10 for tenths in range(1, 11))


def fit(material: Material, settings: PersonalSettings) -> Tuner:  # noqa: ARG001
    return best_of([option_of(material.federated, material), *_options(material)], material)


def _options(material: Material) -> Iterator[Option]:
    memory, patients = material.memory(material.federated)
    inner, outputs = material.inner(material.federated), material.outputs(material.federated)
    counts = [count for count in NEAREST if count < len(patients)] or [len(patients)]
    for nearest, scale in zip(counts, scales(memory.inner, patients, counts), strict=True):
        votes, voters = Neighbours(memory, nearest, scale, 1.0).asked(inner)
        for share in SHARES:
            model = PersonalModel((Part(1.0, material.federated, Neighbours(memory, nearest, scale, share)),))
            answers = np.asarray(material.with_votes(outputs, votes, voters, share))
            yield Option(model, answers, f"{share:.1f} of {nearest} neighbours, {1.0 - share:.1f} federated")


CANDIDATE = NamedCandidate("neighbours", fit, remembers=True)
