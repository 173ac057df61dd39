"""What leaves a hospital in a private study: integers. rint(clipped sum / step) + one share of D_Z(S^2), modulo 2**bits.

The noise is fixed in levels (`discrete_gaussian`), so the step follows from the multiplier z that the study pays for. h: the
shares that an adversary does not know (the threshold less the colluding sites; 1 when local); d: values; C: the clip norm.

**Sensitivity.** One patient more or less moves one site's sum v by at most C in Euclidean length: that the caller promises, its
own floating-point additions included. In exact arithmetic |rint(a) - rint(b)| <= |a - b| + 1 per value, and by Minkowski the
integers move by at most C / step + sqrt(d). The division is in float64, within 2^-53 relative; quotients beyond REACH = 2^44 are
brought to it, which moves no two sums apart, so the division errs by at most e = 2^-9 levels whatever the data are. `sensitivity`
therefore is C / step + (1 + 2 e) sqrt(d). Noise is added afterwards and never clamped. (Honest sums stay below REACH, checked at
construction.)

**Shares.** h shares add up to D_Z(h S^2) within a log ratio of h LOG_RATIO at every point (each share has its own; a ratio of
joint laws bounds that of a sum) and, by the convolution in `discrete_gaussian` with u^2 = S^2 j / (j + 1) >= S^2 / 2, terms of
the order of exp(-pi^2 S^2), below 10^(-10^10). All else in a total is independent of these h, or known: adding it is
post-processing.

**Against the continuous Gaussian.** s^2 = h S^2, v = s^2 - 1/12; y: the noise of one value; p(y): D_Z(s^2); g(y): the integral of
the normal density of variance v over [y - 1/2, y + 1/2], the law of rint(q + N(0, v)) - q for whole q. With t = y / v and U
uniform on [-1/2, 1/2],

    ln g = -y^2/2v - ln(2 pi v)/2 + K(t) + ln E_t exp(-U^2/2v)       K = ln E exp(-t U) = ln(sinh(t/2) / (t/2))
    ln p = -y^2/2s^2 - ln(2 pi s^2)/2 - ln(1 + w)                    0 <= w <= 2 sum_j exp(-2 pi^2 s^2 j^2), Poisson summation

E_t: the mean under the density exp(-t U - K). For t >= 0 (both laws are even) K' = sum_n 2t / (t^2 + 4 pi^2 n^2) gives, term by
term, t/12 - t^3/720 <= K' <= t/12 and K'' <= 1/12. So K = t^2/24 - A, 0 <= A <= t^4/2880, and 1/12 <= E_t U^2 = K'' + K'^2 <=
1/12 + t^2/144 (at least 1/12, as U^2 and cosh(tU) grow together). Then ln E_t exp(-U^2/2v) = -1/24v - B + D with 0 <= B <=
t^2/288v, and 0 <= D <= 1/128v^2 by Jensen and by ln E exp(-X) <= -E X + E X^2 / 2 for X >= 0. Also 1/s^2 = 1/v - 1/12v^2 + 1/(144
v^2 s^2) and ln(s^2/v)/2 = 1/24v - E with 0 <= E <= 1/576v^2. All of order 1/v cancels (hence the 1/12), and what is left is

    ln p - ln g = A + B - D + E - y^2/(288 v^2 s^2) - ln(1 + w)
    |ln p - ln g| <= (k^4/2880 + k^2/288 + 1/128) s^4/v^4 + w        for |y| <= k s: `rounding_ratio`

Beyond k = 16 lie at most 2 exp(-(k - 1/2s)^2 / 2) of p and of g. Let M be the mechanism and M~ the same with g for p, both over n
= releases * d values, adaptively chosen, the samples of patients secret; r = n (rounding_ratio + h LOG_RATIO), T = n times that
tail, N = n h DISTANCE. M~ is post-processing of (sampled) Gaussians with multiplier sqrt(v) / sensitivity >= z. If those give
(epsilon, delta), then P_M <= e^r P_M~ + T <= e^r (e^epsilon P'_M~ + delta) + T and P'_M~ <= e^r P'_M + T for every event, and the
real samplers are within N of M: (epsilon + 2 r, delta + (e^r - 1) delta + (T + N) (1 + e^(epsilon + 2 r))) holds. `slack` is that
for epsilon <= LARGEST_EPSILON; for 10^9 values at h = 1 it is 1.7e-10 and 8.1e-11.

**Wrap-around** modulo 2**bits is post-processing too: it costs accuracy, not privacy. `wrap_bound`: what an honest total stays
within. Multiplier 0: no noise, no guarantee; the step then is as small as the word, or REACH, allows.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardround.privacy.discrete_gaussian import DEVIATION, DISTANCE, LOG_RATIO, VARIANCE, draw
from wardround.privacy.fixed_point import NotFiniteError
from wardround.values.errors import StudyError

REACH = 2.0**44
LARGEST_EPSILON = 32.0
WRAP_CHANCE = 2.0**-40
"""Probability, per total, that its noise exceeds what `wrap_bound` leaves for it."""
_ERROR = REACH * 2.0**-53  # of a quotient, in levels
_PER_VALUE = 1 + 2 * _ERROR
_CUT = 16.0
_BLOCK = 1 << 15  # values worked on at once, in the cache: whole vectors of 64 bits cost more in fresh pages than in arithmetic
_UNSIGNED: dict[int, Any] = {32: np.uint32, 64: np.uint64}
_SIGNED: dict[int, Any] = {32: np.int32, 64: np.int64}


@dataclass(frozen=True, kw_only=True)
class NoiseGrid:
    """The grid that the sites of one private total share.

    multiplier: of the Gaussian that is accounted for, noise over clip norm; 0: no noise. size: values in a vector. capacity: the
    largest |value| of any site's sum and of the total, in clip norms (the most patients that can be in it). sites: the most
    shares in a total. honest: the fewest that an adversary does not know.
    """

    clip_norm: float
    multiplier: float
    size: int
    capacity: float
    sites: int = 1
    honest: int = 1
    bits: Literal[32, 64] = 32

    def __post_init__(self) -> None:
        numbers = (self.clip_norm, self.capacity, self.multiplier)
        if not all(map(math.isfinite, numbers)) or min(self.clip_norm, self.capacity) <= 0 or self.multiplier < 0:
            raise ValueError("a grid needs a positive clip norm and capacity and a multiplier of at least 0, all finite")
        if not (self.size >= 1 and 1 <= self.honest <= self.sites <= 10_000 and self.bits in _UNSIGNED):
            raise ValueError("a grid needs at least 1 value, 1 <= honest <= sites <= 10,000 and words of 32 or 64 bits")
        if self._signal <= 0:
            raise self._too_many_values()
        if self.step < np.finfo(np.float64).tiny:
            raise ValueError(f"the clip norm {self.clip_norm} is too small for steps that float64 can tell apart")
        if self.wrap_bound >= self._word_end or self._largest > REACH:
            raise self._too_long_sums()

    @property
    def step(self) -> float:
        """The distance of two levels, in the unit of the values."""
        return self.clip_norm / self._signal * (1 + 2.0**-50)

    @property
    def sensitivity(self) -> float:
        """The most, in levels, that one patient moves the integers of a total."""
        return (self.clip_norm / self.step + _PER_VALUE * math.sqrt(self.size)) * (1 + 2.0**-50)

    @property
    def wrap_bound(self) -> float:
        """Levels that an honest total stays within; with noise but for a chance of WRAP_CHANCE. Below 2**(bits - 1)."""
        signal = self._largest + self.sites * (0.5 + _ERROR)
        if self.multiplier == 0:
            return signal
        # A sum x of n shares has E exp(t x) <= exp(t^2 n S^2 / 2), so P[|x| > k S sqrt(n)] <= 2 exp(-k^2 / 2), for every value.
        return signal + DEVIATION * math.sqrt(2 * self.sites * math.log(2 * self.size / WRAP_CHANCE))

    @property
    def error_bound(self) -> float:
        """Largest distance, per value and without noise, of the decoded total of `sites` sums from their exact sum."""
        return (self.sites * (0.5 + _ERROR) + _ERROR) * self.step * (1 + 2.0**-50)

    @property
    def word(self) -> Any:
        return _UNSIGNED[self.bits]

    def encode(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """One site's words: its values rounded once, one share of noise added, wrapped. Fresh noise at every call."""
        if values.shape != (self.size,):
            raise ValueError(f"this grid is for {self.size} values, not for an array of shape {values.shape}")
        if not np.isfinite(values).all():
            raise NotFiniteError("only finite values have a place on the grid")
        words = np.empty(self.size, self.word)
        for start in range(0, self.size, _BLOCK):
            whole = self._levels(values[start : start + _BLOCK])
            if self.multiplier > 0:
                whole += draw(whole.size)
            words[start : start + _BLOCK] = whole.astype(self.word)
        return words

    def _levels(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        with np.errstate(over="ignore"):  # beyond REACH all the same
            levels = np.divide(values, self.step, dtype=np.float64)
        np.rint(np.clip(levels, -REACH, REACH, out=levels), out=levels)
        return levels.astype(np.int64)

    def decode(self, total: NDArray[Any]) -> NDArray[np.float64]:
        """The real total that a sum of words, modulo 2**bits, stands for."""
        signed = np.asarray(total, self.word).view(_SIGNED[self.bits])
        values: NDArray[np.float64] = signed.astype(np.float64)
        values *= self.step
        return values

    def slack(self, releases: int) -> tuple[float, float]:
        """(epsilon, delta) to add, once, to those of `releases` continuous Gaussians with this multiplier (epsilon up to
        LARGEST_EPSILON), for what integers and their samplers cost."""
        values, deviation = releases * self.size, math.sqrt(self.honest) * DEVIATION
        ratio = values * (rounding_ratio(_CUT, self.honest * VARIANCE) + self.honest * LOG_RATIO)
        tail = 2 * math.exp(-((_CUT - 0.5 / deviation) ** 2) / 2)
        missed = values * (tail + self.honest * DISTANCE)
        return 2 * ratio, math.expm1(ratio) + missed * (1 + math.exp(LARGEST_EPSILON + 2 * ratio))

    @property
    def _word_end(self) -> float:
        return math.ldexp(1.0, self.bits - 1)

    @property
    def _largest(self) -> float:
        return self.capacity * self.clip_norm / self.step

    @property
    def _signal(self) -> float:
        """Levels to one clip norm. Not positive where rounding alone needs more noise than there is."""
        if self.multiplier == 0:
            return min(self._word_end - self.sites - 1, REACH) / self.capacity
        # 2^-40 less noise than there is: room for every rounding of this arithmetic.
        return self._noise / self.multiplier - _PER_VALUE * math.sqrt(self.size)

    @property
    def _noise(self) -> float:
        return math.sqrt(self.honest * VARIANCE - 1 / 12) * (1 - 2.0**-40)

    def _too_many_values(self) -> StudyError:
        most = (self._noise / self.multiplier / _PER_VALUE) ** 2
        return StudyError(
            "Rounding so many values would outweigh this much noise",
            expected=f"fewer than {most:,.0f} trainable values at a noise multiplier of {self.multiplier:g}",
            found=f"{self.size:,} values",
            hint="train fewer values (freeze a part of the network), or ask for a larger epsilon",
        )

    def _too_long_sums(self) -> StudyError:
        return StudyError(
            f"The sums do not fit words of {self.bits} bits",
            expected=f"sums below {min(self._word_end, REACH):.3g} levels",
            found=f"up to {self.wrap_bound:.3g} levels: {self.capacity:g} clip norms and the noise of {self.sites} sites",
            hint="use words of 64 bits, or ask for a smaller epsilon or for fewer patients in a sum",
        )


def narrowest(*, clip_norm: float, multiplier: float, size: int, capacity: float, sites: int = 1, honest: int = 1) -> NoiseGrid:
    """The grid with words of 32 bits where its totals fit them, else of 64. Without noise the step is made to fit 32."""
    wide = NoiseGrid(
        clip_norm=clip_norm, multiplier=multiplier, size=size, capacity=capacity, sites=sites, honest=honest, bits=64
    )
    return replace(wide, bits=32) if multiplier == 0 or wide.wrap_bound < 2.0**31 else wide


def rounding_ratio(deviations: float, variance: float) -> float:
    """Bound on |ln p - ln g| of the module's text within `deviations` of the mean. variance: s^2, at least 1."""
    wave = 2.1 * math.exp(-2 * math.pi**2 * variance)
    return (deviations**4 / 2880 + deviations**2 / 288 + 1 / 128) * variance**2 / (variance - 1 / 12) ** 4 + wave
