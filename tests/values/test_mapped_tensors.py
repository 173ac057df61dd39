"""Arrays that lie in their file: the same bits, no memory when they are let go, and none that could change the file."""

import gc
from pathlib import Path

import numpy as np
import pytest

from wardround.values.mapped_tensors import MappedFiles
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import same_bits

pytestmark = pytest.mark.skipif(not MappedFiles.can_let_go(), reason="this system gives no memory back while arrays are in use")
TREE = {
    "state/model/w": np.arange(12, dtype=np.float32).reshape(3, 4),
    "state/model/none": np.empty((0, 3), np.float32),
    "counts": np.array([1, 2**63], np.uint64),
    "one": np.array(2.5),
    "yes": np.array([True, False]),
}


def resident_mb() -> float:
    words = Path("/proc/self/statm").read_text().split()
    return int(words[1]) * 4096 / 1e6


def test_they_are_the_arrays_of_the_file(tmp_path: Path) -> None:
    """Names, types, shapes and bits; also where there is nothing in them."""
    write_tensors(path := tmp_path / "file", TREE, {"head": 1})
    mapped, (read, _) = MappedFiles().arrays(path), read_tensors(path)
    assert same_bits(mapped, read) and same_bits(mapped, TREE)


def test_they_cannot_be_changed(tmp_path: Path) -> None:
    """A write would be into the checkpoint."""
    write_tensors(path := tmp_path / "file", TREE, {})
    with pytest.raises(ValueError, match="read-only"):
        MappedFiles().arrays(path)["state/model/w"][0] = 1.0


def test_they_outlive_their_file(tmp_path: Path) -> None:
    """The next checkpoint takes its place while the arrays of the one before are in use."""
    write_tensors(path := tmp_path / "file", TREE, {})
    files = MappedFiles()
    mapped = files.arrays(path)
    write_tensors(path, {name: np.zeros_like(array) for name, array in TREE.items()}, {})
    files.let_go()
    assert same_bits(mapped, TREE)
    path.unlink()
    files.let_go()
    assert same_bits(mapped, TREE)


@pytest.mark.slow
def test_what_is_let_go_takes_no_memory_and_comes_back(tmp_path: Path) -> None:
    """That is all that it is for."""
    large = {"w": np.full(16_000_000, 3.0, np.float32)}
    write_tensors(path := tmp_path / "file", large, {})
    del large
    gc.collect()
    files = MappedFiles()
    mapped = files.arrays(path)
    before = resident_mb()
    assert mapped["w"].sum(dtype=np.float64) == 48_000_000.0
    looked_at = resident_mb()
    files.let_go()
    after = resident_mb()
    assert looked_at - before > 50 and after - before < 10
    assert mapped["w"][-1] == 3.0


@pytest.mark.slow
def test_a_mapping_ends_with_the_last_of_its_arrays(tmp_path: Path) -> None:
    """Or every round's file would stay on the disk."""
    write_tensors(path := tmp_path / "file", TREE, {})
    files = MappedFiles()
    mapped = files.arrays(path)
    assert len(files._mappings) == 1
    del mapped
    gc.collect()
    assert len(files._mappings) == 0
