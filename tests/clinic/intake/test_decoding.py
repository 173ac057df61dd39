"""Files of every kind that a hospital sends, through the decoder's process: pixels as training saw them, or a refusal."""

import gzip
import io
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLossless, JPEGLosslessSV1, RLELossless

from tests.clinic.dicom.films import tool
from tests.clinic.dicom_files import NAME, NUMBER, dicom, film_pixels, jpeg_baseline, recoded
from wardround.clinic.intake.decoders import Decoders
from wardround.clinic.intake.limits import Limits
from wardround.sources import prepare
from wardround.study.contract import DataContract, ImageContract
from wardround.values.errors import DataError

CONTRACT = DataContract(kind="image", image=ImageContract(size=(32, 32)))
XRAY = DataContract(kind="image", image=ImageContract(size=(32, 32), modalities=("CR", "DX")))
FILM = film_pixels()
TIGHT = Limits(content_bytes=4 << 20, pixels=1_000_000, unpacked_bytes=8 << 20, memory_bytes=256 << 20, decode_s=20.0)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(b"k" * 32, TIGHT, processes=1) as pool:
        yield pool


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


VARIANTS = {
    "MONOCHROME1": lambda: dicom(FILM, BitsStored=12, PhotometricInterpretation="MONOCHROME1"),
    "12 bits": lambda: dicom(FILM, BitsStored=12),
    "16 bits": lambda: dicom(film_pixels(bits=16)),
    "a window": lambda: dicom(FILM, BitsStored=12, WindowCenter=2000, WindowWidth=1500),
    "JPEG baseline": lambda: jpeg_baseline(dicom(film_pixels(bits=8))),
    "JPEG 2000": lambda: recoded(dicom(FILM, BitsStored=12), JPEG2000Lossless),
    "RLE": lambda: recoded(dicom(FILM, BitsStored=12), RLELossless),
    "deflated": lambda: recoded_deflated(),
    "PNG of 8 bits": lambda: png(film_pixels(bits=8)),
    "PNG of 16 bits": lambda: png(film_pixels(bits=16)),
    "JPEG": lambda: png(film_pixels(bits=8), "JPEG"),
}


def recoded_deflated() -> bytes:
    import pydicom

    data = pydicom.dcmread(io.BytesIO(dicom(FILM, BitsStored=12)))
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_film_is_prepared_as_it_was_for_training(decoders: Decoders, name: str) -> None:
    """A second way to read a file would be a second model."""
    content = VARIANTS[name]()
    film = decoders.film(content, CONTRACT, shown=True)
    assert np.array_equal(film.prepared, prepare(CONTRACT, content)) and film.prepared.std() > 5
    assert film.shown is not None and film.shown.pixels.shape == (64, 64)


@pytest.mark.parametrize(
    ("option", "syntax"), [("+e1", JPEGLosslessSV1), ("+el", JPEGLossless)], ids=["first value", "any predictor"]
)
def test_jpeg_lossless_is_read_as_the_film_that_it_was(decoders: Decoders, tmp_path: Path, option: str, syntax: str) -> None:
    """The commonest compression of old archives, written by another program."""
    before, after = tmp_path / "film.dcm", tmp_path / "lossless.dcm"
    before.write_bytes(dicom(FILM, BitsStored=12))
    subprocess.run([tool("dcmcjpeg"), option, str(before), str(after)], check=True)
    assert dcmread(after).file_meta.TransferSyntaxUID == syntax
    film = decoders.film(after.read_bytes(), CONTRACT, shown=True)
    assert np.array_equal(film.prepared, prepare(CONTRACT, before))


@pytest.mark.parametrize("photometry", ["MONOCHROME1", "MONOCHROME2"])
def test_the_viewer_gets_values_beyond_the_window_and_the_window_beside_them(decoders: Decoders, photometry: str) -> None:
    """A doctor who widens the window must see more, and before that exactly what the model's picture is made of."""
    content = dicom(FILM, BitsStored=12, WindowCenter=2048, WindowWidth=1024, PhotometricInterpretation=photometry)
    shown = decoders.film(content, CONTRACT, shown=True).shown
    assert shown is not None and shown.inverted == (photometry == "MONOCHROME1")
    low, high = shown.window
    assert (low / 65535 * 4095, high / 65535 * 4095) == pytest.approx((1536, 2560), abs=1)
    assert len(np.unique(shown.pixels)) == len(np.unique(FILM))
    light = np.clip((shown.pixels - low) / (high - low), 0, 1)
    same_size = DataContract(kind="image", image=ImageContract(size=(64, 64)))
    by_model = decoders.film(content, same_size, shown=False).prepared / 255
    assert np.abs((1 - light if shown.inverted else light) - by_model).max() < 0.01


def test_a_large_film_is_averaged_for_the_viewer_alone() -> None:
    """A screen has fewer pixels than a detector; the model's picture comes from all of them."""
    with Decoders(b"k" * 32, Limits(shown_side=32), processes=1) as small:
        shown = small.film(dicom(FILM, BitsStored=12), CONTRACT, shown=True).shown
    assert shown is not None and (shown.pixels.shape, shown.reduced) == ((32, 32), 2)


