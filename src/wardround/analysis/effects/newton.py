"""Newton's method for many small convex problems at once, through sums: each exchange evaluates one trial of every problem.

    trial (m, p) --sites--> loss, score, information at the trial --advance--> accepted: the next trial | worse: half the step

A problem that is done keeps its trial, so that an exchange costs the same, whatever is left to do.
"""

from dataclasses import dataclass, replace

import numpy as np

from wardround.analysis.effects.rows import Floats
from wardround.analysis.reach import Reach

SMALLEST_STEP = 1e-6
"""A problem is done when no coefficient would move further, in units of the larger of 1 and the largest coefficient. That step is
still taken: what is left after it is of the order of its square."""
_HALVINGS = 12


@dataclass(frozen=True)
class Descent:
    """accepted, trial (m, p). losses (m,): at `accepted`, penalty included; infinite before the first. steps (m, p): the Newton
    step from `accepted`. shares (m,): how much of it the trial takes. done (m,). penalties (m, p). reach: how far a trial may
    lie, of one vector of coefficients or of several one behind the other."""

    accepted: Floats
    trial: Floats
    losses: Floats
    steps: Floats
    shares: Floats
    done: np.ndarray[tuple[int], np.dtype[np.bool_]]
    penalties: Floats
    reach: Reach

    @classmethod
    def begin(cls, start: Floats, penalties: Floats, reach: Reach) -> "Descent":
        m = len(start)
        return cls(start, start, np.full(m, np.inf), np.zeros_like(start), np.ones(m), np.zeros(m, bool), penalties, reach)

    def advance(self, losses: Floats, scores: Floats, information: Floats, error: float = 0.0) -> "Descent":
        """The next trials. losses (m,), scores (m, p), information (m, p, p): of the trials, without the penalty.

        A loss falls along its score: score = -gradient. error: of a summed loss, so that its rounding makes no step look worse.
        """
        penalised = losses + 0.5 * np.sum(self.penalties * self.trial**2, axis=1)
        slack = 2 * error + 1e-11 * np.abs(penalised)
        better = ~(penalised > self.losses + slack) & ~self.done
        worse = ~better & ~self.done
        accepted, steps, done = self.accepted.copy(), self.steps.copy(), self.done.copy()
        for at in np.flatnonzero(better):
            accepted[at] = self.trial[at]
            gradient = scores[at] - self.penalties[at] * self.trial[at]
            steps[at] = _solved(information[at] + np.diag(self.penalties[at]), gradient)
            done[at] = np.abs(steps[at]).max() <= SMALLEST_STEP * max(1.0, float(np.abs(accepted[at]).max()))
            accepted[at] += steps[at] if done[at] else 0.0
        shares = np.where(worse, self.shares / 2, 1.0)
        done |= worse & (shares < 2.0**-_HALVINGS)
        for at in np.flatnonzero(~done):
            while shares[at] >= 2.0**-_HALVINGS and self._is_far(accepted[at] + shares[at] * steps[at]):
                shares[at] /= 2
        trial = np.where(done[:, None], accepted, accepted + shares[:, None] * steps)
        losses = np.where(better, penalised, self.losses)
        return replace(self, accepted=accepted, trial=trial, losses=losses, steps=steps, shares=shares, done=done)

    def _is_far(self, coefficients: Floats) -> bool:
        return self.reach.of(coefficients.reshape(-1, len(self.reach.bounds))) > self.reach.largest

    @property
    def finished(self) -> bool:
        return bool(self.done.all())


def _solved(matrix: Floats, vector: Floats) -> Floats:
    """matrix^-1 vector; by least squares where the matrix is singular, which a penalty excludes but for rounding."""
    try:
        return np.asarray(np.linalg.solve(matrix, vector))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(matrix, vector, rcond=None)[0])
