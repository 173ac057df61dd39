"""Noise on the integers: D_Z(S^2), P[x] proportional to rho_S(x) = exp(-x^2 / (2 S^2)), with one fixed S, 131,073 levels.

The grid's step follows from the noise and not the noise from the step (`noise_grid`), so one S serves every study, its tables are
made once and the whole proof is about constants. No float is drawn, compared or rounded: tables are made by integer arithmetic,
and a draw is integers from random bits (Mironov, CCS 2012: what floating-point noise gives away).

**A base draw**, y from D_Z(s^2) with s = 512. Let p_y be its law cut to |y| <= CUT = 14 s. The mass cut off is at most
2 exp(-(CUT + 1)^2 / (2 s^2)) < 2^-140, since D_Z(s^2) has E exp(t y) <= exp(t^2 s^2 / 2): completing the square leaves
sum_y rho_s(y - t s^2) <= sum_y rho_s(y), as all Fourier coefficients of the sum are positive.
Write p_y = (n_y + f_y) / 2^16 with n_y whole and 0 <= f_y < 1; then r = sum f_y is whole too. A random word of 16 bits picks one
of 2^16 entries: n_y of them say y, and r of them (1,733) say "one of the rest", whose law f_y / r Walker's alias method draws:
2^14 columns, 128 random bits in each against a threshold. Those tables hold *exactly* e_y / 2^142 with the integers
e_y = floor(2^142 f_y / r), the last few units (fewer than 2^14) given to the largest. So the base draw's law is
n_y / 2^16 + (r / 2^16) e_y / 2^142, at most 2^14 2^-142 r / 2^16 < 2^-133 from p in total variation. The p_y come from fixed
point with 192 bits: w_(y+1) = w_y g_y and g_(y+1) = g_y exp(-1 / s^2), each product within a unit, so w_y is within (y + 1)^2
units, below 2^-166; with fewer than 2^14 values and sum w > 2^10 that is 2^-162 in all, which disappears in the above.

**A draw**, x = k y1 + y2 with k = 256 (Peikert, CRYPTO 2010; Micciancio and Walter, CRYPTO 2017; in one dimension, by hand).
P[x] is proportional to the sum over y1 of rho_s(y1) rho_s(x - k y1), and

    y1^2 + (x - k y1)^2 = (1 + k^2) (y1 - k x / (1 + k^2))^2 + x^2 / (1 + k^2)

so P[x] is proportional to rho_S(x) F(k x / (1 + k^2)), where S^2 = s^2 (1 + k^2), F(c) = sum_y exp(-(y - c)^2 / (2 u^2)) and
u^2 = s^2 / (1 + k^2). Poisson summation: F(c) = u sqrt(2 pi) (1 + 2 sum_(j>=1) exp(-2 pi^2 u^2 j^2) cos(2 pi j c)), within 1 +- t
of a constant, t = 2 sum_(j>=1) exp(-2 pi^2 u^2 j^2); the normalising constant is a mean of such F. Hence, at every x,
|ln(P[x] / D[x])| <= ln((1 + t) / (1 - t)). Here u^2 = 3.99994 and t < 1.03e-34: the logarithm is below 2^-111, LOG_RATIO.
Two real base draws in place of exact ones cost at most 2 (2^-140 + 2^-133) in total variation, below 2^-131, DISTANCE.

Random bits: AES-256 (values.keystream) under a fresh key from the operating system for every call; all of the above is up to
telling AES from random. How long a call takes depends on how many of its words said "one of the rest", a sum over the vector: it
times no single draw. Traces in the caches of the hospital's own machine are not defended against.
"""

import math
import os
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.keystream import Keystream

SPREAD = 256  # k: the coarse draw counts in steps of this
CUT = 14 * 512
VARIANCE = 2**18 * (SPREAD**2 + 1)
"""S^2, in squared levels, exactly."""
DEVIATION = math.sqrt(VARIANCE)
LOG_RATIO = 2.0**-111
"""|ln(P[x] / D(x))| of an exact convolution, at every x."""
DISTANCE = 2.0**-131
"""Total variation between one draw and an exact convolution."""

_COLUMN_BITS, _THRESHOLD_BITS = 14, 128
_COLUMNS, _CAPACITY = 1 << _COLUMN_BITS, 1 << _THRESHOLD_BITS
_BLOCK = 1 << 15  # draws made at once: words, indices and results stay in a core's cache
_FIXED = 192  # bits after the point in the weights


def draw(size: int) -> NDArray[np.int64]:
    """`size` independent draws, each within LOG_RATIO pointwise and then DISTANCE in total variation of D_Z(S^2)."""
    return _draw(size, Keystream(os.urandom(32)))


