"""The envelope: what is written is read back, and everything else is refused (docs/spec/wire.md, section 3)."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from wardround.values.canonical import canonical_json
from wardround.values.errors import WireError
from wardround.values.tree import same_bits
from wardround.wire.envelope import HEADER_LIMIT, from_bytes, open_envelope, pack_bundle, to_bytes, unpack_bundle
from wardround.wire.messages import ContributionMessage, Message, Order, OrderHeader, Refusal, RefusalHeader

from .messages_of_all_kinds import example_contribution, example_order, example_refusal, messages

EXAMPLES: tuple[Message, ...] = (example_order(), example_contribution(), example_refusal())
FRONT = struct.Struct(">4sHIQ")


def arrays_of(message: Message) -> dict[str, np.ndarray]:
    return {} if isinstance(message, Refusal) else message.arrays


def equal(left: Message, right: Message) -> bool:
    return type(left) is type(right) and left.header == right.header and same_bits(arrays_of(left), arrays_of(right))


def sealed(header: bytes, payload: bytes = b"", *, magic: bytes = b"WRND", version: int = 1) -> bytes:
    return FRONT.pack(magic, version, len(header), len(payload)) + header + payload


def header_of(message: Message, **changes: Any) -> dict[str, Any]:
    return message.header.model_dump(mode="json") | changes


def parts(data: bytes) -> tuple[bytes, bytes]:
    size = FRONT.unpack_from(data)[2]
    return data[FRONT.size : FRONT.size + size], data[FRONT.size + size :]


def read_or_refused(data: bytes) -> Message | None:
    """None where `data` was refused by name. Any other error fails the test."""
    try:
        return from_bytes(data)
    except WireError:
        return None


@given(messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    """Every bit of the model and every word of the sum; arrays without axes and empty ones too."""
    data = to_bytes(message)
    assert equal(from_bytes(data), message)
    assert to_bytes(from_bytes(data)) == data


@pytest.mark.slow
@given(messages, st.integers(0), st.integers(1, 255))
@settings(max_examples=300)
def test_one_changed_byte_is_refused_or_says_what_it_says(message: Message, position: int, mask: int) -> None:
    """What is accepted is exactly what a writer would have written: there is one spelling for each message, so that no bytes
    travel that nobody reads, and a hash of a message is a hash of its meaning."""
    data = bytearray(to_bytes(message))
    data[position % len(data)] ^= mask
    message_read = read_or_refused(bytes(data))
    if message_read is not None:
        assert to_bytes(message_read) == bytes(data)
        assert not equal(message_read, message)


@pytest.mark.parametrize("message", EXAMPLES)
def test_every_single_byte_of_a_message_counts(message: Message) -> None:
    """All places, three damages each."""
    data = to_bytes(message)
    for position in range(len(data)):
        for mask in (0x01, 0x20, 0x80):
            damaged = data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]
            message_read = read_or_refused(damaged)
            assert message_read is None or (to_bytes(message_read) == damaged and not equal(message_read, message))


@pytest.mark.parametrize("message", EXAMPLES)
def test_every_truncation_and_any_trailing_byte_is_refused(message: Message) -> None:
    """A connection that broke off must not pass for a smaller message; trailing bytes would be a hidden channel."""
    data = to_bytes(message)
    assert all(read_or_refused(data[:end]) is None for end in range(len(data)))
    assert all(read_or_refused(data + tail) is None for tail in (b"\0", b" ", data))


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_wire_errors(data: bytes) -> None:
    """The coordinator and the sites read what strangers send."""
    assert read_or_refused(data) is None


@given(st.binary(max_size=120), st.binary(max_size=120))
def test_random_header_and_payload_raise_nothing_but_wire_errors(header: bytes, payload: bytes) -> None:
    """The same, past the magic and the lengths."""
    assert read_or_refused(sealed(header, payload)) is None


@given(payload=st.binary(max_size=160), size=st.integers(0, 2**64 - 1) | st.integers(0, 200))
@settings(max_examples=200)
def test_random_payloads_raise_nothing_but_wire_errors(payload: bytes, size: int) -> None:
    """The same, past a valid header, and with a tensor header's length that lies."""
    header = canonical_json(header_of(example_order()))
    message_read = read_or_refused(sealed(header, struct.pack("<Q", size) + payload))
    assert message_read is None or arrays_of(message_read) == {}


