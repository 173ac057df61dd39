"""One way to write a value as bytes, so that equal values have equal hashes."""

import hashlib
import json
import math
from typing import Any


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys, no spaces and no NaN or infinity.

    >>> canonical_json({"b": 1, "a": [True, None, "é"]})
    b'{"a":[true,null,"\\xc3\\xa9"],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN: a figure that could not be computed is written as null."""
    return float(value) if math.isfinite(value) else None
