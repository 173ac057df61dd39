"""Images as a data manager met them in a second round: lost, READY and wrong, or told without their file."""

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wardround.sources.opening import open_source
from wardround.sources.readiness.report import Finding
from wardround.study.contract import DataContract, ImageContract, LabelContract

LABEL = LabelContract(name="pneumonia", negative=("NORMAL",), positive=("PNEUMONIA",))
RULES = DataContract(kind="image", image=ImageContract(size=(32, 32)), label=LABEL)
CLASSES = ("NORMAL", "PNEUMONIA")
COUNT = 12


def picture(seed: int) -> NDArray[np.uint8]:
    """A bright blob somewhere else in each picture, and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:64, 0:56]
    at = rng.integers(15, 45, 2)
    blob = 60 + 120 * np.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 250)
    return np.asarray((blob + rng.normal(0, 5, blob.shape)).clip(0, 255), np.uint8)


def folder(root: Path) -> Path:
    for k in range(COUNT):
        (root / CLASSES[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(k)).save(root / CLASSES[k % 2] / f"{k:02}.png")
    return root


def findings(path: Path) -> dict[str, Finding]:
    return {finding.code: finding for finding in open_source(path, RULES).check().findings}


def files(finding: Finding) -> list[str]:
    return [spot.file for spot in finding.places]


SAVED_AGAIN: dict[str, Callable[[Path, Path], None]] = {
    "as JPEG": lambda source, to: Image.open(source).save(to.with_suffix(".jpg"), quality=90),
    "smaller": lambda source, to: Image.open(source).resize((42, 48), Image.Resampling.BOX).save(to.with_suffix(".png")),
    "larger": lambda source, to: Image.open(source).resize((112, 128)).save(to.with_suffix(".png")),
    "in 16 bits": lambda source, to: Image.fromarray(np.asarray(Image.open(source)).astype(np.uint16) * 256).save(
        to.with_suffix(".png")
    ),
    "brighter by one": lambda source, to: Image.fromarray(np.asarray(Image.open(source)) + np.uint8(1)).save(
        to.with_suffix(".png")
    ),
}


@pytest.mark.parametrize("how", sorted(SAVED_AGAIN))
def test_a_picture_saved_again_is_found_with_its_other_label(tmp_path: Path, how: str) -> None:
    """Only equal pixels were copies: the same film as PNG and as JPEG, healthy in one class and ill in the other, was READY."""
    folder(tmp_path)
    SAVED_AGAIN[how](tmp_path / "NORMAL" / "04.png", tmp_path / "PNEUMONIA" / "again")
    told = findings(tmp_path)
    pair = {"NORMAL/04.png", next(f"PNEUMONIA/{path.name}" for path in (tmp_path / "PNEUMONIA").glob("again.*"))}
    assert set(files(told["near-duplicates-other-label"])) == pair and "near-duplicates-other-patient" not in told
    assert len(files(told["near-duplicates"])) == 1


def test_two_patients_of_one_film_are_told(tmp_path: Path) -> None:
    """A film under two names of patients is in train and in test."""
    for k in range(COUNT):
        (tmp_path / CLASSES[k % 2] / f"p{k}").mkdir(parents=True)
        Image.fromarray(picture(k)).save(tmp_path / CLASSES[k % 2] / f"p{k}" / "a.png")
    (tmp_path / "NORMAL" / "p99").mkdir()
    Image.fromarray(picture(2)).save(tmp_path / "NORMAL" / "p99" / "a.jpg", quality=90)
    assert set(files(findings(tmp_path)["near-duplicates-other-patient"])) == {"NORMAL/p2/a.png", "NORMAL/p99/a.jpg"}


def test_pictures_of_their_own_are_no_copies(tmp_path: Path) -> None:
    """A warning that comes with every folder is read by nobody."""
    told = findings(folder(tmp_path))
    assert not {code for code in told if "duplicates" in code}


def test_findings_of_images_name_their_files(tmp_path: Path) -> None:
    """ "Images that show nothing: 1", of a hundred thousand, and not which."""
    folder(tmp_path)
    Image.fromarray(np.full((64, 56), 90, np.uint8)).save(tmp_path / "NORMAL" / "grey.png")
    Image.fromarray(255 - picture(3)).save(tmp_path / "NORMAL" / "film.png")
    Image.fromarray(picture(7)[:20, :20]).save(tmp_path / "NORMAL" / "small.png")
    shutil.copy(tmp_path / "NORMAL" / "02.png", tmp_path / "PNEUMONIA" / "copy.png")
    Image.fromarray(np.where(picture(9) > 110, 255, 0).astype(np.uint8)).save(tmp_path / "NORMAL" / "09_mask.png")
    told = findings(tmp_path)
    assert files(told["constant-image"]) == ["NORMAL/grey.png"]
    assert files(told["inverted-images"]) == ["NORMAL/film.png"]
    assert files(told["small-images"]) == ["NORMAL/small.png"]
    assert files(told["two-tone-image"]) == ["NORMAL/09_mask.png"]
    assert len(files(told["duplicates"])) == 1
    assert set(files(told["duplicates-other-label"])) == {"NORMAL/02.png", "PNEUMONIA/copy.png"}


def test_names_of_a_zip_that_begin_with_a_dot_and_a_slash_are_read(tmp_path: Path) -> None:
    """ "./NORMAL/a.png" was a hidden file: half of a class was gone, with a note."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as parts:
        for k in range(COUNT):
            name = ("./", "", "a/.//")[k % 3] + f"{CLASSES[k % 2]}/{k:02}.png"
            buffer = io.BytesIO()
            Image.fromarray(picture(k)).save(buffer, "PNG")
            parts.writestr(name, buffer.getvalue())
    assert len(open_source(tmp_path / "z.zip", RULES).load()) == COUNT


