"""The mechanism without differential privacy: bound, encode, and no noise.

    site:         values n_k w_k  ->  n_k (w_k - reference) / N, shortened to `max_update_norm`,
                  clipped to [-clip, clip]  ->  words
    coordinator:  total words     ->  sum * N + reference * sum_k n_k

Guarantee: none against whoever sees the total. Weights are part of the sum, so one site's n_k shows only where the summation
shows it. Error of the total's mean, per value: at most K * step * N / sum_k n_k (Grid.error_bound), plus what was clipped, which
is counted in the sum.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.keystream import BLOCK
from wardround.privacy.fixed_point import encode_counts
from wardround.privacy.frame import Frame
from wardround.values.blockwise import add_weighted
from wardround.values.contribution import Contribution
from wardround.values.tree import Bundle, Shapes, Tree, flatten, unflatten

RoundingKey = Callable[[str], bytes]
"""part -> 32 bytes that its random rounding draws from."""
WEIGHT, CLIPPED = "weight", "clipped"


def protect(contribution: Contribution, reference: Bundle, frame: Frame, key_of: RoundingKey) -> Tree:
    """The words of one contribution, as `frame.layout` says, whatever its values are.

    A refusal here would tell of the records that they come from. So values that are not finite count as no change, and in the
    words a weight above the frame's total counts as that total, since the grid has no room for more. The count of the weight
    stays what it is: a total that somebody made up would else tell, as the difference to the opening, who is above it.
    """
    weight = contribution.weight
    if frame.real:
        contribution = contribution.weighing(min(contribution.weight, frame.weight))
        contribution = contribution if contribution.is_finite else contribution.unchanged(reference)
    arrays: Tree = {}
    clipped = 0
    for part in frame.real:
        distance = _Distance(contribution, reference.get(part, {}), part, max(frame.weight, 1))
        if frame.max_update_norm is not None and part in reference:
            distance.shorten(frame.max_update_norm)
        words = np.empty(distance.size, frame.grid.word)
        clipped += frame.grid.encode_into(words, distance.read, key_of(part))
        arrays[f"{part}/words"] = words
    if frame.counts:
        counts = {**contribution.counts, WEIGHT: np.array(weight), CLIPPED: np.array(clipped)}
        framed_counts = {name: counts[name] for name in frame.counts}
        arrays["counts/words"] = encode_counts(flatten(framed_counts, np.int64), frame.count_limit)
    return arrays


def reveal(total: Tree, reference: Bundle, frame: Frame, let_go: Callable[[], None] | None = None) -> Contribution:
    """The sum of contributions that the total of words stands for. let_go: see Revealed."""
    counts: Tree = {}
    if frame.counts:
        counts = unflatten(total["counts/words"].astype(np.int64), frame.counts)
    if frame.real and WEIGHT not in counts:
        raise ValueError("a weighted mean needs the weight of those who were counted")
    weight = int(counts.get(WEIGHT, np.array(0)))
    values: dict[str, Revealed] = {}
    for part, shapes in frame.real.items():
        values[part] = Revealed(total[f"{part}/words"], shapes, reference.get(part, {}), frame, weight, let_go)
    return Contribution(values, weight, counts)


class Revealed(Mapping[str, NDArray[np.float64]]):
    """The arrays of one part of a total. Each is made anew when it is asked for, in memory of its own: those of a whole model
    take two to four times as much as the words. weight: of those who were counted. let_go: is called after each, when its part of
    the reference is needed no more."""

    def __init__(
        self,
        words: NDArray[Any],
        shapes: Shapes,
        reference: Tree,
        frame: Frame,
        weight: int,
        let_go: Callable[[], None] | None = None,
    ) -> None:
        self._words, self._shapes, self._reference, self._let_go = words, shapes, reference, let_go
        self._frame, self._weight = frame, weight
        names = sorted(shapes)
        starts = accumulate((math.prod(shapes[name]) for name in names), initial=0)
        self._starts = dict(zip(names, starts, strict=False))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        shape, start = self._shapes[name], self._starts[name]
        sums = self._frame.grid.decode(self._words[start : start + math.prod(shape)]).reshape(shape)
        sums *= self._frame.weight
        if name in self._reference:
            add_weighted(sums, self._reference[name], self._weight)
        if self._let_go is not None:
            self._let_go()
        return sums

    def __iter__(self) -> Iterator[str]:
        return iter(self._starts)

    def __len__(self) -> int:
        return len(self._shapes)


class _Distance:
    """n_k (w_k - reference) / N as one vector, arrays in name order like `flatten`, made block by block: the whole of it in
    float64 would be four times the words. Without a reference the distance is from zero."""

    def __init__(self, contribution: Contribution, reference: Tree, part: str, total: int) -> None:
        tree = contribution.values[part]
        names = sorted(tree)
        self._values = [tree[name].reshape(-1) for name in names]
        self._reference = [reference[name].reshape(-1) for name in names] if reference else []
        self._weight, self._total = contribution.weight, total
        self._starts = [0, *accumulate(array.size for array in self._values)]
        self._scale = 1.0

    @property
    def size(self) -> int:
        return self._starts[-1]

    def shorten(self, max_update_norm: float) -> None:
        """Scale all of it so that w_k - reference has at most this Euclidean length."""
        blocks = (self.read(start, min(start + BLOCK, self.size)) for start in range(0, self.size, BLOCK))
        length = math.sqrt(sum(float(np.dot(block, block)) for block in blocks)) * self._total / max(self._weight, 1)
        if length > max_update_norm:
            self._scale = max_update_norm / length

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        block = np.empty(stop - start)
        for number in range(bisect_right(self._starts, start) - 1, len(self._values)):
            first, low, high = self._starts[number], max(start, self._starts[number]), min(stop, self._starts[number + 1])
            if first >= stop:
                break
            self._fill(number, slice(low - first, high - first), block[low - start : high - start])
        block *= self._scale / self._total
        return block

    def _fill(self, number: int, piece: slice, into: NDArray[np.float64]) -> None:
        if not self._reference:
            into[:] = self._values[number][piece]
            return
        np.multiply(self._reference[number][piece], self._weight, out=into, dtype=np.float64)
        np.subtract(self._values[number][piece], into, out=into)
