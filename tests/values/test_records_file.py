"""Prepared records in a file: read back bit for bit, and damage is named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.values.errors import DataError
from wardround.values.records import Records
from wardround.values.records_file import read_records, write_records


def records(n: int = 6) -> Records:
    return Records(
        np.arange(n * 12, dtype=np.uint8).reshape(n, 3, 4),
        np.array([0, 1] * (n // 2), np.int8),
        np.array([f"patient {i // 2} é" for i in range(n)]),
        np.array(["train", "train", "train", "validation", "test", "test"][:n]),
    )


def test_records_come_back_bit_for_bit(tmp_path: Path) -> None:
    """A resumed run refuses records that changed in a single bit; the file must not be what changes them."""
    write_records(tmp_path / "north.npz", records())
    again = read_records(tmp_path / "north.npz")
    for name in ("inputs", "labels", "patients", "splits"):
        mine, other = getattr(records(), name), getattr(again, name)
        assert (mine.dtype, mine.shape, mine.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.mark.parametrize("keep", [0, 1, 3, 20, 200, -1, -30])
def test_a_file_cut_short_is_named(tmp_path: Path, keep: int) -> None:
    """A copy that broke off must not end in a traceback of the zip library."""
    path = tmp_path / "north.npz"
    write_records(path, records())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"north.npz does not hold prepared records"):
        read_records(path)


def test_a_missing_file_another_kind_of_file_and_objects_are_named(tmp_path: Path) -> None:
    """A pickle inside would run code when it is read."""
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "few.npz", inputs=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", **{name: np.array([{}], object) for name in ("inputs", "labels", "patients", "splits")})
    np.savez(tmp_path / "uneven.npz", inputs=np.zeros(3), labels=np.zeros(2), patients=np.zeros(2), splits=np.zeros(2))
    for name in ("absent.npz", "array.npy", "few.npz", "pickled.npz", "uneven.npz"):
        with pytest.raises(DataError, match="does not hold prepared records"):
            read_records(tmp_path / name)


@given(position=st.integers(0, 10_000), mask=st.integers(1, 255))
def test_one_changed_byte_is_named_or_changes_nothing(tmp_path_factory: pytest.TempPathFactory, position: int, mask: int) -> None:
    """A bad disk must not turn into another patient's label. (Bytes of the zip that nobody reads may change.)"""
    path = tmp_path_factory.mktemp("damage") / "north.npz"
    write_records(path, records())
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= mask
    path.write_bytes(data)
    try:
        again = read_records(path)
    except DataError:
        return
    assert again.inputs.tobytes() == records().inputs.tobytes()
    assert again.labels.tolist() == records().labels.tolist()
    assert again.patients.tolist() == records().patients.tolist()
    assert again.splits.tolist() == records().splits.tolist()


def test_uneven_records_are_refused_at_construction() -> None:
    """One label too few would shift every label after it to the wrong patient."""
    good = records()
    with pytest.raises(ValueError, match="as many inputs as labels"):
        Records(good.inputs, good.labels[1:], good.patients, good.splits)


def test_selecting_keeps_rows_together() -> None:
    """A label must stay with its image and its patient."""
    chosen = records().where("test")
    assert chosen.patients.tolist() == ["patient 2 é", "patient 2 é"]
    assert chosen.inputs.tobytes() == records().inputs[4:].tobytes()
    assert len(chosen) == 2
    assert chosen.patient_count == 1
