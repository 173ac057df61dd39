"""The exchanges of an analysis, carried by whoever can sum: the coordinator of a run, or this process alone.

analysis.coordinate() --Ask, numbered and checked--> sum_of(ask) --Total--> analysis.coordinate()
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.protocol import Analysis, Ask, Exchange, PrivateAnalysis, Total
from wardround.analysis.result import Result
from wardround.privacy.bounded_arrays import Arrays, ArrayWords, Quantity
from wardround.privacy.bounded_rows import BLOCK, bounded_sum, first_of_each
from wardround.privacy.noised_arrays import NoisedArrayWords
from wardround.values.errors import DataError
from wardround.values.rows import Rows
from wardround.values.tree import Tree

CLIPPED = "clipped"
"""A count that every sum has besides its own: numbers that lay beyond their bound or were not finite."""


def exchange_of(analysis: Analysis, label: str) -> Exchange:
    """The exchange of that label."""
    return next(exchange for exchange in analysis.exchanges if exchange.label == label)


def words_of(exchange: Exchange, sites: int) -> ArrayWords:
    """How the arrays of an exchange become words; the count of clipped numbers is one of them."""
    return ArrayWords({**exchange.quantities, CLIPPED: Quantity(())}, sites, fine=True)


def carried(analysis: Analysis, sum_of: Callable[[Ask], Total]) -> Result:
    """The result of an analysis. sum_of: gives the total of an ask. ValueError for an ask that the analysis does not state."""
    coordinate, times = analysis.coordinate(), Counter[str]()
    ask = next(coordinate)
    while True:
        times[ask.label] += 1
        numbered = Ask(ask.label, _stated(analysis, ask, times[ask.label]), times.total())
        try:
            ask = coordinate.send(sum_of(numbered))
        except StopIteration as ended:
            result: Result = ended.value
            return result


def most_asks(analysis: Analysis) -> int:
    """How many sums the analysis asks for at most, of all labels together."""
    return sum(exchange.times for exchange in analysis.exchanges)


def _stated(analysis: Analysis, ask: Ask, times: int) -> Tree:
    """The arrays of an ask as float64, where the analysis states such an ask."""
    exchange = exchange_of(analysis, ask.label)
    order = {name: np.asarray(array, np.float64) for name, array in sorted(ask.order.items())}
    shapes = {name: array.shape for name, array in order.items()}
    if shapes != dict(exchange.order) or times > exchange.times:
        stated = f"at most {exchange.times} with {dict(exchange.order)}"
        raise ValueError(f"{ask.label}, time {times} with {shapes}: the analysis states {stated}")
    return order


def bounded(values: Arrays, exchange: Exchange, sites: int) -> dict[str, np.ndarray]:
    """A site's arrays with every number within its bound, and how many were not. What is not finite counts as 0.

    ValueError where names or shapes are not those of the exchange."""
    words, clipped = words_of(exchange, sites), 0
    kept: dict[str, np.ndarray] = {}
    for name, quantity in exchange.quantities.items():
        array = np.asarray(values[name])
        if array.shape != quantity.shape or values.keys() != exchange.quantities.keys():
            raise ValueError(f"{exchange.label}: the arrays are not those that the exchange states ({name})")
        limit = float(words.largest_whole) if quantity.bound is None else quantity.bound
        lost = ~np.isfinite(array) | (np.abs(array) > limit)
        clipped += int(lost.sum())
        within = np.clip(np.where(np.isfinite(array), array, 0), -limit, limit)
        kept[name] = within.astype(np.int64) if quantity.bound is None else within.astype(np.float64)
    kept[CLIPPED] = np.array(clipped, np.int64)
    return kept


def bounded_rows(analysis: PrivateAnalysis, rows: Rows, ask: Ask, words: NoisedArrayWords) -> NDArray[np.float64]:
    """A site's sum with every patient's part bounded, in clip norms: one row of each, the first."""
    chosen = first_of_each(rows.patients)
    step = max(1, BLOCK // words.size)

    def blocks() -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(chosen), step):
            yield words.vectors(analysis.of_each(rows.select(chosen[start : start + step]), ask))

    with np.errstate(all="ignore"):
        return bounded_sum(blocks(), words.size)


def total_of(decoded: Mapping[str, np.ndarray], words: ArrayWords | NoisedArrayWords, sites: tuple[str, ...]) -> Total:
    """The total that decoded sums are."""
    if isinstance(words, NoisedArrayWords):
        return Total(decoded, {}, sites, noise={name: words.deviation(name, len(sites)) for name in decoded})
    sums = {name: array for name, array in decoded.items() if name != CLIPPED}
    errors = {name: words.error(name, float(np.abs(array).max(initial=0.0))) for name, array in sums.items()}
    return Total(sums, errors, sites, int(decoded[CLIPPED]))


def in_one_place(
    analysis: Analysis, hospitals: Mapping[str, Rows], noised: Callable[[Exchange], NoisedArrayWords] | None = None
) -> Result:
    """The analysis over rows that lie in this process: the same words as in a run, without masks. noised: the words of sums with
    noise.

    For tests, and to see what an analysis would say before anybody is asked."""

    def encoded(rows: Rows, ask: Ask, words: ArrayWords | NoisedArrayWords) -> Tree:
        if isinstance(words, NoisedArrayWords):
            assert isinstance(analysis, PrivateAnalysis)
            return words.encode(bounded_rows(analysis, rows, ask, words))
        return words.encode(bounded(analysis.contribution(rows, ask), exchange_of(analysis, ask.label), len(hospitals)))

    def sum_of(ask: Ask) -> Total:
        exchange = exchange_of(analysis, ask.label)
        words = words_of(exchange, len(hospitals)) if noised is None else noised(exchange)
        total: Tree = {}
        for rows in hospitals.values():
            own = encoded(rows, ask, words)
            total = {name: total[name] + array if name in total else array for name, array in own.items()}
        return total_of(words.decode(total), words, tuple(hospitals))

    return carried(analysis, sum_of)


def require_unclipped(total: Total, bound_of: str = "data.columns.range and analysis.largest_hospital") -> None:
    """DataError where numbers lay beyond their bounds: the sums are not those of the rows. bound_of: the settings that the bounds
    follow from."""
    if total.clipped:
        raise DataError(
            "Some hospital's sums lie beyond the bounds that the study gives them, so that the totals are not those of its rows",
            found=f"{total.clipped} numbers",
            hint=f"widen {bound_of}, and agree on the study anew",
        )
