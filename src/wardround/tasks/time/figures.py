"""Sums, figures and their 95 % intervals of a question for a time. No torch.

outputs (n, j), codes (n,) --sums_of--> records by event, tick and risk; squared errors at horizons --measure--> figures

C        the chance that of two records, of which one is known to have the event sooner, that one has the larger risk; records
         in one tick are not compared, risks in one bin count half (F. E. Harrell et al., JAMA 247 (1982) 2543). Its interval
         by what each record adds: a sum over pairs is projected on records (Hajek).
Brier    at a horizon, (S - alive)^2, weighted by the chance of not having been lost before (E. Graf et al., Statist. Med. 18
         (1999) 2529), which all hospitals' records give together.
observed the Kaplan-Meier estimate of who is alive at a horizon, with Greenwood's interval.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.tasks.binary.score_sums import LOSS_CAP, ONE
from wardround.tasks.intervals import UNDEFINED, Z
from wardround.tasks.protocol import Estimate, Figures, Floats
from wardround.tasks.shared.errors import mean_of, whole
from wardround.tasks.sums import Counts, Sums, impossible
from wardround.tasks.time.survival import costs, log_survival, risk
from wardround.values.tree import Shapes

RISK_BINS = 256
RISK_BINS_PER_UNIT = 16
GROUPS = 10
"""Equal bins of the chance of the event by a horizon, in which calibration is looked at."""


@dataclass(frozen=True)
class Grid:
    """intervals: of the outputs. ticks: of one interval. horizons: ends of intervals, as places from 1 on."""

    intervals: int
    ticks: int
    horizons: tuple[int, ...]

    @property
    def all_ticks(self) -> int:
        return self.intervals * self.ticks

    @property
    def shapes(self) -> Shapes:
        """The arrays, by name.

        when (2, ticks + 1, 256): records without and with the event, by tick and by bin of the risk; the last tick is whoever was
        followed beyond. log_loss (2,): the sums of the loss, capped at 16, and of its square. gone (h, ticks): of records with
        the event, the sums of S^2 at each horizon. there (h,): of records that outlived it, that of (1 - S)^2. by_chance
        (h, 10, 2, ticks + 1): records by bin of the chance of the event. chance (h, 10): the sums of that chance.
        """
        ticks, horizons = self.all_ticks, len(self.horizons)
        return {
            "when": (2, ticks + 1, RISK_BINS),
            "log_loss": (2,),
            "gone": (horizons, ticks),
            "there": (horizons,),
            "by_chance": (horizons, GROUPS, 2, ticks + 1),
            "chance": (horizons, GROUPS),
        }

    @property
    def most_added(self) -> dict[str, int]:
        """By one record."""
        h, loss = len(self.horizons), round((LOSS_CAP + LOSS_CAP**2) * ONE)
        return {"when": 1, "log_loss": loss, "gone": h * ONE, "there": h * ONE, "by_chance": h, "chance": h * ONE}

    def targets(self, codes: NDArray[np.int64]) -> Floats:
        """(n,) codes -> (n, 2 j): the event, and which intervals were lived through or ended by it.

        Whoever was lost in the second half of an interval lived through it.
        """
        places, tick, seen = np.arange(self.intervals), codes // 2, codes % 2
        interval, late = tick // self.ticks, tick % self.ticks >= self.ticks // 2
        event = (places == interval[:, None]) & (seen[:, None] == 1)
        there = (places < interval[:, None]) | ((places == interval[:, None]) & ((seen == 1) | late)[:, None])
        return np.concatenate([event, there], axis=1) * (codes >= 0)[:, None].astype(np.float64)


def risk_bins(outputs: Floats) -> Counts:
    """(n,): of the risk, in bins 1/16 wide from -8 to 8."""
    return np.asarray(np.clip(np.floor(risk(outputs) * RISK_BINS_PER_UNIT) + RISK_BINS // 2, 0, RISK_BINS - 1), np.int64)


def losses(outputs: Floats, codes: NDArray[np.int64], grid: Grid) -> Floats:
    """Of each record, in nats, capped at LOSS_CAP; 0 of a blank."""
    targets = grid.targets(codes)
    return np.minimum(costs(outputs, targets[:, : grid.intervals], targets[:, grid.intervals :]), LOSS_CAP) + 0.0


def sums_of(outputs: Floats, codes: NDArray[np.int64], grid: Grid) -> Sums:
    """Of n records, none of them blank."""
    tick, seen = codes // 2, codes % 2
    arrays = {name: np.zeros(shape, np.int64) for name, shape in grid.shapes.items()}
    np.add.at(arrays["when"], (seen, tick, risk_bins(outputs)), 1)
    cost = losses(outputs, codes, grid)
    arrays["log_loss"] = np.array([whole(cost).sum(), whole(np.square(cost)).sum()])
    survival = np.exp(log_survival(outputs))
    for position, horizon in enumerate(grid.horizons):
        alive, outlived = survival[:, horizon - 1], tick >= horizon * grid.ticks
        ended = (seen == 1) & ~outlived
        np.add.at(arrays["gone"][position], tick[ended], whole(np.square(alive[ended])))
        arrays["there"][position] = whole(np.square(1.0 - alive[outlived])).sum()
        group = np.minimum(((1.0 - alive) * GROUPS).astype(np.int64), GROUPS - 1)
        np.add.at(arrays["by_chance"][position], (group, seen, tick), 1)
        np.add.at(arrays["chance"][position], group, whole(1.0 - alive))
    return Sums(arrays)


def check(sums: Sums, grid: Grid) -> None:
    """WireError where no records have these sums."""
    when = sums["when"].sum(axis=2)
    records = int(when.sum())
    if (sums["by_chance"].sum(axis=1) != when).any() or when[1, -1]:
        raise impossible("the same records by risk and by chance, none with an event beyond the grid", "others")
    if (sums["gone"] > when[1, :-1] * ONE).any() or (sums["chance"] > sums["by_chance"].sum((2, 3)) * ONE).any():
        raise impossible("squared errors and chances within the records' reach", "larger ones")
    outlived = np.array([when[:, horizon * grid.ticks :].sum() for horizon in grid.horizons])
    loss, squares = sums["log_loss"]
    if (sums["there"] > outlived * ONE).any() or loss > records * LOSS_CAP * ONE or squares > records * LOSS_CAP**2 * ONE:
        raise impossible("errors and losses within the records' reach", "larger ones")


def concordance(when: Counts) -> Estimate:
    """C and its interval of counts (2, ticks + 1, bins); NaN without a pair that can be compared."""
    everybody, events = when.sum(axis=0), when[1]
    later = everybody[::-1].cumsum(axis=0)[::-1] - everybody  # of each tick, whoever is known to have lived longer
    sooner = events.cumsum(axis=0) - events
    below = later.cumsum(axis=1) - later + later / 2  # of these, who has a smaller risk; of equal ones half
    above = sooner[:, ::-1].cumsum(axis=1)[:, ::-1] - sooner + sooner / 2
    longer, shorter = later.sum(axis=1, keepdims=True), sooner.sum(axis=1, keepdims=True)
    pairs = float((events * longer).sum())
    if not pairs:
        return math.nan, UNDEFINED
    value = float((events * below).sum()) / pairs
    # What a record adds as the one that lived longer, and, with the event, as the one that lived shorter.
    as_longer = above - value * shorter
    as_event = as_longer + below - value * longer
    variance = float((when[0] * np.square(as_longer) + events * np.square(as_event)).sum()) / pairs**2
    half = Z * math.sqrt(variance)
    return value, (max(value - half, 0.0), min(value + half, 1.0)) if half else UNDEFINED


def not_lost(when: Counts) -> Floats:
    """(ticks + 1,): the Kaplan-Meier chance of not having been lost before each tick; counts (2, ticks + 1)."""
    return _product_limit(when[0], when.sum(axis=0) - when[1], when.sum(axis=0))[0]


def alive_at(when: Counts, tick: int) -> Estimate:
    """The Kaplan-Meier chance of no event before a tick, with Greenwood's interval on the scale of log(-log S)."""
    value, variance = (float(each[tick]) for each in _product_limit(when[1], when.sum(axis=0), when.sum(axis=0)))
    if not when.sum():
        return math.nan, UNDEFINED
    if not 0.0 < value < 1.0:
        return value, UNDEFINED
    half = Z * math.sqrt(variance) / abs(math.log(value))
    return value, (value ** math.exp(half), value ** math.exp(-half))


