"""Sums of errors of numbers that have a public range, and the figures that follow from them.

    said, truth (n,), in the unit --errors_of--> n, error sums, residual histogram, said against truth by public bins

Everything is counted in parts of the range, so that one record adds at most a public amount. Sums are whole multiples of 1/ONE of
the range (of its square, of its fourth power). Intervals follow from the sums: of a mean by the variance of what is meaned; of a
root by that of the squares; of proportions Wilson's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wardround.tasks.binary.score_sums import ONE
from wardround.tasks.intervals import UNDEFINED, Z
from wardround.tasks.protocol import Chart, Dots, Estimate, FigureTable, Floats, Interval, PairedDifference
from wardround.tasks.sums import Counts, Sums, impossible
from wardround.values.tree import Shapes

RESIDUAL_BINS = 512
SAID_BINS = 20

SHAPES: Shapes = {
    "n": (),
    "error": (2,),
    "powers": (3,),
    "residuals": (RESIDUAL_BINS,),
    "by_said": (SAID_BINS, 4),
    "truth": (2,),
}
"""error: the sum of errors above 0 and of those below, as numbers above 0. powers: of |error|, its square, its fourth power.
residuals: errors in 512 equal bins over [-1, 1). by_said: for 20 equal bins of what was said the records, the sums of what was
said, of the truth, and of its square. truth: the sum of the truth, and of its square."""
MOST_ADDED = {"n": 1, "error": ONE, "powers": 3 * ONE, "residuals": 1, "by_said": 3 * ONE + 1, "truth": 2 * ONE}


@dataclass(frozen=True)
class Range:
    """The public range of answers, in the unit."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low

    def part(self, numbers: Floats) -> Floats:
        """0 at the low end, 1 at the high one; what lies outside is moved to the bound."""
        return np.clip((numbers - self.low) / self.width, 0.0, 1.0)


def whole(values: Floats) -> Counts:
    """Each as a multiple of 1/ONE."""
    return np.rint(values * ONE).astype(np.int64)


