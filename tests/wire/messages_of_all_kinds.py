"""Arbitrary valid messages, for the laws of the wire."""

import numpy as np
from hypothesis import strategies as st

from wardround.wire.messages import (
    ContributionHeader,
    ContributionMessage,
    Message,
    Order,
    OrderHeader,
    Refusal,
    RefusalHeader,
)

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
site_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True)
cohorts = st.sets(site_names, max_size=4).map(lambda names: tuple(sorted(names)))
steps = st.sampled_from(["train", "evaluate", "own", "personal", "close"])
rounds = st.integers(1, 100_000)
array_names = st.from_regex(r"[a-z][a-z0-9_]{0,31}/[ -~]{1,200}", fullmatch=True)
array_shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


def array_of(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Any bits at all: NaNs with payloads, minus zero and denormal numbers too."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(np.random.Generator(np.random.Philox(seed)).bytes(size), dtype).reshape(shape)


def trees(dtypes: tuple[str, ...]) -> st.SearchStrategy[dict[str, np.ndarray]]:
    arrays = st.builds(array_of, st.sampled_from(dtypes), array_shapes, st.integers(0, 2**32))
    return st.dictionaries(array_names, arrays, max_size=3)


order_headers = st.one_of(
    st.builds(
        OrderHeader,
        study=hashes,
        step=steps,
        round=rounds,
        label=st.from_regex(r"[A-Za-z0-9_-]{0,80}", fullmatch=True),
        cohort=cohorts,
        counted=st.dictionaries(site_names, rounds, max_size=3),
        weight=st.integers(0, 2**53 - 1),
    ),
    st.builds(OrderHeader, study=hashes, step=st.just("open"), round=st.just(0), cohort=cohorts),
)
contribution_headers = st.builds(ContributionHeader, study=hashes, step=steps, round=rounds, site=site_names, order=hashes)
refusal_headers = st.builds(
    RefusalHeader, study=hashes, site=site_names, order=hashes, code=st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Order, order_headers, trees(("float32",))),
    st.builds(ContributionMessage, contribution_headers, trees(("uint16", "uint32", "uint64"))),
    st.builds(Refusal, refusal_headers),
)


def example_order() -> Order:
    header = OrderHeader(
        study="a" * 64, step="train", round=3, cohort=("north", "south"), counted={"north": 2, "south": 1}, weight=100
    )
    return Order(header, {"model/w": np.array([[1.0, 2.0], [3.0, np.nan]], np.float32), "model/b": np.zeros(3, np.float32)})


def example_contribution() -> ContributionMessage:
    header = ContributionHeader(study="a" * 64, step="train", round=3, site="north", order="b" * 64)
    return ContributionMessage(
        header, {"model/words": np.arange(7, dtype=np.uint32), "counts/words": np.arange(2, dtype=np.uint64)}
    )


def example_refusal() -> Refusal:
    return Refusal(RefusalHeader(study="a" * 64, site="north", order="b" * 64, code="old-round"))