def _product_limit(ended: Counts, counted: Counts, everybody: Counts) -> tuple[Floats, Floats]:
    """(ticks + 1,) each: the product over ticks before, and Greenwood's sum.

    counted: of a tick's records, those that could end in it; everybody: all of the tick.
    """
    there = counted + (everybody[::-1].cumsum()[::-1] - everybody)
    share = np.where(there > 0, ended / np.maximum(there, 1), 0.0)
    spread = np.where(there > ended, ended / np.maximum(there * (there - ended), 1), 0.0)
    product = np.concatenate([[1.0], np.cumprod(1.0 - share)[:-1]])
    return product, np.concatenate([[0.0], spread.cumsum()[:-1]])


def brier(sums: Sums, position: int, grid: Grid) -> float:
    """At a horizon, by its place; NaN without records, or where nobody was followed so long."""
    when = sums["when"].sum(axis=2)
    horizon, kept = grid.horizons[position] * grid.ticks, not_lost(when)
    if not when.sum() or kept[horizon] <= 0:
        return math.nan
    gone = sums["gone"][position, :horizon] / np.maximum(kept[:horizon], 1e-12)
    return (float(gone.sum()) + float(sums["there"][position]) / float(kept[horizon])) / ONE / float(when.sum())


def measure(sums: Sums, grid: Grid) -> Figures:
    """Every figure. brier_1, observed_1, said_1: at the first horizon, and so on."""
    when = sums["when"].sum(axis=2)
    n = int(when.sum())
    value, ends = concordance(sums["when"])
    loss, loss_ends = mean_of(int(sums["log_loss"][0]), int(sums["log_loss"][1]), n, 1.0)
    values, intervals = {"c_index": value, "log_loss": loss}, {"c_index": ends, "log_loss": loss_ends}
    for position, horizon in enumerate(grid.horizons):
        alive, (low, high) = alive_at(when, horizon * grid.ticks)
        values[f"brier_{position + 1}"] = brier(sums, position, grid)
        values[f"said_{position + 1}"] = float(sums["chance"][position].sum()) / ONE / n if n else math.nan
        values[f"observed_{position + 1}"] = 1.0 - alive
        intervals[f"observed_{position + 1}"] = (1.0 - high, 1.0 - low)
    return Figures({**values, "n": float(n), "events": float(when[1].sum())}, intervals)


