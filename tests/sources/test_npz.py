"""Images in one npz file."""

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.sources.opening import open_source
from wardround.study.contract import DataContract, ImageContract
from wardround.values.errors import DataError

from .source_conformance import Item, SourceConformance, case

CONTRACT = DataContract(kind="image", image=ImageContract(size=(16, 16)))


def write_flat(path: Path, items: list[Item]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "images": np.stack([item.image() for item in items]),
        "patient": np.array([item.patient for item in items]),
    }
    if items[0].label:
        arrays["label"] = np.array([int(item.label) for item in items], np.uint8)
    if items[0].split:
        arrays["split"] = np.array([item.split for item in items])
    np.savez_compressed(path, **arrays)
    return path


class TestFlatNpz(SourceConformance):
    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        return write_flat(folder / "data.npz", items)

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        return self.write(folder, [replace(item, label="") for item in items])

    def raw_records(self, path: Path) -> list[Any]:
        with np.load(path) as file:
            return list(file["images"])


def load(path: Path, **image: object):  # type: ignore[no-untyped-def]
    contract = DataContract(kind="image", image=ImageContract(size=(16, 16), **image))  # type: ignore[arg-type]
    return open_source(path, contract).load()


def test_the_layout_of_medmnist_is_read_and_its_names_declare_the_splits(tmp_path: Path) -> None:
    """It is the layout of the data sets that people try first."""
    arrays = {}
    for at, word in enumerate(("train", "val", "test")):
        part = [Item(100 * at + k, "", str(k % 2)) for k in range(10)]
        arrays[f"{word}_images"] = np.stack([item.image() for item in part])
        arrays[f"{word}_labels"] = np.array([[int(item.label)] for item in part])
    np.savez(tmp_path / "m.npz", **arrays)
    contract = CONTRACT.changed(splits=CONTRACT.splits.changed(declared=True))
    records = open_source(tmp_path / "m.npz", contract).load()
    assert {split: len(records.where(split)) for split in ("train", "validation", "test")} == {
        "train": 10,
        "validation": 10,
        "test": 10,
    }
    assert records.patient_count == 30


