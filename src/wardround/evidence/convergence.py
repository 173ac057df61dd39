"""Whether more rounds would help, as far as a run's own curves can say it.

A curve that looks flat at the end may be one whose learning rate has fallen to nothing: 30 rounds of a logistic regression ended
at a score of 0.816 where 150 reached 0.834. So curves are read over *learning time*, in which a round counts as its learning rate
does, in parts of the highest one. A model that would go on learning at a full rate has a slope there, however little the last
rounds moved it. For plain gradient descent that slope of the loss is the square of the gradient's length, so that no hospital
need send its own.

    rounds, schedule --> learning time --quarters of it--> gain of the last quarter against the noise --> verdict

The verdict goes by the headline on validation patients; where there is none, by the training loss. It is a reading of curves, no
proof: a plateau may end, and a schedule that starts higher may find another valley.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np

from wardround.algorithms import statement_of
from wardround.evidence.run_facts import study_of
from wardround.study.declaration import Study
from wardround.study.record.run_record import RunRecord
from wardround.tasks.protocol import Floats, Task
from wardround.training.schedule import learning_rate

Verdict = Literal["converged", "learning", "unclear"]
FEWEST_ROUNDS = 6
"""With fewer, a quarter of the learning time holds no round."""
MATERIAL = 0.02
"""A gain counts where doubling the learning time would add this share of what was gained since the first round ..."""
VISIBLE = 0.001
"""... and at least this much: figures are read to three digits."""
DOUBLING = math.log(2) / math.log(4 / 3)
"""What doubling the time adds, in gains of its last quarter, where gains fall as slowly as those of a logarithm do."""
SURE = 3.0
"""Standard errors that a gain must be from nothing: the noise of a few rounds is itself an estimate."""
SPENT = 0.25
"""A learning rate at this part of its peak, or below, has flattened the curve."""
_MOST = 9
_MARGIN = 0.8
"""Rounds are proposed until a gain is so much smaller than one that counts: so that the longer run is not found wanting again."""


@dataclass(frozen=True)
class Convergence:
    """What the curves say. more_rounds: how many to add before looking again; None but for a model that is still learning."""

    verdict: Verdict
    sentence: str
    more_rounds: int | None = None


@dataclass(frozen=True)
class Trend:
    """A curve over learning time, oriented so that up is better. total: gained from its first round to its end. gain, before: in
    the last quarter of the time and in the one before. error: standard error of gain, from the rounds' noise."""

    total: float
    gain: float
    before: float
    error: float

    @property
    def sure(self) -> bool:
        """Whether the last quarter gained something beyond the noise."""
        return self.gain > SURE * self.error

    @property
    def material(self) -> bool:
        """Whether twice the time would add something that counts, if gains fall slowly."""
        return self.gain * DOUBLING > self.counts

    @property
    def too_noisy(self) -> bool:
        """Whether a gain that counts could hide in the noise."""
        return (self.gain + SURE * self.error) * DOUBLING > 3 * self.counts

    @property
    def counts(self) -> float:
        """The smallest gain that counts."""
        return max(MATERIAL * abs(self.total), VISIBLE)


def convergence(record: RunRecord, task: Task) -> Convergence:
    """The verdict on a run, from its record alone."""
    if record.evaluated is not None:
        return Convergence("unclear", "The run evaluated a finished model, and took no round.")
    times = learning_times(study_of(record), len(record.rounds))
    used = [(time, entry) for time, entry in zip(times, record.rounds, strict=True) if not entry.discarded]
    sign = 1.0 if task.bigger_is_better else -1.0
    scored = [(time, entry.validation.value(task.headline)) for time, entry in used if entry.validation is not None]
    scores = [(time, sign * value) for time, value in scored if value is not None]
    losses = [(time, -entry.train_loss) for time, entry in used if entry.train_loss is not None]
    curve, name = (scores, f"validation {task.words.in_text[task.headline]}") if scores else (losses, "training loss")
    if not curve:
        return Convergence("unclear", "Whether more rounds would help cannot be told: the rounds have no figures.")
    trend = trend_of(curve)
    if trend is None:
        return Convergence(
            "unclear",
            f"Whether more rounds would help cannot be told from {len(curve)} round{'s' * (len(curve) != 1)}: "
            f"it takes {FEWEST_ROUNDS}.",
        )
    return _verdict(trend, trend_of(losses) if scores else None, name, len(record.rounds), _spent(times))