def canonically_spelled(tensors: dict[str, Any], data: bytes) -> bytes:
    """A safetensors file whose header is spelled as ours, whatever stands in it."""
    raw = json.dumps(tensors, sort_keys=True, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + data


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(EXAMPLES), st.data())
@settings(max_examples=200)
def test_headers_with_any_value_in_any_field_raise_nothing_but_wire_errors(message: Message, data: st.DataObject) -> None:
    """Well-formed JSON with the wrong things in it."""
    header = header_of(message)
    header[data.draw(st.sampled_from(sorted(header)))] = data.draw(json_values)
    raw = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    message_read = read_or_refused(sealed(raw, parts(to_bytes(message))[1]))
    assert message_read is None or parts(to_bytes(message_read))[0] == raw


@pytest.mark.parametrize("key", ["dtype", "shape", "data_offsets"])
@given(value=json_values)
def test_tensor_headers_with_any_value_raise_nothing_but_wire_errors(key: str, value: object) -> None:
    """Shapes that overflow, types that do not exist, offsets that overlap."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], key: value}
    payload = canonically_spelled({"model/w": entry}, b"\0\0\0\0")
    message_read = read_or_refused(sealed(canonical_json(header_of(example_order())), payload))
    assert message_read is None or parts(to_bytes(message_read))[1] == payload


@pytest.mark.parametrize("shape", [[2**63], [2**64], [0, 2**63], [2**32, 2**32], [0, 2**62, 4], [-1], [1.0], [1] * 65, [0] * 200])
def test_impossible_shapes_are_refused(shape: list[int]) -> None:
    """Products that overflow, and more axes than numpy has, must not end in another kind of error."""
    data = b"" if 0 in shape else b"\0\0\0\0"
    payload = canonically_spelled({"model/w": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(data)]}}, data)
    assert read_or_refused(sealed(canonical_json(header_of(example_order())), payload)) is None


@pytest.mark.parametrize("message", EXAMPLES)
def test_another_magic_or_version_is_named(message: Message) -> None:
    """Two releases that do not understand each other must say so, and which one to change."""
    header, payload = parts(to_bytes(message))
    with pytest.raises(WireError, match="magic"):
        from_bytes(sealed(header, payload, magic=b"WRNE"))
    for version in (0, 2, 65_535):
        with pytest.raises(WireError, match=f"version {version}.*same release"):
            from_bytes(sealed(header, payload, version=version))


@pytest.mark.parametrize("message", EXAMPLES)
def test_a_header_has_one_spelling(message: Message) -> None:
    """Spaces, another order of keys or a key twice: two readers could read two things."""
    _, payload = parts(to_bytes(message))
    value = header_of(message)
    text = canonical_json(value).decode()
    for other in (
        json.dumps(value, sort_keys=True),
        json.dumps(dict(sorted(value.items(), reverse=True)), separators=(",", ":")),
        text[:-1] + ',"study":"' + "c" * 64 + '"}',
        '{"study":"' + "c" * 64 + '",' + text[1:],
        " " + text,
        text + "\n",
        text.replace("study", "\\u0073tudy", 1),
        f"[{text}]",
        text.encode("utf-16").decode("latin1"),
    ):
        assert read_or_refused(sealed(other.encode(), payload)) is None


@pytest.mark.parametrize("message", EXAMPLES)
def test_an_unknown_or_a_missing_key_is_refused(message: Message) -> None:
    """Section 3.2: an unknown key is data that slips past; a missing one would be filled in by guessing."""
    _, payload = parts(to_bytes(message))
    value = header_of(message)
    assert read_or_refused(sealed(canonical_json(value | {"extra": 1}), payload)) is None
    for key in value:
        shorter = {name: inner for name, inner in value.items() if name != key}
        assert read_or_refused(sealed(canonical_json(shorter), payload)) is None


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (example_order(), {"cohort": ["south", "north"]}),
        (example_order(), {"cohort": ["north", "north"]}),
        (example_order(), {"counted": ["north", "south"]}),
        (example_order(), {"counted": {"../north": 1}}),
        (example_order(), {"counted": {"north": 0}}),
        (example_order(), {"counted": {"north": None}}),
        (example_order(), {"counted": None}),
        (example_order(), {"cohort": ["../north"]}),
        (example_order(), {"cohort": ["north\n"]}),
        (example_order(), {"cohort": "north"}),
        (example_order(), {"round": 0}),
        (example_order(), {"round": -1}),
        (example_order(), {"round": 100_001}),
        (example_order(), {"round": 3.0}),
        (example_order(), {"round": "3"}),
        (example_order(), {"round": True}),
        (example_order(), {"step": "open", "round": 1_000}),
        (example_order(), {"step": "shutdown"}),
        (example_order(), {"weight": -1}),
        (example_order(), {"weight": 2**53}),
        (example_order(), {"label": "a b"}),
        (example_order(), {"label": "a" * 81}),
        (example_order(), {"study": "A" * 64}),
        (example_order(), {"study": "a" * 63}),
        (example_order(), {"study": "a" * 64 + "\n"}),
        (example_order(), {"kind": "release"}),
        (example_order(), {"kind": None}),
        (example_contribution(), {"site": "n" * 64}),
        (example_contribution(), {"order": "b" * 65}),
        (example_contribution(), {"kind": "order"}),
        (example_refusal(), {"code": "patient Müller"}),
        (example_refusal(), {"code": "c" * 41}),
        (example_refusal(), {"code": "old-round\n"}),
        (example_refusal(), {"kind": "contribution"}),
    ],
)
def test_a_field_beyond_its_range_is_refused(message: Message, changes: dict[str, Any]) -> None:
    """Section 4, field by field: names become folders, codes must be too short and plain to carry data."""
    _, payload = parts(to_bytes(message))
    with pytest.raises(WireError, match="refused"):
        from_bytes(sealed(canonical_json(header_of(message, **changes)), payload))


def with_payload(payload: bytes) -> bytes:
    return sealed(canonical_json(header_of(example_order())), payload)


def spelled(tensors: dict[str, Any] | str, data: bytes, *, pad: int = 0) -> bytes:
    """A safetensors file whose header we write ourselves."""
    raw = (tensors if isinstance(tensors, str) else json.dumps(tensors, sort_keys=True, separators=(",", ":"))).encode()
    raw += b" " * (-len(raw) % 8 + pad)
    return struct.pack("<Q", len(raw)) + raw + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "payload",
    [
        save({"model/w": np.zeros(1, np.float32)}, {"note": "patient 7"}),
        save({"model/w": np.zeros(1, np.float32)}, {}),
        spelled('{"\\u005f_metadata__":{"note":"patient 7"},"model/w":' + json.dumps(ONE) + "}", b"\0\0\0\0"),
        spelled({"model/w": ONE}, b"\0\0\0\0", pad=64),
        spelled(json.dumps({"model/w": ONE}), b"\0\0\0\0"),
        spelled('{"model/w":' + json.dumps(ONE) + ',"model/w":' + json.dumps(ONE) + "}", b"\0\0\0\0"),
        spelled({"model/w": ONE}, b"\0\0\0\0trailing"),
        spelled({"model/w": {**ONE, "data_offsets": [4, 8]}}, b"datadata"),
        spelled({}, b""),
    ],
    ids=["metadata", "empty metadata", "escaped metadata", "padding", "spaces", "name twice", "trailing", "gap", "empty file"],
)
def test_a_payload_has_no_room_for_data_that_nobody_reads(payload: bytes) -> None:
    """Section 3.3: metadata, padding, gaps and doubles would let patient data leave inside a well-formed message."""
    with pytest.raises(WireError, match="payload"):
        from_bytes(with_payload(payload))


@pytest.mark.parametrize("dtype", ["float16", "int8", "int32", "int64", "bool"])
def test_arrays_of_another_type_are_refused_by_the_reader_and_the_writer(dtype: str) -> None:
    """Section 3.3: signed values and halves have no place in version 1."""
    array = np.zeros(2, dtype)
    with pytest.raises(WireError, match="type"):
        from_bytes(with_payload(save({"model/w": array})))
    with pytest.raises(WireError, match="type"):
        to_bytes(Order(example_order().header, {"model/w": array}))


@pytest.mark.parametrize(
    "name", ["w", "/w", "model/", "Model/w", "9/w", "model/wé", "model/w\n", "m" * 33 + "/w", "model/" + "w" * 201]
)
def test_names_of_another_form_are_refused_by_the_reader_and_the_writer(name: str) -> None:
    """Section 3.3: a name is free text otherwise."""
    arrays = {name: np.zeros(1, np.float32)}
    with pytest.raises(WireError, match="name"):
        from_bytes(with_payload(save(arrays)))
    with pytest.raises(WireError, match="name"):
        to_bytes(Order(example_order().header, arrays))


def test_a_message_beyond_the_limits_is_refused_before_it_is_read() -> None:
    """A header or payload length that lies must not make a hospital's machine reserve gigabytes."""
    data = to_bytes(example_contribution())
    payload = parts(data)[1]
    assert equal(from_bytes(data, payload_limit=len(payload)), example_contribution())
    with pytest.raises(WireError, match="at most"):
        from_bytes(data, payload_limit=len(payload) - 1)
    with pytest.raises(WireError, match="at most"):
        from_bytes(FRONT.pack(b"WRND", 1, 10, 2**63))
    with pytest.raises(WireError, match="at most"):
        from_bytes(FRONT.pack(b"WRND", 1, HEADER_LIMIT + 1, 0) + b" " * (HEADER_LIMIT + 1))


