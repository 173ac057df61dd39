"""The Cox model with one baseline for all hospitals: risk sets that reach over hospitals, on a public grid of times.

    coefficients --> every hospital's (sum of w, sum of w x) of those who leave in each cell --> risk sets, score
    coefficients, events / risk set of each cell --> every hospital's sum of w c x x' --> information

C.-L. Lu et al., WebDISCO, JAMIA 22 (2015) 1212, with two differences. Second moments are summed over all cells at once, since
those of a few patients in one cell tell their rows. Who leaves in a cell counts as at risk for the part of it that the average
such patient was there.

Neighbouring risk sets differ by those who leave between them. Where that is one patient the difference of sum w x, over that of
sum w, is the patient's row. So the grid has cells in which nobody leaves, or at least as many as the disclosure rule says;
tests hold the attack.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.survival.partial_likelihood import FollowUp, LikelihoodSums
from wardround.analysis.survival.time_grid import Counts, Floats, TimeGrid

FARTHEST = 8.0
"""A predictor farther from the centre counts as this far: exp(8) is a hazard 3,000 times as large. It bounds the sums."""


def _weights(rows: FollowUp, coefficients: Floats, centre: float) -> Floats:
    return np.exp(np.clip(rows.columns @ coefficients - centre, -FARTHEST, FARTHEST))


def leaving_sums(rows: FollowUp, coefficients: Floats, centre: float, grid: TimeGrid) -> tuple[Floats, Floats]:
    """(cells + 1,) and (cells + 1, p): sums of w = exp(predictor - centre) and of w x over one hospital's patients who leave
    there."""
    cells, weights = grid.cell_of(rows.times), _weights(rows, coefficients, centre)
    columns = np.zeros((grid.cells + 1, rows.columns.shape[1]))
    np.add.at(columns, cells, rows.columns * weights[:, None])
    return np.bincount(cells, weights, grid.cells + 1).astype(np.float64), columns


def weighted_moments(rows: FollowUp, coefficients: Floats, centre: float, grid: TimeGrid, factors: Floats) -> Floats:
    """(p, p), one hospital's sum over cells of factor times its part of the second moment of the risk set. factors: (cells,)."""
    cells = grid.cell_of(rows.times)
    until = np.r_[0.0, factors.cumsum()][cells] + np.r_[factors * (1 - grid.before), 0.0][cells]
    weights = _weights(rows, coefficients, centre) * until
    moments: Floats = rows.columns.T @ (rows.columns * weights[:, None])
    return moments


@dataclass(frozen=True)
class CellRiskSets:
    """The risk sets of the cells, over all hospitals. risk: (cells,). means: (cells, p), of x. events: (cells,)."""

    risk: Floats
    means: Floats
    events: Counts

    @property
    def factors(self) -> Floats:
        """(cells,), events by risk: what the second moments are weighted by."""
        return np.where(self.events > 0, self.events / np.where(self.events > 0, self.risk, 1.0), 0.0)

    def likelihood(self, coefficients: Floats, centre: float, event_columns: Floats, moments: Floats | None) -> LikelihoodSums:
        """The total's log-likelihood, score and information. event_columns: (p,), the sum of x over all events on the grid.

        moments: the sum of `weighted_moments`; None: not asked for yet, and the information is NaN.
        """
        telling, count = self.events > 0, int(self.events.sum())
        gain = float(coefficients @ event_columns) - centre * count - float(self.events[telling] @ np.log(self.risk[telling]))
        score = event_columns - self.events @ self.means
        middle = (self.means * self.events[:, None]).T @ self.means
        information = np.full(middle.shape, np.nan) if moments is None else moments - middle
        return LikelihoodSums(gain, score, information)


def cell_risk_sets(weights: Floats, columns: Floats, events: Counts, grid: TimeGrid) -> CellRiskSets:
    """From the totals of `leaving_sums` and the events of the cells (cells,)."""
    risk = weights[::-1].cumsum()[::-1][:-1] - grid.before * weights[:-1]
    sums = columns[::-1].cumsum(axis=0)[::-1][:-1] - grid.before[:, None] * columns[:-1]
    means = np.where((events > 0)[:, None], sums / np.where(events > 0, risk, 1.0)[:, None], 0.0)
    return CellRiskSets(risk, means, events)


def recovered_rows(weights: Floats, columns: Floats) -> NDArray[np.float64]:
    """(gaps, p): what an attacker reads from the totals of `leaving_sums`, the row of the patient where a cell has one.

    The same follows from risk sets as WebDISCO sends them, by the difference of neighbours. For tests and benchmarks.
    """
    filled = weights > 0
    rows: NDArray[np.float64] = columns[filled] / weights[filled][:, None]
    return rows
