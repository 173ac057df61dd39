"""A header is read without its payload, and a payload against the arrays that a plan has (docs/spec/wire.md, 3.4 and 3.5)."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.values.errors import WireError
from wardround.values.tree import same_bits
from wardround.wire.envelope import from_bytes, largest_header, open_envelope, to_bytes
from wardround.wire.messages import (
    Answer,
    AnswerHeader,
    Ask,
    AskHeader,
    ContributionHeader,
    ContributionMessage,
    Masked,
    Message,
    Order,
    OrderHeader,
    Refusal,
    RefusalHeader,
    Statement,
)
from wardround.wire.payload import PayloadLimits, kinds_of, payload_size

from .messages_of_all_kinds import example_order, messages
from .test_envelope import ONE, canonically_spelled, equal, header_of, parts, sealed, spelled

pytestmark = pytest.mark.permission
MIB = 1 << 20


def order_of_empty_arrays(arrays: int = 50_000) -> bytes:
    """Three megabytes that hold no number at all."""
    return to_bytes(Order(example_order().header, {f"m/{number:06d}": np.zeros(0, np.float32) for number in range(arrays)}))


def peak_bytes(work: Callable[[], object]) -> int:
    """The memory that Python takes at most while it works."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refuses(data: bytes, kinds: dict[str, tuple[str, tuple[int, ...]]]) -> bool:
    try:
        open_envelope(data).exact_message(kinds)
    except WireError:
        return True
    return False


@given(messages)
def test_a_message_read_in_two_steps_is_the_message(message: Message) -> None:
    """Whoever looks at the header first must not read another message than whoever reads it whole."""
    data = to_bytes(message)
    envelope = open_envelope(data)
    assert envelope.header == message.header
    assert equal(envelope.message(), message)
    arrays = {} if isinstance(message, Refusal) else message.arrays
    assert equal(envelope.exact_message(kinds_of(arrays)), message)
    assert payload_size(kinds_of(arrays)) == len(envelope.payload)


@given(messages, st.data())
def test_a_message_with_other_arrays_than_the_plan_has_is_refused(message: Message, data: st.DataObject) -> None:
    """An array more is room for data; one less, another name, type or shape is work that nobody agreed to."""
    kinds = {} if isinstance(message, Refusal) else kinds_of(message.arrays)
    other = dict(kinds)
    change = data.draw(st.sampled_from(["more", "less", "name", "type", "shape"]))
    if change == "more" or not kinds:
        other["zz/another"] = ("float32", (2,))
    else:
        name = data.draw(st.sampled_from(sorted(kinds)))
        kind, shape = other.pop(name)
        if change == "name":
            other["zz/another"] = (kind, shape)
        elif change == "type":
            other[name] = ("uint8" if kind != "uint8" else "uint16", shape)
        elif change == "shape":
            other[name] = (kind, (*shape, 1))
    assert refuses(to_bytes(message), other)


@pytest.mark.parametrize(
    "payload",
    [
        spelled({"model/w": ONE}, b"\0\0\0\0", pad=64),
        spelled('{"model/w":{"data_offsets":[0,4], "dtype":"F32","shape":[1]}}', b"\0\0\0\0"),
        canonically_spelled({"model/w": {**ONE, "shape": [1, 1]}}, b"\0\0\0\0"),
        canonically_spelled({"model/w": {**ONE, "dtype": "U32"}}, b"\0\0\0\0"),
        canonically_spelled({"model/v": ONE}, b"\0\0\0\0"),
        canonically_spelled({"model/w": ONE}, b"\0\0\0\0") + b"more",
        b"\xff" * 72,
        b"",
    ],
    ids=["padding", "spaces", "shape", "type", "name", "longer", "noise", "nothing"],
)
def test_a_payload_of_another_spelling_is_refused_by_whoever_knows_the_arrays(payload: bytes) -> None:
    """The short way must not be the lenient one: what the long way refuses, a comparison of bytes refuses too."""
    header = parts(to_bytes(example_order()))[0]
    kinds = {"model/w": ("float32", (1,))}
    honest = sealed(header, canonically_spelled({"model/w": ONE}, b"\0\0\0\0"))
    assert not refuses(honest, kinds)
    assert refuses(sealed(header, payload), kinds)


def test_a_header_is_read_whatever_lies_behind_it() -> None:
    """The study and the sender are looked at first: the bytes after the header must cost nothing until then."""
    header = parts(to_bytes(example_order()))[0]
    data = sealed(header, b"no payload at all")
    assert open_envelope(data).header == example_order().header
    with pytest.raises(WireError, match="payload"):
        open_envelope(data).message()