def test_a_header_that_no_reader_would_take_is_not_written() -> None:
    """A cohort too long for the header must fail at the coordinator, by name, not at every site."""
    cohort = tuple(f"site-{number:05d}" for number in range(10_000))
    long = tuple(f"{name}{'x' * 52}" for name in cohort)
    counted = dict.fromkeys(long, 100_000)
    assert from_bytes(to_bytes(Order(OrderHeader(study="a" * 64, step="train", round=1, cohort=long, counted=counted))))
    cohort = tuple(f"site-{number:06d}" for number in range(150_000))
    header = OrderHeader(study="a" * 64, step="train", round=1, cohort=cohort)
    with pytest.raises(WireError, match="at most 2097152"):
        to_bytes(Order(header))


def test_a_refusal_carries_no_payload() -> None:
    """A refusal is one fixed word."""
    payload = parts(to_bytes(example_order()))[1]
    with pytest.raises(WireError, match="without payload"):
        from_bytes(sealed(canonical_json(header_of(example_refusal())), payload))


def test_deep_and_huge_json_is_refused_by_name() -> None:
    """Python's own limits must not reach the caller as RecursionError."""
    for raw in (b"[" * 30_000, b'{"kind":' * 8_000, b"1" * 60_000, b'{"round":1e999}', b'"\\ud800"', b"{}", b"null"):
        assert read_or_refused(sealed(raw)) is None


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,4}", fullmatch=True),
        st.dictionaries(st.text("a/.0", min_size=1), st.just(np.zeros(1)), min_size=1),
    )
)
def test_packing_a_bundle_and_unpacking_it_gives_it_back(bundle: dict[str, dict[str, np.ndarray]]) -> None:
    """Names inside a part may hold slashes themselves."""
    again = unpack_bundle(pack_bundle(bundle))
    assert {part: sorted(tree) for part, tree in again.items()} == {part: sorted(tree) for part, tree in bundle.items()}