def test_two_files_of_a_zip_whose_names_differ_by_a_slash_are_refused(tmp_path: Path) -> None:
    """A program that unpacks them leaves one; which, depends on the program."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as parts:
        for k, name in enumerate(["NORMAL/a.png", "NORMAL//a.png", "PNEUMONIA/b.png"]):
            buffer = io.BytesIO()
            Image.fromarray(picture(k)).save(buffer, "PNG")
            parts.writestr(name, buffer.getvalue())
    assert files(findings(tmp_path / "z.zip")["zip-doubled"])[0] == "NORMAL/a.png"


def listed(root: Path, name: Callable[[str, int], str], label: Callable[[int], str]) -> dict[str, Finding]:
    folder(root)
    lines = [f"{name(CLASSES[k % 2], k)},{label(k)},p{k}" for k in range(COUNT)]
    (root / "manifest.csv").write_text("\n".join(["file,label,patient", *lines]) + "\n")
    return findings(root)


@pytest.mark.parametrize(
    "form", ["{folder}/{k:02}.PNG", "{folder}/{k:02}", "/mnt/x/{folder}/{k:02}.png", "{folder}%2F{k:02}.png"]
)
def test_files_that_a_list_spells_otherwise_are_not_called_absent(tmp_path: Path, form: str) -> None:
    """ "Add the images, or take out their lines", of images that were there."""
    told = listed(tmp_path, lambda folder, k: form.format(folder=folder, k=k), lambda k: CLASSES[k % 2])
    assert "file-absent" not in told and "another spelling" in told["file-otherwise"].text


def test_a_list_that_contradicts_the_folders_is_told(tmp_path: Path) -> None:
    """A list made from another version of the folders gave healthy lungs a pneumonia, READY in silence."""
    told = listed(tmp_path, lambda folder, k: f"{folder}/{k:02}.png", lambda k: CLASSES[(k % 2) ^ (k == 4)])
    assert files(told["label-otherwise"]) == ["NORMAL/04.png"]
