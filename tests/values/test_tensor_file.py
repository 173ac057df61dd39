"""Files of named arrays: the same bytes for the same values, the same values back, and no damage passes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of_numpy
from safetensors.numpy import load_file, save_file

from wardround.values.errors import RunError
from wardround.values.tensor_file import arrays_of, bundle_in, read_tensors, write_tensors
from wardround.values.tree import same_bits

TREE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True, False]), "words": np.zeros(0, np.uint16)}
HEAD = {"round": 3, "names": ["east", "nörd"]}
TYPES = st.sampled_from(["bool", "int8", "uint16", "int64", "uint64", "float16", "float32", "float64"])
trees = st.dictionaries(
    st.text("ab./ü", min_size=1, max_size=5),
    TYPES.flatmap(lambda name: arrays_of_numpy.arrays(name, arrays_of_numpy.array_shapes(min_dims=0, min_side=0, max_side=3))),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees, st.dictionaries(st.text(max_size=3), st.integers(-(2**53), 2**53), max_size=3))
def test_what_was_written_is_read_to_the_last_bit(tmp_path: Path, tree: dict[str, np.ndarray], head: dict[str, int]) -> None:
    """A site goes on from such a file: not-a-number, -0.0 and empty arrays included."""
    write_tensors(tmp_path / "file", tree, head)
    arrays, again = read_tensors(tmp_path / "file")
    assert same_bits(arrays, tree) and again == head


def test_equal_values_give_equal_files_in_whatever_order_they_come(tmp_path: Path) -> None:
    """Runs are compared by the hashes of their files."""
    write_tensors(tmp_path / "one", TREE, HEAD)
    write_tensors(tmp_path / "other", dict(reversed(TREE.items())), dict(reversed(HEAD.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_the_library_reads_our_files_and_we_read_the_library_s(tmp_path: Path) -> None:
    """The format is safetensors, not one of our own that looks like it."""
    write_tensors(tmp_path / "ours", TREE, HEAD)
    assert same_bits(load_file(tmp_path / "ours"), TREE)
    save_file(TREE, tmp_path / "theirs")
    arrays, head = read_tensors(tmp_path / "theirs")
    assert same_bits(arrays, TREE) and head == {}


def test_every_flipped_bit_of_a_value_is_found(tmp_path: Path) -> None:
    """safetensors proves the layout alone: a flipped bit would be a slightly other model."""
    path = tmp_path / "file"
    write_tensors(path, TREE, HEAD)
    whole = path.read_bytes()
    for position in range(len(whole) - sum(array.nbytes for array in TREE.values()), len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        with pytest.raises(RunError, match="damaged"):
            read_tensors(path)


@pytest.mark.parametrize("end", [0, 4, 60, -1])
def test_a_file_that_ends_early_is_refused_in_words(tmp_path: Path, end: int) -> None:
    """What a full disk leaves; the person reads what to do."""
    path = tmp_path / "file"
    write_tensors(path, TREE, HEAD)
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(RunError) as error:
        read_tensors(path)
    assert str(path) in str(error.value) and error.value.hint


def test_a_placed_file_says_where_it_is_and_a_copy_says_where_it_was(tmp_path: Path) -> None:
    """A restored backup is known by it."""
    write_tensors(tmp_path / "file", TREE, {}, placed=True)
    (tmp_path / "copy").write_bytes((tmp_path / "file").read_bytes())
    places = [read_tensors(tmp_path / name)[1]["place"] for name in ("file", "copy")]
    assert places[0] and places[0] == places[1]
    write_tensors(tmp_path / "file", TREE, {}, placed=False)
    assert read_tensors(tmp_path / "file")[1]["place"] == ""


def test_bundles_come_back_from_one_tree() -> None:
    """Names of arrays may hold slashes of their own."""
    bundles = {"memory": {"model": {"a/b": np.ones(2), "c": np.zeros(1)}}, "pending": {"control": {"c": np.full(3, 2.0)}}}
    tree = arrays_of(bundles)
    assert set(tree) == {"memory/model/a/b", "memory/model/c", "pending/control/c"}
    assert all(
        same_bits(bundle_in(tree, which)[part], values) for which, parts in bundles.items() for part, values in parts.items()
    )
    assert bundle_in(tree, "other") == {}
