"""Awkward files as hospitals have them: refused with cause and place, and the mend, followed to the letter, works; or right."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wardround.sources.opening import open_source
from wardround.values.errors import DataError

from .source_conformance import Item
from .test_image_folder import WORDS, folder_of, png

GREY = Item(77, "", "").image()
ODD = "NORMAL/odd.png"


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)  # type: ignore[arg-type]
    return content.getvalue()


def raw_png(samples: np.ndarray, colour_type: int, *, before: bytes = b"") -> bytes:
    """A PNG of 16 bits a sample, (height, width, channels), which Pillow cannot write in colour."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF whose tag of one short has another value."""
    at = tiff.index(struct.pack("<HHI", tag, 3, 1)) + 8
    return tiff[:at] + struct.pack("<H", value) + tiff[at + 2 :]


def see_through() -> Image.Image:
    image = Image.fromarray(GREY).convert("LA")
    image.putalpha(100)
    return image


def palette_with_a_hole() -> bytes:
    return saved(Image.fromarray(GREY).convert("P"), "PNG", transparency=int(GREY[3, 3]))


def twelve_bits(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:at] + b"\x0c" + jpeg[at + 1 :]


JPEG = saved(Image.fromarray(GREY), "JPEG")
TIFF16 = saved(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF")
SIGNED = with_tag(saved(Image.fromarray(GREY.astype(np.uint16)), "TIFF", tiffinfo={339: 1}), 339, 2)

REFUSED: dict[str, tuple[bytes, str]] = {
    "CMYK": (saved(Image.fromarray(GREY).convert("CMYK"), "JPEG"), "cmyk-image"),
    "CMYK in TIFF": (saved(Image.fromarray(GREY).convert("CMYK"), "TIFF"), "cmyk-image"),
    "Lab": (saved(Image.new("LAB", (16, 16), (40, 0, 0)), "TIFF"), "colour-space"),
    "half transparent": (saved(see_through(), "PNG"), "transparent-image"),
    "a palette with a transparent colour": (palette_with_a_hole(), "transparent-image"),
    "a grey that stands for nothing": (saved(Image.fromarray(GREY), "PNG", transparency=int(GREY[0, 0])), "transparent-image"),
    "fractions": (saved(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"), "float-image"),
    "32 bits": (with_tag(saved(Image.fromarray(GREY.astype(np.int32)), "TIFF"), 339, 1), "deep-image"),
    "signed": (SIGNED, "signed-image"),
    "16-bit colour": (raw_png(np.repeat(GREY[..., None].astype(np.uint16) * 16, 3, axis=2), 2), "deep-colour"),
    "16-bit grey with alpha": (raw_png(np.stack([GREY, np.full_like(GREY, 255)], axis=2).astype(np.uint16), 4), "deep-colour"),
    "16 bits with white as 0": (with_tag(TIFF16, 262, 0), "white-is-zero"),
    "pages": (saved(Image.fromarray(GREY), "TIFF", save_all=True, append_images=[Image.fromarray(GREY)]), "several-pictures"),
    "a film": (
        saved(Image.fromarray(GREY), "PNG", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        "several-pictures",
    ),
    "BMP": (saved(Image.fromarray(GREY), "BMP"), "named-otherwise:BMP"),
    "GIF": (saved(Image.fromarray(GREY), "GIF"), "named-otherwise:GIF"),
    "WebP": (saved(Image.fromarray(GREY).convert("RGB"), "WEBP", lossless=True), "named-otherwise:WebP"),
    "JPEG 2000": (saved(Image.fromarray(GREY), "JPEG2000"), "named-otherwise:JPEG-2000"),
    "a web page": (b"<!DOCTYPE html><html>404 not here</html>", "not-an-image"),
    "no byte": (b"", "empty-file"),
    "a PNG cut short": (png(GREY)[:150], "cut-short-image"),
    "a JPEG cut short": (JPEG[: len(JPEG) // 2], "cut-short-image"),
    "a PNG with other bytes inside": (png(GREY)[:40] + bytes(9) + png(GREY)[49:], "corrupt-image"),
    "12 bits": (twelve_bits(JPEG), "jpeg-kind"),
    "a billion pixels": (saved(Image.new("1", (12000, 12000)), "PNG"), "too-many-pixels"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("kind", REFUSED)
def test_an_awkward_image_is_refused_by_its_cause_and_place_and_its_mend_works(tmp_path: Path, kind: str, packed: bool) -> None:
    """ "Export again" for every cause sends the manager round in a circle."""
    content, code = REFUSED[kind]
    folder = folder_of(tmp_path / "d")
    (folder / ODD).write_bytes(content)
    path = zip_of(folder, tmp_path / "d.zip") if packed else folder
    report = open_source(path, WORDS).check()
    errors = [finding for finding in report.findings if finding.level == "error"]
    assert [(finding.code, [spot.file for spot in finding.places]) for finding in errors] == [(code, [ODD])]
    assert "odd" not in str(report.to_json())
    with pytest.raises(DataError):
        open_source(path, WORDS).load()
    (folder / ODD).write_bytes(as_grey_png(content))
    mended = zip_of(folder, tmp_path / "mended.zip") if packed else folder
    assert any(word in errors[0].hint for word in ("PNG", "export", "take them out"))
    assert len(open_source(mended, WORDS).load()) == 25


def as_grey_png(content: bytes) -> bytes:
    """What the mends say: converted by another program and saved as PNG, or exported again where that program cannot read it."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image: Image.Image = opened
            if image.has_transparency_data:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
            return saved(image.convert("L"), "PNG")
    except (OSError, ValueError, Image.DecompressionBombWarning):
        return png(GREY)


def zip_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in sorted(folder.rglob("*")):
            if name.is_file():
                file.write(name, name.relative_to(folder).as_posix())
    return path


RIGHT: dict[str, tuple[str, bytes, np.ndarray]] = {
    "8-bit TIFF": ("odd.tif", saved(Image.fromarray(GREY), "TIFF"), GREY),
    "16-bit TIFF": ("odd.tiff", TIFF16, GREY),
    "packed TIFF": ("odd.tif", saved(Image.fromarray(GREY), "TIFF", compression="tiff_lzw"), GREY),
    "TIFF without a suffix": ("odd", saved(Image.fromarray(GREY), "TIFF"), GREY),
    "TIFF with white as 0": ("odd.tif", with_tag(saved(Image.fromarray(GREY), "TIFF"), 262, 0), 255 - GREY),
    "TIFF of 12 by 20 turned": ("odd.tif", saved(Image.fromarray(GREY), "TIFF", tiffinfo={274: 3}), GREY[::-1, ::-1]),
    "PNG called .jpg": ("odd.jpg", png(GREY), GREY),
    "big-endian 16 bits": ("odd.png", raw_png(GREY[..., None].astype(np.uint16) * 257, 0), GREY),
    "an unused colour for nothing": ("odd.png", saved(Image.fromarray(GREY | 1), "PNG", transparency=0), GREY | 1),
    "opaque RGBA": ("odd.png", saved(Image.fromarray(GREY).convert("RGBA"), "PNG"), GREY),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_an_awkward_image_is_read_right(tmp_path: Path, kind: str) -> None:
    """What can be read without a guess is read, and every pixel is what a viewer shows."""
    name, content, pixels = RIGHT[kind]
    folder = folder_of(tmp_path / "d")
    (folder / "NORMAL" / name).write_bytes(content)
    source = open_source(folder, WORDS)
    assert source.check().ready()
    records = source.load()
    assert len(records) == 25
    assert any(np.array_equal(image, pixels) for image in records.inputs)


@dataclass(frozen=True)
class Case:
    """spoil: makes good data awkward. text: of the refusal. mend: what its hint says, done to the letter."""

    spoil: Callable[[Path], None]
    text: str
    mend: Callable[[Path], None]
    records: int = 24


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return spoil


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _both(*steps: Callable[[Path], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for step in steps:
            step(folder)

    return spoil


def _listed(*lines: str) -> bytes:
    names = [f"{word}/{k:03d}.png,{word}" for k in range(24) for word in [("NORMAL", "PNEUMONIA")[k % 2]]]
    return "\n".join(["file,label", *names, *lines]).encode()


FOLDERS: dict[str, Case] = {
    "a broken link": Case(
        lambda folder: (folder / ODD).symlink_to(folder / "gone"), "lead to files that are not there", _remove(ODD)
    ),
    "a link to a file that is there": Case(
        lambda folder: (folder / ODD).symlink_to(folder / "PNEUMONIA/001.png"), "reached twice", _remove(ODD)
    ),
    "a name in Latin-1": Case(
        lambda folder: (folder / "NORMAL" / os.fsdecode(b"\xe4.png")).write_bytes(png(GREY)) and None,
        "not in UTF-8",
        lambda folder: (folder / "NORMAL" / os.fsdecode(b"\xe4.png")).rename(folder / "NORMAL" / "ae.png") and None,
        25,
    ),
    "a list with a line for a file that is gone": Case(
        _write("manifest.csv", _listed("NORMAL/gone.png,NORMAL")), "not there", _write("manifest.csv", _listed())
    ),
    "a list with a file twice": Case(
        _write("manifest.csv", _listed("NORMAL/000.png,NORMAL")), "lists a file twice", _write("manifest.csv", _listed())
    ),
    "a list in UTF-16": Case(
        _write("manifest.csv", _listed().decode().encode("utf-16")), "not a CSV in UTF-8", _write("manifest.csv", _listed())
    ),
    "a list without a label": Case(
        _write("manifest.csv", b"file\nNORMAL/000.png"), "lacks a column", _write("manifest.csv", _listed())
    ),
    "a list that names a text": Case(
        _both(_write("a.txt", b"x"), _write("manifest.csv", _listed("a.txt,NORMAL"))),
        "not read as images",
        _write("manifest.csv", _listed()),
    ),
    "a second list": Case(
        _both(_write("NORMAL/manifest.csv", _listed()), _write("manifest.csv", _listed())),
        "more than one manifest",
        _remove("NORMAL/manifest.csv"),
    ),
    "a class folder with a typing error": Case(
        lambda folder: (folder / "NORMAL").rename(folder / "NROMAL") and None,
        "Labels are outside",
        lambda folder: (folder / "NROMAL").rename(folder / "NORMAL") and None,
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_an_awkward_folder_is_refused_and_its_mend_works(tmp_path: Path, kind: str) -> None:
    """Each mend is done here as its hint says, and nothing else."""
    awkward = FOLDERS[kind]
    folder = folder_of(tmp_path / "d")
    awkward.spoil(folder)
    source = open_source(folder, WORDS)
    assert not source.check().ready()
    with pytest.raises(DataError, match=awkward.text):
        source.load()
    awkward.mend(folder)
    assert len(open_source(folder, WORDS).load()) == awkward.records


def patched(whole: bytes, *, local: int, central: int, value: bytes) -> bytes:
    """A zip in which every header has other bytes at these offsets."""
    content = bytearray(whole)
    for mark, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + offset : at + offset + len(value)] = value
    return bytes(content)


def zip_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def _zip_spoiled(kind: str, folder: Path, path: Path) -> Path:
    whole = zip_of(folder, path).read_bytes()
    if kind == "a password":
        path.write_bytes(patched(whole, local=6, central=8, value=b"\x01\0"))
    elif kind == "Deflate64":
        path.write_bytes(patched(whole, local=8, central=10, value=b"\x09\0"))
    elif kind == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "one name twice":
        with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("NORMAL/000.png", png(GREY))
    elif kind == "one name twice, by a backslash":
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("NORMAL\\000.png", png(GREY))
    elif kind == "a link":
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(zip_link(ODD), "000.png")
    elif kind == "names that climb out":
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("..\\..\\odd.png", png(GREY))
    elif kind == "DICOM beside images":
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("NORMAL/scan", bytes(128) + b"DICM")
    else:
        members = {"tables alone": "a.csv", "zips alone": "a.zip", "an Excel workbook": "xl/workbook.xml"}
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(members[kind], b"PK\x03\x04" if kind == "zips alone" else b"a,b\n1,2")
            if kind == "an Excel workbook":
                file.writestr("[Content_Types].xml", b"<x/>")
    return path


ZIPS = {
    "a password": "encrypted with a password",
    "Deflate64": "packed by a method that is not read.*deflate64",
    "cut short": "damaged or cut short",
    "one name twice": "several files of one name",
    "one name twice, by a backslash": "several files of one name",
    "a link": "links in place of files",
    "names that climb out": "names files outside itself",
    "DICOM beside images": "mixes DICOM",
    "tables alone": "tables",
    "zips alone": r"without images.*1 of \.zip",
    "an Excel workbook": "holds a table",
}


@pytest.mark.parametrize("kind", ZIPS)
def test_an_awkward_zip_is_refused_by_its_cause(tmp_path: Path, kind: str) -> None:
    """Every zip that could not be read was damaged, or held images."""
    folder = folder_of(tmp_path / "d")
    with pytest.raises(DataError, match=ZIPS[kind]):
        open_source(_zip_spoiled(kind, folder, tmp_path / "d.zip"), WORDS).load()
    assert len(open_source(folder, WORDS).load()) == 24  # "unpack it, and name the folder"


def ended_early(jpeg: bytes, share: float) -> bytes:
    """The scan up to a share of its bytes, and the mark of the end."""
    scan = jpeg.rindex(b"\xff\xda")
    return jpeg[: scan + int((len(jpeg) - scan) * share)] + b"\xff\xd9"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_that_ends_early_with_the_mark_of_a_whole_one_is_warned_of(tmp_path: Path, mode: str) -> None:
    """The decoder fills the rest with grey and says nothing: half a lung would be learned from as if it were whole."""
    large = np.random.default_rng(5).integers(0, 256, (64, 48), dtype=np.uint8)
    whole = saved(Image.fromarray(large).convert(mode), "JPEG")
    for name, content, warned in (("cut", ended_early(whole, 0.5), True), ("whole", whole, False)):
        folder = folder_of(tmp_path / name)
        (folder / "NORMAL/odd.jpg").write_bytes(content)
        told = {finding.code: finding for finding in open_source(folder, WORDS).check().findings}
        assert ("grey-below" in told) is warned
    # an even picture that is not what a decoder fills in is no such file
    folder = folder_of(tmp_path / "even")
    (folder / "NORMAL/odd.jpg").write_bytes(saved(Image.new(mode, (48, 64), 90 if mode == "L" else (90, 90, 90)), "JPEG"))
    assert "grey-below" not in {finding.code for finding in open_source(folder, WORDS).check().findings}


@pytest.mark.slow
def test_no_whole_x_ray_is_taken_for_one_that_ended_early() -> None:
    """A warning that is wrong is not read the next time it is right."""
    from wardround.sources.images.image_decoding import decode
    from wardround.study.contract import ImageContract

    archive = Path(os.environ.get("WARDROUND_DATA", "")) / "kermany_cxr" / "kermany_cxr_224_jpeg.zip"
    if not archive.is_file():
        pytest.skip("the X-rays are not on this machine")
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if name.endswith(".jpeg")]
        assert [name for name in names if decode(file.read(name), ImageContract()).doubts] == []
        cut = [ended_early(file.read(name), share) for name in names[::200] for share in (0.3, 0.6, 0.9)]
    assert len(cut) > 80 and all(decode(content, ImageContract()).doubts for content in cut)