def errors_of(said: Floats, truth: Floats) -> dict[str, Counts]:
    """Sums of n records; said and truth in parts of the range, 0 to 1."""
    error = said - truth
    position = np.clip(np.floor((error + 1.0) * (RESIDUAL_BINS // 2)), 0, RESIDUAL_BINS - 1).astype(np.int64)
    by_said = np.zeros((SAID_BINS, 4), np.int64)
    columns = np.stack([np.ones(len(said), np.int64), whole(said), whole(truth), whole(np.square(truth))], axis=1)
    np.add.at(by_said, np.minimum((said * SAID_BINS).astype(np.int64), SAID_BINS - 1), columns)
    return {
        "n": np.asarray(len(said)),
        "error": np.array([whole(np.maximum(error, 0.0)).sum(), whole(np.maximum(-error, 0.0)).sum()]),
        "powers": np.array([whole(np.abs(error)).sum(), whole(np.square(error)).sum(), whole(error**4).sum()]),
        "residuals": np.bincount(position, minlength=RESIDUAL_BINS).astype(np.int64),
        "by_said": by_said,
        "truth": np.array([whole(truth).sum(), whole(np.square(truth)).sum()]),
    }


def check_errors(sums: Sums) -> None:
    """WireError where no records have these sums."""
    n = int(sums["n"])
    count, said, truth, squares = sums["by_said"].T
    if sums["residuals"].sum() != n or count.sum() != n:
        raise impossible("as many records in every table", "others")
    if (np.stack([said, truth, squares]) > count * ONE).any() or truth.sum() != sums["truth"][0]:
        raise impossible("answers within their range", "others")
    if (sums["error"] > n * ONE).any() or (sums["powers"] > n * ONE).any() or sums["truth"][1] > n * ONE:
        raise impossible("errors within the range", "larger ones")


def mean_of(total: int, squares: int, n: int, unit: float) -> Estimate:
    """The mean of what was summed, and its interval by the variance. unit: of 1."""
    if not n:
        return math.nan, UNDEFINED
    mean = total / ONE / n
    half = Z * math.sqrt(max(squares / ONE / n - mean**2, 0.0) / n)
    return mean * unit, ((mean - half) * unit, (mean + half) * unit) if n > 1 else UNDEFINED


def root_of(squares: int, fourth: int, n: int, unit: float) -> Estimate:
    """The root of the mean square, and its interval on the scale of its logarithm, since a few far errors decide it."""
    mean, (low, high) = mean_of(squares, fourth, n, 1.0)
    if math.isnan(mean):
        return math.nan, UNDEFINED
    if math.isnan(low) or mean == 0.0:
        return math.sqrt(mean) * unit, UNDEFINED
    half = (high - low) / 4 / mean
    return math.sqrt(mean) * unit, (math.sqrt(mean) * unit * math.exp(-half), math.sqrt(mean) * unit * math.exp(half))


def error_figures(sums: Sums, unit: float) -> dict[str, Estimate]:
    """mae, rmse, bias, r2, each with its interval. unit: the width of the range. r2: its interval is that of the errors alone."""
    n, (absolute, squares, fourth) = int(sums["n"]), (int(one) for one in sums["powers"])
    above, below = (int(one) for one in sums["error"])
    truth, truth_squares = (int(one) for one in sums["truth"])
    spread = truth_squares / ONE / n - (truth / ONE / n) ** 2 if n else 0.0
    mean_square, (low, high) = mean_of(squares, fourth, n, 1.0)
    explained: Estimate = (math.nan, UNDEFINED)
    if spread > 0:
        ends = UNDEFINED if math.isnan(low) else (1 - high / spread, 1 - max(low, 0.0) / spread)
        explained = 1 - mean_square / spread, ends
    return {
        "mae": mean_of(absolute, squares, n, unit),
        "rmse": root_of(squares, fourth, n, unit),
        "bias": mean_of(above - below, squares, n, unit),
        "r2": explained,
    }


def error_below(sums: Sums, share: float, unit: float) -> float:
    """What so large a share of the records' errors, without their sign, lies below; to within a bin. NaN without records."""
    n, middle = int(sums["n"]), RESIDUAL_BINS // 2
    folded = (sums["residuals"][middle:] + sums["residuals"][:middle][::-1]).cumsum()
    if not n:
        return math.nan
    return (int(np.searchsorted(folded, share * n)) + 1) / middle * unit


def said_dots(sums: Sums, bounds: Range) -> Dots | None:
    """By public bins of what was said: its mean, the mean truth, and the interval of that."""
    rows = [row for row in sums["by_said"].tolist() if row[0]]
    if not rows:
        return None
    estimates = [mean_of(truth, squares, count, bounds.width) for count, _, truth, squares in rows]
    ends = [(mean, mean) if math.isnan(low) else (low, high) for mean, (low, high) in estimates]
    return Dots(
        x=tuple(said / ONE / count * bounds.width + bounds.low for count, said, _, _ in rows),
        y=tuple(mean + bounds.low for mean, _ in estimates),
        low=tuple(low + bounds.low for low, _ in ends),
        high=tuple(high + bounds.low for _, high in ends),
    )


def residual_chart(models: dict[str, Sums], bounds: Range, unit: str) -> Chart | None:
    """How far off the models are: the share of records with an error below each number; None without records."""
    edges = np.linspace(0.0, bounds.width, RESIDUAL_BINS // 2 + 1)
    middle = RESIDUAL_BINS // 2
    lines = {}
    for name, sums in models.items():
        if n := int(sums["n"]):
            folded = sums["residuals"][middle:] + sums["residuals"][:middle][::-1]
            shares = np.concatenate([[0.0], folded.cumsum() / n])
            last = min(int(np.searchsorted(shares, 1.0)) + 1, len(shares))
            lines[name] = (edges[:last], shares[:last])
    if not lines:
        return None
    return Chart(
        key="errors",
        x=f"error{unit}",
        y="share of records with a smaller error",
        label="How far off the models are",
        caption="The share of held-out test records whose error, without its sign, is smaller.",
        lines=lines,
        unit=False,
    )


def said_chart(model: str, sums: Sums, bounds: Range, unit: str) -> Chart | None:
    """Calibration of one model's numbers."""
    dots = said_dots(sums, bounds)
    if dots is None:
        return None
    return Chart(
        key="said",
        x=f"what the model says{unit}",
        y=f"mean of the truth{unit}",
        label=f"Calibration of the {model} model",
        caption="Where the model says a number, what is the truth on average? Points on the diagonal are right. 20 bins, 95 % "
        "intervals.",
        dots=dots,
        diagonal=False,
        unit=False,
    )


def paired_errors(first: Floats, second: Floats, unit: float) -> PairedDifference:
    """The second model's mean error (n,), in parts of the range and without sign, less the first's."""
    return paired_by_record(second - first, unit)


def paired_roots(first: Floats, second: Floats, unit: float) -> PairedDifference:
    """The second model's root mean square error less the first's; errors (n,) in parts of the range. To first order in each
    record's square."""
    roots = [math.sqrt(float(np.square(each).mean())) if len(each) else math.nan for each in (first, second)]
    if not len(first) or np.array_equal(np.abs(first), np.abs(second)):
        return paired_by_record(np.zeros(len(first)), unit)
    both = zip((first, second), roots, strict=True)
    shares = [np.square(each) / (2 * root) + root / 2 if root else np.abs(each) for each, root in both]
    return paired_by_record(shares[1] - shares[0], unit)


def paired_by_record(differences: Floats, unit: float) -> PairedDifference:
    """The mean of differences (n,), one of each record, tested against 0."""
    n, discordant = len(differences), int(np.count_nonzero(differences))
    if not n:
        return PairedDifference(math.nan, UNDEFINED, math.nan, 0, 0)
    mean = float(differences.mean())
    if not discordant:
        return PairedDifference(0.0, UNDEFINED, 1.0, n, 0)
    deviation = float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    if deviation == 0.0:
        return PairedDifference(mean * unit, UNDEFINED, math.nan, n, discordant)
    ends: Interval = ((mean - Z * deviation) * unit, (mean + Z * deviation) * unit)
    return PairedDifference(mean * unit, ends, math.erfc(abs(mean) / deviation / math.sqrt(2)), n, discordant)


def errors_table(models: Mapping[str, Sums], width: float, unit: str) -> tuple[FigureTable, ...]:
    """How far off the models are for most records; none without records."""
    if not models or not all(int(sums["n"]) for sums in models.values()):
        return ()
    shares = ((0.5, "half of the errors are below"), (0.8, "8 of 10 are below"), (0.95, "19 of 20 are below"))
    return (
        FigureTable(
            key="errors",
            title=f"How far off it is{f', in {unit}' if unit else ''}",
            form="number",
            columns=tuple(models),
            rows=tuple(
                (text, tuple((error_below(sums, share, width), UNDEFINED) for sums in models.values())) for share, text in shares
            ),
            notes=("Errors without their sign, on these test patients.",),
        ),
    )
