"""The hazard of a patient whose predictor is 0, in each cell of the grid, and what follows from it by a time.

    hazard_k = events in cell k / sum over patients of exp(predictor) x days followed in cell k

N. Breslow's estimator (1972) where the hazard is constant within a cell (T. R. Holford, Biometrics 32 (1976) 587). On cells one
day wide it is Breslow's own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.survival.time_grid import Floats, TimeGrid


def followed(times: Floats, grid: TimeGrid) -> Floats:
    """(n, cells): how long each patient is followed in each cell; whole times count the day on which they leave."""
    until = times[:, None] + (1.0 if grid.whole else 0.0)
    return np.clip(until - grid.starts, 0.0, grid.widths)


def exposure(times: Floats, predictor: Floats, grid: TimeGrid) -> Floats:
    """(cells,), one hospital's sum of exp(predictor) times the time followed."""
    return np.exp(predictor) @ followed(times, grid)


@dataclass(frozen=True)
class BaselineHazard:
    """grid; hazard: (cells,), per unit of time."""

    grid: TimeGrid
    hazard: Floats

    def cumulative(self, time: float) -> float:
        """Up to `time`, the end of a cell."""
        cells = self.grid.cells_until(time)
        return float(self.hazard[:cells] @ self.grid.widths[:cells])

    def risk(self, predictor: Floats, time: float) -> Floats:
        """The chance of the event by `time` of patients with these predictors (n,)."""
        return -np.expm1(-self.cumulative(time) * np.exp(predictor))


def baseline_hazard(grid: TimeGrid, events: NDArray[np.int64], exposures: Floats) -> BaselineHazard:
    """From events and exposures (cells,) of all hospitals; 0 where nobody is followed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return BaselineHazard(grid, np.where(exposures > 0, events / exposures, 0.0))