def test_equal_messages_have_equal_bytes_whatever_the_order_of_their_arrays() -> None:
    """A site knows a repeated order by the hash of its bytes."""
    order = example_order()
    assert to_bytes(Order(order.header, dict(reversed(order.arrays.items())))) == to_bytes(order)
    assert to_bytes(Order(order.header, {name: np.asfortranarray(array) for name, array in order.arrays.items()})) == to_bytes(
        order
    )


def test_lists_and_rounds_are_checked_where_a_header_is_made() -> None:
    """An illegal order fails at the coordinator that made it."""
    for changes in ({"cohort": ("b", "a")}, {"cohort": ("a", "a")}, {"round": 0}, {"step": "open", "round": 1_000}):
        fields: dict[str, Any] = {"study": "a" * 64, "step": "train", "round": 1, "cohort": ("a", "b")} | changes
        with pytest.raises(ValueError, match=r"sorted|opening"):
            OrderHeader(**fields)
    assert isinstance(from_bytes(to_bytes(example_contribution())), ContributionMessage)
    assert RefusalHeader(study="a" * 64, site="a", order="b" * 64, code="wire").kind == "refusal"


def test_the_spelling_of_a_payload_is_pinned() -> None:
    """Another implementation must find the same bytes (docs/spec/wire.md, 3.3)."""
    arrays = {"model/words": np.array([1], np.uint32), "counts/words": np.array([2], np.uint64)}
    payload = parts(to_bytes(ContributionMessage(example_contribution().header, arrays)))[1]
    text = (
        b'{"counts/words":{"data_offsets":[0,8],"dtype":"U64","shape":[1]},'
        b'"model/words":{"data_offsets":[8,12],"dtype":"U32","shape":[1]}}'
    )
    assert payload == struct.pack("<Q", 136) + text.ljust(136) + struct.pack("<QI", 2, 1)