def test_a_pickled_npz_is_refused_and_its_content_never_runs(tmp_path: Path) -> None:
    """A pickle is a program; a data file from elsewhere may not be one."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    np.savez(tmp_path / "p.npz", images=np.array([Trap()], dtype=object), label=np.zeros(1))
    with pytest.raises(DataError, match="pickled objects"):
        load(tmp_path / "p.npz")
    (tmp_path / "raw.npz").write_bytes(pickle.dumps({"images": Trap()}))
    with pytest.raises(DataError, match="pickle"):
        load(tmp_path / "raw.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_npz_is_refused_clearly(tmp_path: Path, share: float) -> None:
    """A broken copy is the commonest damage; the message must not be a traceback."""
    whole = write_flat(tmp_path / "w.npz", case()).read_bytes()
    (tmp_path / "t.npz").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match="damaged or cut short"):
        load(tmp_path / "t.npz")
    assert not open_source(tmp_path / "t.npz", CONTRACT).check().ready()


def test_a_flipped_byte_inside_an_array_is_found(tmp_path: Path) -> None:
    """The checksum of the member tells."""
    path = write_flat(tmp_path / "w.npz", case())
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("images.npy")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 400] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or cut short"):
        load(path)


def test_equal_channels_collapse_and_unequal_ones_are_refused(tmp_path: Path) -> None:
    """Grey X-rays are often stored as RGB; a colour image where grey is promised is another kind of data."""
    grey = np.stack([item.image() for item in case()])
    label = np.arange(len(grey)) % 2
    np.savez(tmp_path / "equal.npz", images=np.repeat(grey[..., None], 3, axis=3), label=label)
    assert load(tmp_path / "equal.npz").inputs.shape == (60, 16, 16)
    np.savez(tmp_path / "colour.npz", images=np.stack([grey, 255 - grey, grey], axis=3), label=label)
    with pytest.raises(DataError, match="three unequal channels"):
        load(tmp_path / "colour.npz")
    assert load(tmp_path / "colour.npz", channels=3).inputs.shape == (60, 16, 16, 3)


def test_sixteen_bits_are_scaled_by_the_declared_white(tmp_path: Path) -> None:
    """Detectors of 12 bits fill a sixteenth of the scale; undeclared, their images would be nearly black."""
    deep = np.stack([item.image() for item in case()]).astype(np.uint16) * 16
    np.savez(tmp_path / "d.npz", images=deep, label=np.arange(60) % 2)
    assert load(tmp_path / "d.npz", white_16=4095).inputs.max() == 254
    assert load(tmp_path / "d.npz").inputs.max() == 16
    kept = load(tmp_path / "d.npz", white_16=4095, kept_bits=16).inputs
    assert kept.dtype == np.uint16
    assert kept.max() == 65295
    with pytest.raises(DataError, match="bit depth"):
        load(tmp_path / "d.npz", accepted_bits=(8,))


def test_floats_are_refused(tmp_path: Path) -> None:
    """Nobody can tell whether 1.0 means white or nearly black."""
    np.savez(tmp_path / "f.npz", images=np.random.default_rng(0).random((9, 16, 16)), label=np.arange(9) % 2)
    with pytest.raises(DataError, match="other than unsigned ones of 8 or 16 bits"):
        load(tmp_path / "f.npz")


IMAGES = np.stack([item.image() for item in case()])
LABELS = np.arange(60) % 2
PATIENTS = np.array([item.patient for item in case()])

AWKWARD: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "whole numbers of 64 bits": (
        {"images": IMAGES.astype(np.int64), "label": LABELS},
        "other than unsigned ones",
        {"images": IMAGES.astype(np.int64).astype(np.uint8), "label": LABELS},
    ),
    "a single number": ({"images": np.array(5), "label": LABELS}, "a single number", {"images": IMAGES, "label": LABELS}),
    "channels before rows": (
        {"images": np.repeat(IMAGES[:, None], 3, axis=1), "label": LABELS},
        "neither grey nor of three channels",
        {"images": np.repeat(IMAGES[..., None], 3, axis=3), "label": LABELS},
    ),
    "two arrays of labels": (
        {"images": IMAGES, "label": LABELS, "labels": 1 - LABELS},
        "two arrays of one meaning.*label and labels",
        {"images": IMAGES, "label": LABELS},
    ),
    "both layouts": (
        {"images": IMAGES, "label": LABELS, "train_images": IMAGES, "train_labels": LABELS},
        "in both layouts",
        {"train_images": IMAGES, "train_labels": LABELS},
    ),
    "one column a label": (
        {"images": IMAGES, "label": np.eye(2)[LABELS]},
        "do not belong together",
        {"images": IMAGES, "label": LABELS},
    ),
    "a label for all": ({"images": IMAGES, "label": np.array(1)}, "do not belong together", {"images": IMAGES, "label": LABELS}),
    "labels that are no numbers": (
        {"images": IMAGES, "label": np.where(LABELS == 1, np.nan, 0.0)},
        "Labels are outside the contract",
        {"images": IMAGES, "label": LABELS},
    ),
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_an_awkward_npz_is_refused_by_its_cause_and_its_mend_works(tmp_path: Path, kind: str) -> None:
    """The first of two arrays was taken in silence; int64 was told to add a depth that no contract takes."""
    arrays, text, mended = AWKWARD[kind]
    np.savez(tmp_path / "a.npz", **arrays)
    assert not open_source(tmp_path / "a.npz", CONTRACT).check().ready()
    with pytest.raises(DataError, match=text):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **mended)
    assert load(tmp_path / "b.npz").labels.sum() == 30


def test_the_other_order_of_bytes_and_labels_of_bytes_are_read(tmp_path: Path) -> None:
    """Files of other machines and languages hold the same numbers and words."""
    np.savez(tmp_path / "a.npz", images=IMAGES.astype(">u2") * 257, label=LABELS.astype("S1"), patient=PATIENTS)
    np.savez(tmp_path / "b.npz", images=IMAGES.astype("<u2") * 257, label=LABELS, patient=PATIENTS)
    first, second = load(tmp_path / "a.npz"), load(tmp_path / "b.npz")
    assert np.array_equal(first.inputs, second.inputs) and np.array_equal(first.labels, second.labels)


def test_arrays_that_are_not_read_are_told_by_name(tmp_path: Path) -> None:
    """valid_images in place of val_images: a quarter of the images was gone."""
    np.savez(
        tmp_path / "a.npz",
        train_images=IMAGES[:40],
        train_labels=LABELS[:40],
        valid_images=IMAGES[40:],
        valid_labels=LABELS[40:],
    )
    report = open_source(tmp_path / "a.npz", CONTRACT).check()
    (told,) = (finding for finding in report.findings if finding.code == "unread-array")
    assert [spot.file for spot in told.places] == ["valid_images", "valid_labels"]
    assert "valid_" not in str(report.to_json())


def test_a_part_without_patients_leaves_the_others_theirs(tmp_path: Path) -> None:
    """One missing array took the names of all patients, and two images of one person landed on both sides."""
    np.savez(
        tmp_path / "a.npz",
        train_images=IMAGES[:40],
        train_labels=LABELS[:40],
        train_patient=PATIENTS[:40],
        val_images=IMAGES[40:],
        val_labels=LABELS[40:],
    )
    source = open_source(tmp_path / "a.npz", CONTRACT)
    assert source.load().patient_count == 20 + 20
    assert source.check().ready()


def test_a_patient_that_is_no_number_is_nobody(tmp_path: Path) -> None:
    """Twenty unknown patients were one, named nan."""
    patients = np.where(np.arange(60) < 20, np.nan, np.arange(60.0))
    np.savez(tmp_path / "a.npz", images=IMAGES, label=LABELS, patient=patients)
    assert load(tmp_path / "a.npz").patient_count == 60


def test_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    """Labels would slip against images."""
    np.savez(tmp_path / "l.npz", images=np.zeros((9, 16, 16), np.uint8), label=np.zeros(8))
    with pytest.raises(DataError, match="do not belong together"):
        load(tmp_path / "l.npz")


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    """The data manager needs to know what to rename."""
    np.savez(tmp_path / "x.npz", pictures=np.zeros((9, 16, 16), np.uint8))
    with pytest.raises(DataError, match="images or image"):
        load(tmp_path / "x.npz")


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    """Point sampling of a fine pattern would turn it into a false one; the mean must survive."""
    fine = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (64, 64))
    images = np.stack([np.roll(fine, k, axis=0) // (1 + k % 3) for k in range(12)])
    np.savez(tmp_path / "r.npz", images=images, label=np.arange(12) % 2, patient=np.array([f"p{k}" for k in range(12)]))
    resized = load(tmp_path / "r.npz").inputs[:, 4:12, 4:12]
    assert resized.std(axis=(1, 2)).max() < 3


def test_padding_keeps_the_ratio(tmp_path: Path) -> None:
    """A tall film squashed to a square makes hearts wide."""
    np.savez(
        tmp_path / "p.npz",
        images=np.full((6, 64, 32), 200, np.uint8) + np.arange(6, dtype=np.uint8)[:, None, None],
        label=[0, 1] * 3,
    )
    inputs = load(tmp_path / "p.npz", fit="pad").inputs
    assert (inputs[:, :, :4] == 0).all()
    assert (inputs[:, :, 4:12] >= 199).all()


def test_copies_of_one_image_share_a_patient_where_none_is_named(tmp_path: Path) -> None:
    """Else a copy could stand in train and in test."""
    images = np.stack([Item(k // 2, "", "0").image() for k in range(40)])
    np.savez(tmp_path / "c.npz", images=images, label=(np.arange(40) // 2) % 2)
    assert load(tmp_path / "c.npz").patient_count == 20
