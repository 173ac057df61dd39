"""One change of some bytes, as the fuzzers of the wire and of the network make it."""

import random


def spoilt(draw: random.Random, data: bytes, at: int, other: bytes, *, repeats: bool = False) -> bytes:
    """Cut, lengthened, spliced with `other`, overwritten, or a bit turned, at this place; repeats: also a part many times."""
    match draw.randrange(7 if repeats else 6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + draw.randbytes(draw.randrange(1, 9)) + data[at:]
        case 2:
            return data[:at] + other[draw.randrange(len(other)) :]
        case 3:
            return other
        case 4:
            return data[:at] + draw.randbytes(8) + data[at + 8 :]
        case 5 if repeats:
            return data[:at] + data[at : at + 40] * draw.choice([2, 3, 500])
    return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :] if at < len(data) else data
