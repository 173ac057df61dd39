"""Which straight line of the score a hospital with 100 cases should take: the one with the least loss, or the mean of all.

    python benchmarks/clinic/lines.py [--samples 20] [--cases 100]

Made hospitals of seven kinds: scores are normal, and a case is ill with chance sigmoid(slope * score + offset). Printed for
each kind: mean log-loss and calibration error on cases that were not in the sample, of the line with the least cross-fitted
loss, of the weighed mean (what `wardround clinic accept` takes), and of the model as it came.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import wardround  # noqa: F401  before other packages, so that none of them talks

sys.path.insert(0, str(Path(__file__).parents[1]))

from last_line import last_line
from wardround.tasks.binary.figures import calibration_error
from wardround.tasks.binary.recalibrating import LINES, chosen_map, fitted_map
from wardround.tasks.binary.score_sums import ScoreSums, cross_entropy, probability
from wardround.values.randomness import generator

KINDS = ((1.0, 0.0), (1.0, 0.4), (0.7, 0.0), (0.8, -0.4), (0.5, 0.5), (1.5, 0.0), (1.0, -1.0))
"""Slope and offset by which the truth differs from what the model says."""
PATIENTS, SEED = 3000, 11
Scores = NDArray[np.float64]


def hospital(slope: float, offset: float) -> tuple[Scores, NDArray[np.int64]]:
    rng = generator("lines", SEED, f"{slope} {offset}")
    scores = rng.normal(0.5, 2.5, PATIENTS)
    return scores, (rng.random(PATIENTS) < probability(slope * scores + offset)).astype(np.int64)


def judged(scores: Scores, labels: NDArray[np.int64], samples: int, cases: int) -> Iterator[dict[str, tuple[float, float]]]:
    """Loss and calibration error on the others, by the way to choose, sample by sample."""
    for number in range(samples):
        rng = generator("lines, sample", SEED, number)
        own = np.zeros(len(scores), bool)
        own[rng.permutation(len(scores))[:cases]] = True
        mean, losses = chosen_map(scores[own], labels[own], rng.permutation(cases) % 10)
        best = min(LINES, key=lambda name: losses[name])
        maps = {"best": fitted_map(best, scores[own], labels[own]), "mean": mean}
        others = {name: one.scores(scores[~own]) for name, one in maps.items()} | {"as it came": scores[~own]}
        yield {
            name: (
                float(cross_entropy(moved, labels[~own]).mean()),
                calibration_error(ScoreSums.from_scores(moved, labels[~own])),
            )
            for name, moved in others.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--cases", type=int, default=100)
    chosen = parser.parse_args()
    better = 0
    for slope, offset in KINDS:
        rows = list(judged(*hospital(slope, offset), chosen.samples, chosen.cases))
        means = {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}
        better += int(means["mean"][0] < means["best"][0])
        shown = "   ".join(f"{name} {loss:.4f} {error:.4f}" for name, (loss, error) in means.items())
        print(f"slope {slope:.1f} offset {offset:+.1f}   {shown}")
    print(last_line({"kinds": len(KINDS), "mean_better_than_best": better, "samples": chosen.samples}, SEED))


if __name__ == "__main__":
    main()
