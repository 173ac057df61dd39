"""The mechanism without differential privacy: bound, encode, and no noise.

    site:         values n_k w_k  ->  n_k (w_k - reference) / N, clipped to [-clip, clip]  ->  words
    coordinator:  total words     ->  sum * N + reference * sum_k n_k

Guarantee: none against whoever sees the total. Weights are part of the sum, so one site's n_k shows only where the summation
shows it. Error of the total's mean, per value: at most K * step * N / sum_k n_k (Grid.error_bound), plus what was clipped, which
is counted in the sum.
"""

from collections.abc import Callable

import numpy as np

from wardround.privacy.frame import Frame
from wardround.values.contribution import Contribution
from wardround.values.errors import RefusedError
from wardround.values.fixed_point import encode_counts
from wardround.values.tree import Bundle, Tree, flatten, unflatten

PartGenerator = Callable[[str], np.random.Generator]
WEIGHT, CLIPPED = "weight", "clipped"


def protect(contribution: Contribution, reference: Bundle, frame: Frame, generator_of: PartGenerator) -> Tree:
    """The words of one contribution, as `frame.layout` says. Raises RefusedError where the values cannot be sent as promised."""
    if frame.real and contribution.weight > frame.weight:
        raise RefusedError(
            "This site's weight is larger than the total the coordinator stated",
            expected=f"at most {frame.weight}",
            found=str(contribution.weight),
            mend="start a new run: the data changed since the opening",
            code="weight",
        )
    arrays: Tree = {}
    clipped = 0
    for part in frame.real:
        values = _distance(contribution, reference, part) / max(frame.weight, 1)
        if not np.isfinite(values).all():
            raise RefusedError(
                "Training diverged: the model holds values that are not finite",
                mend="lower training.learning_rate, or set training.clip_norm",
                code="diverged",
            )
        arrays[f"{part}/words"], beyond = frame.grid.encode(values, generator_of(part))
        clipped += beyond
    if frame.counts:
        counts = {**contribution.counts, WEIGHT: np.array(contribution.weight), CLIPPED: np.array(clipped)}
        wanted = {name: counts[name] for name in frame.counts}
        arrays["counts/words"] = encode_counts(flatten(wanted, np.int64), frame.count_limit)
    return arrays


def reveal(total: Tree, reference: Bundle, frame: Frame) -> Contribution:
    """The sum of contributions that the total of words stands for."""
    counts: Tree = {}
    if frame.counts:
        counts = unflatten(total["counts/words"].astype(np.int64), frame.counts)
    weight = int(counts.get(WEIGHT, np.array(0)))
    values: Bundle = {}
    for part, shapes in frame.real.items():
        sums = frame.grid.decode(total[f"{part}/words"]) * frame.weight
        if part in reference:
            sums += flatten(reference[part]) * weight
        values[part] = unflatten(sums, shapes)
    return Contribution(values, weight, counts)


def _distance(contribution: Contribution, reference: Bundle, part: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = flatten(contribution.values[part])
    if part in reference:
        values = values - flatten(reference[part]) * contribution.weight
    return values