def test_the_patient_is_a_pseudonym_and_the_identity_stays_beside_the_film(decoders: Decoders) -> None:
    """One and the same person has one pseudonym here, and another in another clinic."""
    content = dicom(FILM, BitsStored=12)
    film = decoders.film(content, XRAY, shown=False)
    assert film.identity["PatientName"] == NAME and film.facts["age"] == 3.0 and film.facts["ViewPosition"] == "PA"
    assert len(film.patient) == 24 and not {NAME, NUMBER} & set(map(str, film.facts.values()))
    with Decoders(b"o" * 32, processes=1) as other:
        assert other.film(content, XRAY, shown=False).patient != film.patient
    assert decoders.film(dicom(FILM, BitsStored=12), XRAY, shown=False).patient == film.patient


def test_burned_in_text_is_warned_of(decoders: Decoders) -> None:
    """A name in the pixels is seen by the model, and by whoever sees a kept picture."""
    film = decoders.film(dicom(FILM, BitsStored=12, BurnedInAnnotation="YES"), CONTRACT, shown=False)
    assert [warned.code for warned in film.warnings] == ["burned-in"]


def text_chunk_bomb() -> bytes:
    """A small PNG whose text unpacks to 200 MB."""
    body = b"x\0\0" + zlib.compress(bytes(200 << 20), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    plain = png(film_pixels(bits=8))
    return plain[:33] + chunk + plain[33:]


def declared(width: int, height: int) -> bytes:
    """A PNG that only says how large it is."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    plain = png(film_pixels(bits=8))
    return plain[:8] + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + plain[33:]


def deflated_bomb() -> bytes:
    content = recoded_deflated()
    at = content.index(b"\x02\x00\x00\x00UL") + 8
    start = at + 4 + struct.unpack("<I", content[at : at + 4])[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return content[:start] + packer.compress(bytes(64 << 20)) + packer.flush()


REFUSED = {
    "several frames": (
        lambda: dicom(np.stack([FILM, FILM]).reshape(128, 64), Rows=64, NumberOfFrames=2, BitsStored=12),
        "frames",
    ),
    "no pixels": (lambda: dicom(FILM, BitsStored=12, PixelData=None), "no pixels"),
    "cut short": (lambda: dicom(FILM, BitsStored=12)[:-2000], "damaged|pixels|whole"),
    "another modality": (lambda: dicom(FILM, BitsStored=12, Modality="CT"), "modality"),
    "no image": (lambda: b"%PDF-1.4 " + bytes(100), "PDF"),
    "nothing": (lambda: b"", "0 bytes"),
    "a web page": (lambda: b"<!doctype html><script>alert(1)</script>", "hold none"),
    "too many pixels": (lambda: dicom(FILM, BitsStored=12, Rows=20_000, Columns=20_000), "million pixels"),
    "a huge PNG": (lambda: declared(60_000, 60_000), "million pixels"),
    "a large PNG": (lambda: declared(2_000, 2_000), "too many pixels"),
    "a deflated bomb": (deflated_bomb, "unpacks to more"),
    "a gzip bomb": (lambda: gzip.compress(bytes(64 << 20)), "unpacks to more"),
    "a text bomb": (text_chunk_bomb, "decoded|limits|memory"),
    "too long": (lambda: bytes(5 << 20), "too large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_refused_in_words_and_the_next_film_is_read(decoders: Decoders, name: str) -> None:
    """A hostile file costs itself alone."""
    content, words = REFUSED[name][0](), REFUSED[name][1]
    with pytest.raises(DataError, match=words) as error:
        decoders.film(content, XRAY, shown=True)
    assert error.value.hint and "MARKER" not in str(error.value) and "Traceback" not in str(error.value)
    assert decoders.film(dicom(FILM, BitsStored=12), XRAY, shown=False).prepared.shape == (32, 32)


@pytest.mark.slow
def test_a_decoder_that_is_killed_or_stuck_is_replaced() -> None:
    """A file may end the process that reads it, never the service."""
    content = dicom(FILM, BitsStored=12)
    with Decoders(b"k" * 32, Limits(decode_s=20.0), processes=1) as pool:
        pool.film(content, CONTRACT, shown=False)
        (child,) = psutil.Process().children()[-1:]
        child.suspend()
        stuck = pool.later(content, CONTRACT, shown=False)
        time.sleep(0.2)
        child.kill()
        with pytest.raises(DataError, match="limits of time and memory"):
            stuck.result(timeout=30)
        assert pool.film(content, CONTRACT, shown=False).prepared.any()
    with Decoders(b"k" * 32, Limits(decode_s=0.001), processes=1) as hurried, pytest.raises(DataError, match="time and memory"):
        hurried.film(content, CONTRACT, shown=False)


@pytest.mark.parametrize("seed", range(3))
def test_no_edit_of_a_file_ends_otherwise_than_in_words(decoders: Decoders, seed: int) -> None:
    """Bits are flipped in header and pixels; the decoder answers or refuses."""
    rng = np.random.default_rng(seed)
    for base in (dicom(FILM, BitsStored=12), recoded(dicom(FILM, BitsStored=12), JPEG2000Lossless), png(FILM.astype(np.uint8))):
        for _ in range(15):
            content = bytearray(base)
            for position in rng.integers(0, min(len(content), 1500), 6):
                content[position] ^= 1 << int(rng.integers(8))
            try:
                decoders.film(bytes(content), CONTRACT, shown=True)
            except DataError as error:
                assert error.hint
