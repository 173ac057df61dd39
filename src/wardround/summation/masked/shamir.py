"""Secrets in shares: any t of them give the secret back, t - 1 say nothing (Shamir, "How to share a secret", CACM 1979).

As docs/spec/masked-sum.md, 5.4 has it. A secret is 32 bytes, read as a big-endian integer and cut into 9 limbs of 30 bits, least
first. Every limb a_0 is shared by itself over the field of p = 2**31 - 1 elements,

    f(x) = a_0 + a_1 x + ... + a_(t-1) x**(t-1) mod p,      a_1 .. a_(t-1) uniform in the field,

and recovered as the sum over t points of l_x f(x), with Lagrange's coefficients at zero. A share is 9 words of 32 bits,
little-endian. Secrets are worked on together: points and coefficients are the same for all of them.

Arithmetic: field elements are below 2**31, so a product is below 2**62 and four products fit 64 bits; here each is reduced
before the next is added. p is a Mersenne prime, but numpy's remainder is fast enough.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIELD = 2**31 - 1
LIMB_BITS = 30
LIMBS = 9
SECRET_BYTES = 32
SHARE_BYTES = 4 * LIMBS
_TOP_LIMIT = 1 << (8 * SECRET_BYTES - LIMB_BITS * (LIMBS - 1))  # the last limb holds what is left of 256 bits: 16
_SHIFTS = np.arange(LIMB_BITS, dtype=np.uint32)

RandomBytes = Callable[[int], bytes]


class ImpossibleSecretsError(ValueError):
    """Shares that no honest owner made: what they give is no secret of 256 bits, or they are no field elements.

    secrets: their numbers, from 0, in order."""

    def __init__(self, secrets: Sequence[int]) -> None:
        self.secrets = tuple(secrets)
        super().__init__(f"the shares of secrets {', '.join(map(str, self.secrets))} give no secret of {SECRET_BYTES} bytes")


def share(
    secrets: NDArray[np.uint8], threshold: int, points: Sequence[int], random_bytes: RandomBytes = os.urandom
) -> NDArray[np.uint8]:
    """(m, 32) secrets -> (len(points), m, 36) shares, in the order of the points.

    points: distinct, 1 <= point < p, at least `threshold` of them. random_bytes: the source of the coefficients.
    """
    _check(threshold, points)
    if secrets.ndim != 2 or secrets.shape[1] != SECRET_BYTES or secrets.dtype != np.uint8:
        raise ValueError(f"secrets are rows of {SECRET_BYTES} bytes, not {secrets.dtype} of shape {secrets.shape}")
    limbs = to_limbs(secrets)
    coefficients = field_elements((threshold - 1) * limbs.size, random_bytes).reshape(threshold - 1, *limbs.shape)
    shares = evaluate(np.concatenate([limbs[None], coefficients]), points)
    return shares.astype("<u4").view(np.uint8)


def recover(shares: NDArray[np.uint8], points: Sequence[int], threshold: int) -> NDArray[np.uint8]:
    """(k, m, 36) shares of k >= threshold points -> (m, 32) secrets. Uses the first `threshold` shares.

    Raises ImpossibleSecretsError with the numbers of the secrets that did not come out as such. Other wrong shares give another
    secret; who uses it checks it against its commitment.
    """
    _check(threshold, points)
    if shares.ndim != 3 or shares.shape[0] != len(points) or shares.shape[2] != SHARE_BYTES or shares.dtype != np.uint8:
        raise ValueError(f"shares are {SHARE_BYTES} bytes a point and secret, not {shares.dtype} of shape {shares.shape}")
    words = np.ascontiguousarray(shares[:threshold]).view("<u4").astype(np.uint64)
    limbs = interpolate_at_zero(np.minimum(words, FIELD), points[:threshold])
    wrong = (words >= FIELD).any(axis=(0, 2)) | (limbs >> LIMB_BITS).any(axis=1) | (limbs[:, -1] >= _TOP_LIMIT)
    if wrong.any():
        raise ImpossibleSecretsError([int(number) for number in np.flatnonzero(wrong)])
    return from_limbs(limbs)


def _check(threshold: int, points: Sequence[int]) -> None:
    if not 1 <= threshold <= len(points):
        raise ValueError(f"{len(points)} points cannot hold shares with the threshold {threshold}")
    if len(set(points)) != len(points) or not all(0 < point < FIELD for point in points):
        raise ValueError("the points of shares are distinct and lie in [1, 2**31 - 2]: the secret itself is at 0")


def field_elements(count: int, random_bytes: RandomBytes) -> NDArray[np.uint64]:
    """Uniform elements of the field: words of 31 bits, where p itself is drawn anew (one in 2**31)."""
    elements = np.zeros(0, np.uint64)
    while len(elements) < count:
        words = np.frombuffer(random_bytes(4 * (count - len(elements))), "<u4") & np.uint32(FIELD)
        elements = np.concatenate([elements, words[words < FIELD].astype(np.uint64)])
    return elements


def evaluate(coefficients: NDArray[np.uint64], points: Sequence[int], field: int = FIELD) -> NDArray[np.uint64]:
    """(t, ...) coefficients, constant first -> (len(points), ...) values, by Horner's rule. field: a prime below 2**32."""
    x = np.array(points, np.uint64).reshape(-1, *(1,) * (coefficients.ndim - 1))
    values = np.zeros((len(points), *coefficients.shape[1:]), np.uint64)
    for coefficient in coefficients[::-1]:
        values *= x
        values += coefficient  # below (p - 1)**2 + p < 2**62
        values %= np.uint64(field)
    return values


def interpolate_at_zero(values: NDArray[np.uint64], points: Sequence[int], field: int = FIELD) -> NDArray[np.uint64]:
    """(t, ...) values of a polynomial of degree t - 1 at t points -> (...) its value at zero. field: a prime below 2**32."""
    total = np.zeros(values.shape[1:], np.uint64)
    for weight, value in zip(lagrange_at_zero(points, field), values, strict=True):
        total += value * np.uint64(weight) % np.uint64(field)  # 2**32 such terms would fit 64 bits
    return total % np.uint64(field)


def lagrange_at_zero(points: Sequence[int], field: int = FIELD) -> list[int]:
    """l_i = product over j != i of x_j / (x_j - x_i)."""
    weights = []
    for i, own in enumerate(points):
        above = below = 1
        for j, other in enumerate(points):
            if j != i:
                above = above * other % field
                below = below * (other - own) % field
        weights.append(above * pow(below, -1, field) % field)
    return weights


def to_limbs(secrets: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(m, 32) bytes, most significant first -> (m, 9) limbs of 30 bits, least first."""
    bits = np.unpackbits(secrets[:, ::-1], axis=1, bitorder="little")
    padded = np.zeros((len(secrets), LIMBS * LIMB_BITS), np.uint32)
    padded[:, : bits.shape[1]] = bits
    limbs: NDArray[Any] = (padded.reshape(-1, LIMBS, LIMB_BITS) << _SHIFTS).sum(axis=2, dtype=np.uint64)
    return limbs


def from_limbs(limbs: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The inverse of `to_limbs`, for limbs within their limits."""
    bits = (limbs[..., None] >> _SHIFTS.astype(np.uint64)) & np.uint64(1)
    flat = bits.astype(np.uint8).reshape(-1, LIMBS * LIMB_BITS)[:, : 8 * SECRET_BYTES]
    return np.ascontiguousarray(np.packbits(flat, axis=1, bitorder="little")[:, ::-1])
