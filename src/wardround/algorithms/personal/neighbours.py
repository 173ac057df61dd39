"""The federated model, and what became of the hospital's training records that are most like the one asked about.

Marfoq, Neglia, Vidal, Kameni: Personalized Federated Learning through Local Memorization, ICML 2022, section 3: records are alike
where the federated network's inner values are, those that go into its last layer; the nearest vote, weighed by exp(-distance),
and equation 8 is the answer: share * vote + (1 - share) * federated, as chances. Ours differs in three things.
Distances are in units of their median among the hospital's own records, since a network's inner values have no unit. The vote is
smoothed, so that no few records make sure of anything, and it fades behind the last neighbour (`memory.py`).

How many neighbours and which share is found on validation records. A few dozen patients say little about a share, so it is drawn
towards one half by a normal prior: who cannot tell keeps both. No share is the federated model as it came, and nobody is
remembered. Training records answer for others only, since no patient is in two splits: what validation patients say of it is
what others will.

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
    Rows,
    Tuner,
    mean_loss,
    option_of,
)

NEAREST = (10, 5, 20, 50)
"""The paper's number first: where nobody tells, it is taken."""
SHARES = tuple(tenths / 10 for tenths in range(1, 11))
USUAL_SHARE, SHARE_DEVIATION = 0.5, 0.25


def fit(material: Material, settings: PersonalSettings) -> Tuner:  # noqa: ARG001
    options = [(0.0, option_of(material.federated, material)), *_options(material)]

    def tune(rows: Rows) -> Option:
        patients = float(material.weights[rows].sum()) or 1.0

        def penalised(number: int) -> float:
            share, option = options[number]
            prior = ((share - USUAL_SHARE) / SHARE_DEVIATION) ** 2
            return mean_loss(material, option.outputs, rows) + prior / (2 * patients)

        return options[min(range(len(options)), key=penalised)][1]

    return tune


def _options(material: Material) -> Iterator[tuple[float, Option]]:
    """Each share of each number of neighbours."""
    memory, patients = material.memory(material.federated)
    inner, outputs = material.inner(material.federated), material.outputs(material.federated)
    counts = [count for count in NEAREST if count < len(patients)] or [len(patients)]
    for nearest, scale in zip(counts, scales(memory.inner, patients, counts), strict=True):
        votes, voters = Neighbours(memory, nearest, scale, 1.0).asked(inner)
        for share in SHARES:
            model = PersonalModel((Part(1.0, material.federated, Neighbours(memory, nearest, scale, share)),))
            answers = np.asarray(material.with_votes(outputs, votes, voters, share))
            yield share, Option(model, answers, f"{share:.1f} of {nearest} neighbours, {1.0 - share:.1f} federated")


CANDIDATE = NamedCandidate("neighbours", fit, remembers=True)