@pytest.mark.slow
def test_fifty_thousand_empty_arrays_cost_nothing_before_they_are_refused() -> None:
    """Ten megabytes of them took seconds of a hospital's processor before the study's hash was looked at."""
    data, bound = order_of_empty_arrays(), PayloadLimits(arrays=20, bytes_in_all=64 * MIB)
    assert peak_bytes(lambda: refused_by_plan(data)) < 64 * 1024
    assert peak_bytes(lambda: refused_by_bound(data, bound)) < 64 * 1024
    assert peak_bytes(lambda: from_bytes(order_of_empty_arrays(2_000))) > 256 * 1024, "the measure sees what decoding takes"


def refused_by_plan(data: bytes) -> None:
    assert refuses(data, {"model/w": ("float32", (2, 2))})


def refused_by_bound(data: bytes, bound: PayloadLimits) -> None:
    with pytest.raises(WireError, match="at most 20 arrays"):
        open_envelope(data).message(bound)


@pytest.mark.parametrize("arrays", [0, 1, 3, 40])
def test_a_reader_with_a_bound_takes_as_many_arrays_and_no_more(arrays: int) -> None:
    """A bound that refuses an honest message stops a study; one that is off by one is a hole."""
    tree = {f"model/{number:03d}{chr(34) * 197}": np.zeros((1,) * 32, np.float32) for number in range(arrays)}
    envelope = open_envelope(to_bytes(Order(example_order().header, tree)))
    size = len(envelope.payload)
    assert same_bits(envelope.message(PayloadLimits(arrays, size)).arrays, tree)
    if arrays:
        with pytest.raises(WireError, match="at most"):
            envelope.message(PayloadLimits(arrays - 1, size))
        with pytest.raises(WireError, match="at most"):
            envelope.message(PayloadLimits(arrays, size - 1))


def test_a_refusal_with_a_payload_is_refused_in_both_ways() -> None:
    """A refusal is one word."""
    refusal = Refusal(RefusalHeader(study="a" * 64, site="a", order="b" * 64, code="wire"))
    data = sealed(parts(to_bytes(refusal))[0], parts(to_bytes(example_order()))[1])
    for kinds in ({}, kinds_of(example_order().arrays)):
        assert refuses(data, kinds)
    assert header_of(refusal)["code"] == "wire"


@pytest.mark.parametrize("sites", [1, 2, 7, 200])
def test_the_largest_header_of_every_kind_fits_its_limit(sites: int) -> None:
    """A limit that follows from the number of sites must hold the longest names, the largest numbers and every list."""
    names = tuple(f"{number:04d}".ljust(63, "x") for number in range(sites))
    last, key, seal, turn = 100_000, "a" * 64, "b" * 128, 2**53 - 1
    roster = tuple(Statement(site=name, key=key, turn=turn, stage=last, counter=turn, signature=seal) for name in names)
    everything: tuple[Message, ...] = (
        Order(
            OrderHeader(
                study=key,
                step="evaluate",
                round=last,
                label="l" * 80,
                cohort=names,
                counted=dict.fromkeys(names, last),
                unused=tuple(range(last - sites - 15, last + 1)),
                disputed=dict.fromkeys(names, last),
                opening=key,
                weight=2**53 - 1,
                masked=Masked(attempt=1000, turn=turn, epoch=2**32 - 1, roster=roster, set_changes=turn, last_set=key),
            )
        ),
        Ask(AskHeader(study=key, what="open", order=key, counted=names, certificate=dict.fromkeys(names, seal))),
        Answer(
            AnswerHeader(
                study=key, site=names[0], ask=key, key=key, turn=turn, stage=last, counter=turn, unreadable=names, signature=seal
            )
        ),
        ContributionMessage(ContributionHeader(study=key, step="evaluate", round=last, site=names[0], order=key, signature=seal)),
        Refusal(RefusalHeader(study=key, site=names[0], order=key, code="c" * 40)),
    )
    for message in everything:
        assert open_envelope(to_bytes(message), header_limit=largest_header(sites)).header == message.header


def test_a_header_beyond_its_limit_is_refused_before_it_is_decoded() -> None:
    """Two megabytes of brackets take a second and a half to decode and to refuse."""
    data = sealed(b'{"kind":"order","x":[' + b",".join([b"[]"] * 600_000) + b"]}")
    assert peak_bytes(lambda: refused_by_length(data)) < 64 * 1024


def refused_by_length(data: bytes) -> None:
    with pytest.raises(WireError, match=f"at most {largest_header(5)} "):
        open_envelope(data, header_limit=largest_header(5))