def learning_times(study: Study | None, rounds: int) -> list[float]:
    """The learning time at the end of each round: the sum of the learning rates until then, in parts of the highest one.

    A round of a study that cannot be read, or whose rate is constant, counts as 1.
    """
    return list(accumulate(_rate(study, number, rounds) for number in range(rounds)))


def trend_of(points: Sequence[tuple[float, float]]) -> Trend | None:
    """The trend of (learning time, value) points in the order of time, up being better; None of too few of them."""
    if len(points) < FEWEST_ROUNDS:
        return None
    times, values = np.array(points, dtype=np.float64).T
    end = times[-1]
    levels = [_level(times, values, end * share) for share in (0.5, 0.75, 1.0)]
    jumps = np.diff(values[len(values) // 2 :])
    noise = float(np.sqrt(np.square(jumps - jumps.mean()).mean() / 2))
    error = noise * math.hypot(levels[1][1], levels[2][1])
    return Trend(levels[2][0] - float(values[0]), levels[2][0] - levels[1][0], levels[1][0] - levels[0][0], error)


def _level(times: Floats, values: Floats, time: float) -> tuple[float, float]:
    """The value at a time and its standard error in units of the noise: from a straight line through the rounds within a
    sixteenth of the whole time; with fewer than four of them, between the neighbours."""
    near = np.abs(times - time) <= times[-1] / 16
    count = int(near.sum())
    if count < 4:
        return float(np.interp(time, times, values)), 1.0
    away = times[near] - time
    centre, spread = float(away.mean()), float(away.var())
    slope = float((away - centre) @ values[near]) / count / spread
    return float(values[near].mean()) - slope * centre, math.sqrt((1 + centre**2 / spread) / count)


def _rate(study: Study | None, number: int, rounds: int) -> float:
    """The mean rate of round number + 1, in parts of the highest."""
    if study is None:
        return 1.0
    if not statement_of(study.algorithm.name).local_steps:
        cosine = study.algorithm.server_schedule == "cosine"
        return 0.5 * (1 + math.cos(math.pi * (number + 0.5) / rounds)) if cosine else 1.0
    middle = [learning_rate(study.training, number + (step + 0.5) / 8, rounds) for step in range(8)]
    return sum(middle) / len(middle) / study.training.learning_rate


def _spent(times: Sequence[float]) -> bool:
    """Whether the learning rate of the last round is so low that any curve would be flat."""
    return len(times) > 1 and times[-1] - times[-2] <= SPENT


def _verdict(trend: Trend, loss: Trend | None, name: str, rounds: int, spent: bool) -> Convergence:
    flat = " (the curve only looks flat at its end because the learning rate had fallen to almost nothing)" if spent else ""
    if trend.sure and trend.material:
        more = more_rounds(trend, rounds)
        return Convergence(
            "learning",
            f"Not converged: the {name} was still getting better when the {rounds} rounds ended{flat}. Try about {more} rounds "
            f"more: algorithm.rounds = {rounds + more}.",
            more,
        )
    if trend.too_noisy:
        return Convergence(
            "unclear",
            f"Whether more rounds would help cannot be told: the {name} jumps from round to round by more than what would count.",
        )
    memorising = loss is not None and loss.sure and loss.material
    tail = " The training loss still falls, which may be learning by heart." if memorising else ""
    return Convergence(
        "converged", f"Converged, as far as the curve says: the {name} gained nothing that counts at the end.{tail}"
    )


def more_rounds(trend: Trend, rounds: int) -> int:
    """How many rounds to add until the last quarter's gain counts no more, if each quarter gains as much less than the one before
    as the last did. At least a quarter of the rounds that there were, at most nine times as many. Where the last gained no less,
    nothing says how long it will go on: as many again.

    trend: of a model that is still learning.
    """
    if trend.gain >= trend.before:
        return rounds
    fall = min(max(trend.gain / trend.before, 0.3), 0.95)
    height = trend.gain / (fall**3 - fall**4)
    longer = (
        1 + quarters / 4
        for quarters in range(1, 4 * _MOST)
        if height * (fall ** (3 + 0.75 * quarters) - fall ** (4 + quarters)) * DOUBLING < _MARGIN * trend.counts
    )
    return math.ceil(rounds * (next(longer, 1.0 + _MOST) - 1))
