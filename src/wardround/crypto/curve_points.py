"""Which 32 bytes are a public key: points of curve 25519, each in its one spelling, without those of small order.

A signature library takes more than these. Under a key of small order one signature fits many messages, made without any secret;
under bytes that are no point nobody can sign; and a point with two spellings passes for two hospitals. A key agreement with a
point of small order gives a secret that everybody has.

A point of the large order with a part of small order is taken. It has one secret like any other key, and all readers verify in
one way. To find it out costs milliseconds for each key, in each process that reads a study of a hundred hospitals.

Source: RFC 8032, section 5.1.3 (decoding) and 5.1.4 (addition); RFC 7748, section 5 and 6.1.
"""

from functools import lru_cache

P = 2**255 - 19
_COFACTOR = 8
_D = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""x, y, z, t of (x/z, y/z), with t = x y / z."""
NEUTRAL: Point = (0, 1, 1, 0)


@lru_cache(maxsize=1024)
def is_signing_key(public: str) -> bool:
    """Whether these digits are a public key of Ed25519: a point in its one spelling, and none of the eight of small order."""
    point = decoded(public)
    return point is not None and not is_neutral(times(_COFACTOR, point))


def is_canonical_coordinate(key: str) -> bool:
    """Whether these hexadecimal digits are a public key of X25519 in its one spelling: 32 bytes, a number below 2^255 - 19."""
    data = _bytes_of(key)
    return data is not None and int.from_bytes(data, "little") < P


def decoded(public: str) -> Point | None:
    """The point of the Edwards curve that 64 hexadecimal digits name; None where they name none, or not in its one spelling."""
    data = _bytes_of(public)
    if data is None:
        return None
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    x = _root_of_ratio((y * y - 1) % P, (_D * y * y + 1) % P)
    if x is None or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def encoded(point: Point) -> str:
    """Inverse of `decoded`."""
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little").hex()


def added(one: Point, other: Point) -> Point:
    """RFC 8032, 5.1.4: complete, so that it holds for every two points."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * _D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(factor: int, point: Point) -> Point:
    """factor >= 0. Not in constant time: for public points and public factors only."""
    total = NEUTRAL
    for bit in bin(factor)[2:]:
        total = added(total, total)
        if bit == "1":
            total = added(total, point)
    return total


def is_neutral(point: Point) -> bool:
    """Whether it adds nothing."""
    x, y, z, _ = point
    return x == 0 and y == z


def _root_of_ratio(u: int, v: int) -> int | None:
    """A number x with v x^2 = u, modulo P, by one power; None where there is none."""
    root = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    for candidate in (root, root * _ROOT_OF_MINUS_ONE % P):
        if (v * candidate * candidate - u) % P == 0:
            return candidate
    return None


def _bytes_of(digits: str) -> bytes | None:
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return None
    return data if len(data) == 32 and data.hex() == digits else None
