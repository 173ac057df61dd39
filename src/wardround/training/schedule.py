"""The learning rate over all rounds, and which records each step reads."""

import math

import numpy as np
from numpy.typing import NDArray

from wardround.study.sections.training import TrainingSection
from wardround.values.randomness import generator


def learning_rate(training: TrainingSection, progress: float, rounds: int) -> float:
    """The rate at `progress` rounds from the start, 0 <= progress <= rounds.

    Warm-up: straight from 0 to learning_rate. Then constant, or the half cosine of Loshchilov and Hutter (ICLR 2017, eq. 5)
    down to final_rate * learning_rate at the end of the last round.
    """
    warm = min(training.warmup_rounds, float(rounds))
    if progress < warm:
        return training.learning_rate * progress / warm
    if training.schedule == "constant" or rounds <= warm:
        return training.learning_rate
    done = min(1.0, (progress - warm) / (rounds - warm))
    lowest = training.final_rate
    return training.learning_rate * (lowest + (1.0 - lowest) * 0.5 * (1.0 + math.cos(math.pi * done)))


def steps_in_round(training: TrainingSection, examples: int) -> int:
    """Optimiser steps of one round: the nearest to local_epochs passes, at least one; 0 for a site without records."""
    if examples == 0:
        return 0
    return max(1, round(training.local_epochs * examples / min(training.batch_size, examples)))


class EpochSampler:
    """The endless order in which a site reads its n records: one permutation after another, each a full pass.

    Round r goes on where round r - 1 stopped, so passes that are a fraction of an epoch still read every record equally often.
    """

    def __init__(self, seed: int, examples: int) -> None:
        self._seed, self._examples = seed, examples
        self._passes: dict[int, NDArray[np.intp]] = {}

    def rows(self, start: int, count: int) -> NDArray[np.intp]:
        """Positions of the records at places start .. start + count - 1 of the order."""
        places = np.arange(start, start + count)
        turns = places // self._examples
        return np.array(
            [self._pass(int(turn))[position % self._examples] for turn, position in zip(turns, places, strict=True)], np.intp
        )

    def _pass(self, turn: int) -> NDArray[np.intp]:
        if turn not in self._passes:
            self._passes[turn] = generator("pass", self._seed, turn).permutation(self._examples)
        return self._passes[turn]
