"""Lower bounds on epsilon from guesses: what an attack that worked proves about the mechanism that it was tried on.

    scores of canaries, who was in  --one run-->  Guesses  --one_run_bound-->   epsilon at least ...   (nothing is assumed)
                                    --trials--->  Rates    --trials_bound-->    epsilon at least ...   (trials do not touch)

Both are wrong, that is above the true epsilon, with at most the chance `false_alarm`. A low bound proves nothing: another attack
could be better. A bound above the stated epsilon proves that the statement is false.

Scores are log likelihood ratios, present against absent, or anything that is positive where presence is likelier.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, gammaln, ndtri

LARGEST_EPSILON = 50.0
_HALVINGS = 40

Scores = NDArray[np.float64]
Included = NDArray[np.bool_]


@dataclass(frozen=True)
class Guesses:
    """canaries: each was in the run with chance 1/2, on its own. made: for how many of them the auditor said in or out, a number
    fixed before the run. right: how many of these were so."""

    canaries: int
    made: int
    right: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.made <= self.canaries:
            raise ValueError("guesses need 0 <= right <= made <= canaries")


def guess(scores: Scores, included: Included, said_in: int, said_out: int) -> Guesses:
    """Guesses on the canaries with the highest scores, in, and on those with the lowest, out; none on the rest."""
    if not (said_in >= 0 and said_out >= 0 and 0 < said_in + said_out <= len(scores)):
        raise ValueError(f"between 1 and {len(scores)} guesses, not {said_in} and {said_out}")
    order = np.argsort(scores, kind="stable")
    right = included[order[len(scores) - said_in :]].sum() + (~included[order[:said_out]]).sum()
    return Guesses(len(scores), said_in + said_out, int(right))


def guesses_p_value(guesses: Guesses, epsilon: float, delta: float) -> float:
    """The chance, at most, that an (epsilon, delta)-private mechanism lets anybody be right so often.

    Steinke, Nasr, Jagielski, "Privacy auditing with one (1) training run", NeurIPS 2023, theorem 5.2: with r guesses, v of them
    right, among m canaries, and W a sum of r coins that show heads with chance e^epsilon / (1 + e^epsilon),

        P[right >= v]  <=  P[W >= v]  +  2 m delta max_i P[v > W >= v - i] / i
    """
    made, right = guesses.made, guesses.right
    if right == 0:
        return 1.0
    heads = 1 / (1 + math.exp(-epsilon))
    tail = float(betainc(right, made - right + 1, heads))
    if delta == 0:
        return tail
    below = np.arange(right - 1, -1, -1)
    choose = gammaln(made + 1) - gammaln(below + 1) - gammaln(made - below + 1)
    with np.errstate(under="ignore"):
        mass = np.exp(choose + below * math.log(heads) + (made - below) * (-epsilon - math.log1p(math.exp(-epsilon))))
    worst = float((np.cumsum(mass) / np.arange(1, right + 1)).max())
    return min(1.0, tail + 2 * guesses.canaries * delta * worst)


def one_run_bound(guesses: Guesses, delta: float, false_alarm: float) -> float:
    """The largest epsilon that these guesses refute at this delta; 0 where they refute none. By halving, as in the paper."""
    if guesses_p_value(guesses, 0.0, delta) > false_alarm:
        return 0.0
    low, high = 0.0, LARGEST_EPSILON
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        refuted = guesses_p_value(guesses, middle, delta) <= false_alarm
        low, high = (middle, high) if refuted else (low, middle)
    return low


@dataclass(frozen=True)
class Rates:
    """caught: the chance to say "in" of who is in, at least. accused: of who is not, at most. Both hold together with the stated
    chance (Clopper and Pearson, 1934)."""

    caught: float
    accused: float

    def epsilon(self, delta: float) -> float:
        """What an (epsilon, delta)-private mechanism needs to show such rates: Kairouz, Oh, Viswanath, ICML 2015, theorem 2.1."""
        said_in = (self.caught - delta, self.accused)
        said_out = (1 - self.accused - delta, 1 - self.caught)
        return max([0.0, *(math.log(more / less) for more, less in (said_in, said_out) if more > 0)])

    @property
    def gaussian(self) -> float:
        """The noise multiplier, at most, of a Gaussian mechanism with such rates; inf where they are no better than chance.

        Its errors lie on ndtri(1 - missed) = ndtri(accused) + 1 / multiplier (Dong, Roth, Su, "Gaussian differential privacy",
        2022, G_mu); as a bound: Nasr et al., "Tight auditing of differentially private ...", USENIX Security 2023."""
        apart = float(ndtri(self.caught) - ndtri(self.accused))
        return 1 / apart if apart > 0 else math.inf


def rates(scores: Scores, included: Included, threshold: float, false_alarm: float) -> Rates:
    """Of the test "in where the score is above the threshold". The threshold must not have been chosen with these scores, and no
    score's noise may be another's."""
    present, absent, each = scores[included] > threshold, scores[~included] > threshold, false_alarm / 2
    return Rates(_at_least(int(present.sum()), present.size, each), _at_most(int(absent.sum()), absent.size, each))


def trials_bound(scores: Scores, included: Included, delta: float, false_alarm: float) -> float:
    """The largest epsilon that separate trials refute at this delta: the threshold is chosen on one half, tried on the other."""
    half = len(scores) // 2
    chosen = best_threshold(scores[:half], included[:half], delta, false_alarm)
    return rates(scores[half:], included[half:], chosen, false_alarm).epsilon(delta)


def gaussian_multiplier(scores: Scores, included: Included, false_alarm: float) -> float:
    """The largest noise multiplier of one Gaussian that such trials allow: nearly the true one, where it is one. Its threshold is
    0, where errors of both kinds are alike, fixed beforehand."""
    return rates(scores, included, 0.0, false_alarm).gaussian


def best_threshold(scores: Scores, included: Included, delta: float, false_alarm: float, tried: int = 64) -> float:
    """The threshold that has the largest bound on these scores: a choice, not a result."""
    candidates = np.unique(np.quantile(scores, np.linspace(0, 1, tried + 2)[1:-1]))
    return float(max(candidates, key=lambda candidate: rates(scores, included, float(candidate), false_alarm).epsilon(delta)))


def _at_least(successes: int, trials: int, error: float) -> float:
    return float(betaincinv(successes, trials - successes + 1, error)) if successes else 0.0


def _at_most(successes: int, trials: int, error: float) -> float:
    return 1 - _at_least(trials - successes, trials, error)
