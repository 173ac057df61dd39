"""PNG, JPEG and TIFF in folders and zips."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wardround.sources.opening import open_source
from wardround.study.contract import DataContract, ImageContract, LabelContract, SplitsContract
from wardround.values.errors import DataError

from .file_conformance import FileConformance
from .source_conformance import Item, case

CONTRACT = DataContract(kind="image", image=ImageContract(size=(16, 16)))
WORDS = CONTRACT.changed(label=LabelContract(positive=("PNEUMONIA",), negative=("NORMAL",)))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class TestManifestFolder(FileConformance):
    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        lines = ["file,label,patient,split"]
        for at, item in enumerate(items):
            (folder / f"{item.patient}-{at}.png").write_bytes(png(item.image()))
            lines.append(f"{item.patient}-{at}.png,{item.label},{item.patient},{item.split}")
        (folder / "manifest.csv").write_text("\n".join(lines))
        return folder

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        path = self.write(folder, items)
        lines = ["file,patient", *(f"{i.patient}-{at}.png,{i.patient}" for at, i in enumerate(items))]
        (folder / "manifest.csv").write_text("\n".join(lines))
        return path

    def source_order(self, items: list[Item]) -> list[Item]:
        return [item for _, item in sorted((f"{item.patient}-{at}.png", item) for at, item in enumerate(items))]

    def raw_records(self, path: Path) -> list[Any]:
        return sorted(path.rglob("*.png"))


class TestSubFolders(FileConformance):
    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        for item in items:
            path = folder / item.split / item.label / item.patient / f"{item.number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(item.image()))
        return folder

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        return self.write(folder, [replace(item, label="", patient="of-ward-3") for item in items])

    def source_order(self, items: list[Item]) -> list[Item]:
        return sorted(items, key=lambda item: f"{item.label}/{item.patient}/{item.number}.png")

    def raw_records(self, path: Path) -> list[Any]:
        return sorted(path.rglob("*.png"), key=lambda file: file.relative_to(path).as_posix())


class TestZip(FileConformance):
    def contract(self) -> DataContract:
        return CONTRACT

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "images.zip", "w") as file:
            for item in items:
                name = "/".join(part for part in (item.split, item.label, item.patient, f"{item.number}.png") if part)
                file.writestr(name, png(item.image()))
        return folder / "images.zip"

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        return self.write(folder, [replace(item, label="", patient="") for item in items])

    def source_order(self, items: list[Item]) -> list[Item]:
        return sorted(items, key=lambda item: f"{item.label}/{item.patient}/{item.number}.png")

    def raw_records(self, path: Path) -> list[Any]:
        with zipfile.ZipFile(path) as file:
            return [file.read(name) for name in sorted(file.namelist())]


def folder_of(root: Path, count: int = 24) -> Path:
    """NORMAL and PNEUMONIA folders without patients."""
    for number in range(count):
        path = root / ("NORMAL", "PNEUMONIA")[number % 2] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(Item(number, "", "").image()))
    return root


def test_labels_are_read_from_folder_names_whatever_their_case(tmp_path: Path) -> None:
    """Hospitals write Normal, NORMAL and normal."""
    folder = folder_of(tmp_path / "d")
    (folder / "NORMAL").rename(folder / "normal")
    records = open_source(folder, WORDS).load()
    assert (int(records.labels.sum()), len(records), records.patient_count) == (12, 24, 24)


def test_a_corrupt_image_is_named_by_its_position(tmp_path: Path) -> None:
    """The data manager must find it, without its name, which may be a patient's."""
    folder = folder_of(tmp_path / "d")
    whole = (folder / "NORMAL" / "004.png").read_bytes()
    (folder / "NORMAL" / "004.png").write_bytes(whole[:40] + bytes(9) + whole[49:])
    (folder / "PNEUMONIA" / "001.png").write_bytes(whole[:40] + bytes(9) + whole[49:])
    source = open_source(folder, WORDS)
    with pytest.raises(DataError, match=r"cannot be decoded.*2 of them at position 3, 13 of the images in name order"):
        source.load()
    report = source.check()
    assert [spot.file for spot in report.findings[0].places] == ["NORMAL/004.png", "PNEUMONIA/001.png"]
    assert [finding.code for finding in report.findings if finding.level == "error"] == ["corrupt-image"]
    assert "fewer than 5" in report.findings[0].text


