"""Canonical bytes: equal values have equal hashes, on every machine."""

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.values.canonical import canonical_json, finite_or_none, sha256_hex

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)))
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12
)


@given(values)
def test_writing_and_reading_gives_the_same_bytes(value: object) -> None:
    """A hash made from a file read again must equal the first one."""
    data = canonical_json(value)
    assert canonical_json(json.loads(data)) == data


@given(st.dictionaries(st.text(max_size=5), scalars, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, object], random: object) -> None:
    """Two hospitals that list the same settings in another order run the same study."""
    keys = list(value)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_refused(bad: float) -> None:
    """Python would write NaN, which no other reader accepts."""
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": bad})
    assert finite_or_none(bad) is None


def test_hashes_are_those_of_sha256() -> None:
    """A registry of another program must find the same model under the same hash."""
    assert sha256_hex(b"abc") == hashlib.sha256(b"abc").hexdigest() == sha256_hex(b"abc").lower()
    assert finite_or_none(1.5) == 1.5