def _draw(size: int, stream: Keystream) -> NDArray[np.int64]:
    draws = np.empty(size, np.int64)
    for start in range(0, size, _BLOCK):
        block = draws[start : start + _BLOCK]
        base = _base(2 * block.size, stream)
        np.multiply(base[: block.size], SPREAD, out=block, dtype=np.int64)
        block += base[block.size :]
    return draws


def _base(size: int, stream: Keystream) -> NDArray[np.int16]:
    """Independent draws of D_Z(512^2), each within 2^-132 of it in total variation."""
    tables = _tables()
    words = np.empty(size, np.uint16)
    stream.fill(words)
    draws: NDArray[np.int16] = tables.common.take(words)
    rest = np.flatnonzero(words < tables.rest)
    draws[rest] = _rare(rest.size, stream)
    return draws


def _rare(size: int, stream: Keystream) -> NDArray[np.int16]:
    """Walker's method: a column by 14 random bits, then its own value or its alias by 128 more."""
    tables = _tables()
    columns, high, low = np.empty(size, np.uint16), np.empty(size, np.uint64), np.empty(size, np.uint64)
    for words in (columns, high, low):
        stream.fill(words)
    columns >>= 16 - _COLUMN_BITS
    threshold = tables.high.take(columns)
    own = (high < threshold) | ((high == threshold) & (low < tables.low.take(columns)))
    return np.where(own, columns.astype(np.int16) - np.int16(CUT), tables.alias.take(columns))


@dataclass(frozen=True)
class _Tables:
    """common: 2^16 values; the first `rest` stand for "one of the rest". high, low: the columns' thresholds, in two words; column
    c holds c - CUT below its threshold and alias[c] from there on."""

    common: NDArray[np.int16]
    rest: int
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    alias: NDArray[np.int16]


@cache
def _tables() -> _Tables:
    often, fractions = _masses()
    rest = 2**16 - sum(often)
    common = np.zeros(2**16, np.int16)
    common[rest:] = np.repeat(np.arange(-CUT, CUT + 1, dtype=np.int16), often)
    thresholds, alias = _columns(fractions)
    halves = [np.array(half, np.uint64) for half in zip(*(divmod(t, 2**64) for t in thresholds), strict=True)]
    tables = _Tables(common, rest, halves[0], halves[1], (np.array(alias) - CUT).astype(np.int16))
    for array in (tables.common, tables.high, tables.low, tables.alias):
        array.flags.writeable = False  # shared by every draw of the process
    return tables


def _masses() -> tuple[list[int], list[int]]:
    """n_y and e_y of the module's text for y = -CUT..CUT. The e_y sum to 2^142, the n_y to 2^16 - r."""
    half = _weights()
    weights = half[:0:-1] + half
    total = sum(weights)
    parts = [divmod(weight << 16, total) for weight in weights]
    remainders = [part[1] for part in parts]
    shared, whole = _COLUMNS * _CAPACITY, sum(remainders)
    fractions = [remainder * shared // whole for remainder in remainders]
    fractions[remainders.index(max(remainders))] += shared - sum(fractions)
    return [part[0] for part in parts], fractions


def _weights() -> list[int]:
    """exp(-y^2 / 2^19) for y = 0..CUT in fixed point, by two multiplications each."""
    ratio, shrink = _exp_minus(19), _exp_minus(18)
    weights = [1 << _FIXED]
    for _ in range(CUT):
        weights.append(weights[-1] * ratio >> _FIXED)
        ratio = ratio * shrink >> _FIXED
    return weights


def _exp_minus(power: int) -> int:
    """exp(-2^-power) in fixed point: the series, in 64 more bits that are dropped at the end."""
    term = total = 1 << _FIXED + 64
    number = 0
    while term:
        number += 1
        term = -((abs(term) >> power) // number) if term > 0 else (abs(term) >> power) // number
        total += term
    return total >> 64


def _columns(fractions: list[int]) -> tuple[list[int], list[int]]:
    """Walker's table by Vose's method, in integers: thresholds, and the column that the part above each belongs to. A full column
    is its own alias, with threshold 0."""
    left = fractions + [0] * (_COLUMNS - len(fractions))
    thresholds, alias = [0] * _COLUMNS, list(range(_COLUMNS))
    poor = [column for column, mass in enumerate(left) if mass < _CAPACITY]
    rich = [column for column, mass in enumerate(left) if mass > _CAPACITY]
    while poor:
        giver, taker = rich[-1], poor.pop()
        thresholds[taker], alias[taker] = left[taker], giver
        left[giver] -= _CAPACITY - left[taker]
        if left[giver] <= _CAPACITY:
            rich.pop()
            if left[giver] < _CAPACITY:
                poor.append(giver)
    return thresholds, alias