def test_sixteen_bit_png_and_jpeg_are_read(tmp_path: Path) -> None:
    """Radiographs keep 12 to 16 bits; photographs come as JPEG."""
    folder = folder_of(tmp_path / "d", 20)
    deep = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(deep).save(folder / "NORMAL" / "deep.png")
    Image.fromarray(np.full((32, 32), 90, np.uint8)).save(folder / "NORMAL" / "photo.JPG", "JPEG")
    records = open_source(folder, WORDS).load()
    assert len(records) == 22
    assert any(np.array_equal(image, (deep // 257).astype(np.uint8)) for image in records.inputs)


def test_colour_where_grey_is_promised_is_refused(tmp_path: Path) -> None:
    """A photograph among X-rays is a mistake; RGB with equal channels is not."""
    folder = folder_of(tmp_path / "d", 20)
    grey = Item(50, "", "").image()
    Image.fromarray(np.stack([grey, grey, grey], axis=2)).save(folder / "NORMAL" / "rgb.png")
    assert len(open_source(folder, WORDS).load()) == 21
    Image.fromarray(np.stack([grey, grey, 255 - grey], axis=2)).save(folder / "NORMAL" / "colour.png")
    with pytest.raises(DataError, match="three unequal channels"):
        open_source(folder, WORDS).load()


def test_a_palette_and_an_opaque_alpha_are_read_and_transparency_is_refused(tmp_path: Path) -> None:
    """Transparent pixels have no agreed look."""
    folder = folder_of(tmp_path / "d", 20)
    grey = Image.fromarray(Item(50, "", "").image())
    grey.convert("P").save(folder / "NORMAL" / "palette.png")
    grey.convert("LA").save(folder / "NORMAL" / "opaque.png")
    grey.point(lambda v: v // 2).convert("1").save(folder / "NORMAL" / "bits.png")
    assert len(open_source(folder, WORDS).load()) == 23
    see_through = grey.convert("LA")
    see_through.putalpha(100)
    see_through.save(folder / "NORMAL" / "see-through.png")
    with pytest.raises(DataError, match="transparent in part"):
        open_source(folder, WORDS).load()


def test_a_zip_that_climbs_out_of_itself_is_refused(tmp_path: Path) -> None:
    """Such a name is an attack; nothing is unpacked anyway, and nothing may appear beside the zip."""
    for name in ("../NORMAL/x.png", "/NORMAL/x.png", "..\\NORMAL\\x.png", "C:\\NORMAL\\x.png"):
        path = tmp_path / "z.zip"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(name, png(Item(1, "", "").image()))
        with pytest.raises(DataError, match="outside itself"):
            open_source(path, WORDS).load()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["z.zip"]


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    """A broken copy again."""
    folder = folder_of(tmp_path / "d")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        for path in sorted(folder.rglob("*.png")):
            file.write(path, path.relative_to(folder).as_posix())
    whole = (tmp_path / "z.zip").read_bytes()
    (tmp_path / "z.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="zip is damaged"):
        open_source(tmp_path / "z.zip", WORDS).load()


def test_a_manifest_outside_the_zip_is_found_and_files_match_by_their_last_part(tmp_path: Path) -> None:
    """A published zip often comes with a list beside it."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        for item in case():
            file.writestr(f"some/where/{item.number}.png", png(item.image()))
    lines = ["file,label,patient", *(f"{item.number}.png,{item.label},{item.patient}" for item in case())]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    assert open_source(tmp_path / "z.zip", CONTRACT).load().patient_count == 30


def test_a_manifest_that_names_an_absent_image_is_refused_and_an_unlisted_image_left_out(tmp_path: Path) -> None:
    """A missing image is a broken copy; an extra one was left out on purpose, which is told."""
    folder = TestManifestFolder().write(tmp_path / "d", case())
    (folder / "extra.png").write_bytes(png(Item(77, "", "").image()))
    source = open_source(folder, CONTRACT)
    assert len(source.load()) == 60
    assert "unlisted" in {finding.code for finding in source.check().findings}
    next(iter(sorted(folder.glob("Muster*.png")))).unlink()
    with pytest.raises(DataError, match="not there"):
        source.load()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file,kind\na.png,1", "lacks a column"),
        ("file,label\na.png,1\na.png,0", "lists a file twice"),
        ("file,label\na.png,1,2,3", "more cells"),
        (b"file,label\n\xff\xfe,1", "not a CSV"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str | bytes, match: str) -> None:
    """Each mistake has its own words."""
    (tmp_path / "a.png").write_bytes(png(Item(1, "", "").image()))
    (tmp_path / "manifest.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=match):
        open_source(tmp_path, CONTRACT).load()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """A site whose share was not mounted looks like this."""
    with pytest.raises(DataError, match="is empty"):
        open_source(tmp_path, CONTRACT)
    with pytest.raises(DataError, match="nothing at"):
        open_source(tmp_path / "absent", CONTRACT)


def test_an_image_too_large_to_be_one_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    """A few kilobytes of PNG can claim a billion pixels."""
    folder = folder_of(tmp_path / "d", 20)
    Image.new("1", (12000, 12000)).save(folder / "NORMAL" / "bomb.png")
    with pytest.raises(DataError, match="more than 89 million pixels"):
        open_source(folder, WORDS).load()


def test_kinds_that_are_not_read_are_told_and_dicom_among_images_is_refused(tmp_path: Path) -> None:
    """A silently forgotten half of the data would never be noticed."""
    folder = folder_of(tmp_path / "d")
    Image.fromarray(Item(50, "", "").image()).save(folder / "NORMAL" / "old.bmp")
    report = open_source(folder, WORDS).check()
    assert "unread-kind" in {finding.code for finding in report.findings}
    (folder / "NORMAL" / "x.dcm").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(DataError, match="mixes DICOM"):
        open_source(folder, WORDS)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("file,label,label", "stands twice.*'label', 'label'"),
        ("file,label,Label", "stands twice.*'label', 'Label'"),
        ("file,label,path", "may name the file.*'file', 'path'"),
    ],
)
def test_a_manifest_that_says_a_thing_twice_is_refused_by_the_columns(tmp_path: Path, header: str, match: str) -> None:
    """The last of two columns was taken: with other labels in it, the model learns the reverse without a word."""
    folder = folder_of(tmp_path / "d")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    lines = [header, *(f"{name},{name.split('/')[0]},NORMAL" for name in names)]
    (folder / "manifest.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=match):
        open_source(folder, WORDS).load()
    assert not open_source(folder, WORDS).check().ready()


def test_columns_of_a_manifest_may_be_in_upper_case(tmp_path: Path) -> None:
    """PATIENT was left out without a word, and each image was a patient of its own."""
    folder = folder_of(tmp_path / "d")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    lines = ["File; Label;PATIENT", *(f"{name};{name.split('/')[0]};p{at // 3}" for at, name in enumerate(names))]
    (folder / "manifest.csv").write_text("\n".join(lines))
    assert open_source(folder, WORDS).load().patient_count == 8


def test_a_folder_of_one_label_inside_that_of_the_other_is_no_label(tmp_path: Path) -> None:
    """Dropped into the wrong window, every picture of the class would be learned as healthy. A patient called 1 is no label."""
    folder = folder_of(tmp_path / "d")
    (folder / "PNEUMONIA").rename(folder / "NORMAL" / "PNEUMONIA")
    report = open_source(folder, WORDS).check()
    outside = next(finding for finding in report.findings if finding.code == "label-outside")
    assert not report.ready()
    assert {spot.value for spot in outside.places} == {"NORMAL/PNEUMONIA"} and len(outside.places) == 12
    numbers = TestSubFolders().write(tmp_path / "n", [Item(k, str((k + 1) % 2), str(k % 2)) for k in range(40)])
    assert open_source(numbers, CONTRACT.changed(splits=SplitsContract(minimum_patients=1))).check().counts[0].exact == "40"


def test_files_of_12_bits_that_use_all_of_them_are_warned_of(tmp_path: Path) -> None:
    """Taken for 16 bits they are 16 times too dark; rounded to 8 bits they are just above a sixteenth."""
    folder = folder_of(tmp_path / "d")
    for at, path in enumerate(sorted(folder.rglob("*.png"))):
        pixels = np.random.default_rng(at).integers(0, 4096, (40, 40)).astype(np.uint16)
        pixels[:2, :2] = 4095
        Image.fromarray(pixels).save(path)
    codes = {finding.code for finding in open_source(folder, WORDS).check().findings}
    right = WORDS.changed(image=ImageContract(size=(16, 16), white_16=4095))
    assert "dark-images" in codes
    assert "dark-images" not in {finding.code for finding in open_source(folder, right).check().findings}