def test_any_safetensors_reader_can_read_a_payload() -> None:
    """The format stays the field's own."""
    payload = parts(to_bytes(example_order()))[1]
    assert same_bits(load(payload), example_order().arrays)


def test_numbers_of_another_byte_order_are_turned() -> None:
    """An array made on, or read from, a big-endian machine must not arrive with its bytes reversed."""
    turned = {name: array.astype(">f4") for name, array in example_order().arrays.items()}
    assert to_bytes(Order(example_order().header, turned)) == to_bytes(example_order())


@pytest.mark.parametrize(
    "entry",
    [
        '"x"',
        "[]",
        "{}",
        '{"dtype":[],"shape":[1],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":"1","data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[true],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[2],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[],"data_offsets":[0,8]}',
        '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}',
        '{"dtype":"F32","shape":[' + "9" * 4000 + '],"data_offsets":[0,4]}',
        '{"dtype":"F32","shape":[' + ",".join("1" * 65) + '],"data_offsets":[0,4]}',
        '{"dtype":"F32","data_offsets":[0,4],"shape":[1]}',
    ],
)
def test_a_crooked_tensor_header_is_refused(entry: str) -> None:
    """Whoever reads a header by itself must not crash on one, nor take values that the header does not mean."""
    text = f'{{"model/w":{entry}}}'.encode()
    text += b" " * (-len(text) % 8)
    with pytest.raises(WireError):
        from_bytes(with_payload(len(text).to_bytes(8, "little") + text + bytes(4)))


@pytest.mark.parametrize("front", [b"", b"\x01", (1 << 63).to_bytes(8, "little"), (4).to_bytes(8, "little") + b"null"])
def test_a_payload_without_a_tensor_header_is_refused(front: bytes) -> None:
    """The length of the header is the sender's word."""
    with pytest.raises(WireError):
        from_bytes(with_payload(front + bytes(3)))


def test_arrays_that_are_lent_are_the_same_and_cannot_be_changed() -> None:
    """Whoever adds them once needs no copy; whoever would change them would change the message."""
    data = to_bytes(example_contribution())
    own, lent = open_envelope(data).message(), open_envelope(data).message(lent=True)
    assert equal(own, lent) and arrays_of(own)
    assert all(array.flags.writeable and array.base is not data for array in arrays_of(own).values())
    assert not any(array.flags.writeable for array in arrays_of(lent).values())
    assert to_bytes(lent) == data