def paired_concordance(first: Counts, second: Counts, codes: NDArray[np.int64], ticks: int) -> tuple[float, float, int]:
    """The second model's C less the first's, its standard error, and how many records count otherwise; bins (n,) of risks."""
    added, values = [], []
    for bins in (first, second):
        when = np.zeros((2, ticks + 1, RISK_BINS), np.int64)
        np.add.at(when, (codes % 2, codes // 2, bins), 1)
        everybody, events = when.sum(axis=0), when[1]
        later, sooner = everybody[::-1].cumsum(axis=0)[::-1] - everybody, events.cumsum(axis=0) - events
        below = later.cumsum(axis=1) - later + later / 2
        above = sooner[:, ::-1].cumsum(axis=1)[:, ::-1] - sooner + sooner / 2
        pairs = float((events * later.sum(axis=1, keepdims=True)).sum())
        if not pairs:
            return math.nan, math.nan, 0
        value = float((events * below).sum()) / pairs
        tick, seen = codes // 2, codes % 2
        one = above[tick, bins] - value * sooner.sum(axis=1)[tick]
        one += seen * (below[tick, bins] - value * later.sum(axis=1)[tick])
        added.append(one / pairs)
        values.append(value)
    change = added[1] - added[0]
    return values[1] - values[0], float(np.sqrt(np.square(change).sum())), int(np.count_nonzero(change))
