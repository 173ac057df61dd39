"""PNG and JPEG images, 8 or 16 bit, in a folder or a zip. Labels, patients and splits come from sub-folders or a manifest."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from wardround.sources.damage import DAMAGE
from wardround.sources.file_tree import (
    MANIFEST,
    FileTree,
    Known,
    known_files,
    note_manifest,
    open_file_tree,
    shown_files,
    starts_as_zip,
)
from wardround.sources.pixels import FAULTS, empty_stack, fault, prepared
from wardround.sources.places import Place
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels, ReadResult, collect
from wardround.sources.reader import Reader
from wardround.study.contract import DataContract
from wardround.study.label import Target

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
UNREAD = frozenset({".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".dcm", ".nii", ".npy", ".npz"})
"""Images of kinds that this reader leaves out, and says so."""


def read_image_folder(path: Path, contract: DataContract, labels: Labels = "required") -> ReadResult:
    """Every PNG and JPEG under a folder or in a zip; raises DataError on a damaged zip or manifest."""
    with open_file_tree(path) as file_tree:
        names = tuple(name for name in file_tree.names if PurePosixPath(name).suffix.casefold() in SUFFIXES)
        beside = path.with_name(MANIFEST) if path.is_file() else None
        listed_files, absent = known_files(file_tree, names, contract, beside, labels)
        counter = ProblemCounter("of the images in name order")
        note_manifest(counter, absent, names, listed_files)
        for name in (name for name in file_tree.names if PurePosixPath(name).suffix.casefold() in UNREAD):
            text = "Images that are neither PNG nor JPEG were left out"
            counter.warning("unread-kind", text, "convert them to PNG", Place(file=name))
        return read_listed(file_tree, names, listed_files, contract, counter, lambda content, _: Decoded(decode(content)), labels)


@dataclass(frozen=True)
class Decoded:
    """pixels: None where they cannot be had, for the reason `problem` (code, text, hint) or because the file is corrupt.
    patient: the one the file itself names."""

    pixels: NDArray[Any] | None
    patient: str = ""
    problem: tuple[str, str, str] | None = None


def read_listed(
    file_tree: FileTree,
    names: tuple[str, ...],
    listed_files: list[Known],
    contract: DataContract,
    counter: ProblemCounter,
    decode_file: Callable[[bytes, Known], Decoded],
    labels: Labels = "required",
) -> ReadResult:
    """Decode, check and prepare the known files one by one; what cannot be used is left out and noted in the counter."""
    stack = empty_stack(len(listed_files), contract.image)
    position_of = {name: position for position, name in enumerate(names, 1)}
    outcomes: list[Target | None] = []
    used: list[Known] = []
    splits: list[str] = []
    sizes: list[tuple[int, int]] = []
    for file in listed_files:
        image_place = Place(position_of[file.name], file.name)
        outcome = contract.label.judge(file.label)
        if outcome is None and (labels == "required" or file.label):
            counter.unknown_label(replace(image_place, value=file.label), labels)
        if outcome is None and labels == "required":
            continue
        content = file_tree.read(file.name)
        decoded = Decoded(None) if content is None else decode_file(content, file)
        image = decoded.pixels
        if decoded.problem is not None:
            counter.error(*decoded.problem, image_place)
        elif image is None:
            counter.unreadable(image_place)
        elif code := fault(image, contract.image):
            counter.error(code, *FAULTS[code], image_place)
        else:
            stack[len(used)] = prepared(image, contract.image)
            outcomes.append(outcome)
            used.append(replace(file, patient=decoded.patient or file.patient))
            splits.append(counter.split(file.split, replace(image_place, value=file.split)))
            sizes.append((image.shape[0], image.shape[1]))
    return collect(
        stack[: len(used)],
        outcomes,
        patients=patients_of(used, names, counter),
        declared=splits,
        sites=[file.site for file in used],
        originals=sizes,
        problems=counter.problems(),
        names=[file.name for file in used],
    )


def patients_of(used: list[Known], names: tuple[str, ...], counter: ProblemCounter) -> list[str] | None:
    """The patients where every file names one, None where none does; a mixture is a problem."""
    bare = [file.name for file in used if not file.patient]
    if used and not bare:
        return [file.patient for file in used]
    if len(bare) < len(used):
        at = {name: position for position, name in enumerate(names, 1)}
        for name in bare:
            text = "Some images name a patient and others do not"
            counter.error("patient-absent", text, "name the patient of every image", Place(at[name], name))
    return None


def decode(content: bytes) -> NDArray[Any] | None:
    """Pixels as uint8 or uint16, (height, width) or (height, width, 3); None for what is not a whole PNG or JPEG.

    Transparency is dropped where the image is opaque; a truly transparent image has no agreed look and counts as undecodable;
    so does an image beyond Pillow's limit of 89 million pixels (a mammogram at full size has about 30), which may be a bomb.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                image.load()
                return _pixels(ImageOps.exif_transpose(image))
    except DAMAGE:
        return None


def _pixels(image: Image.Image) -> NDArray[Any] | None:
    if image.mode in ("L", "RGB"):
        return np.array(image)
    if image.mode.startswith("I"):
        return np.array(image).astype(np.uint16)
    if image.mode == "1":
        return np.array(image.convert("L"))
    if image.mode == "P" and "transparency" not in image.info:
        return np.array(image.convert("RGB"))
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema()[0] == 255:
        return np.array(image.convert(image.mode[:-1]))
    return None


def holds_images(path: Path) -> bool:
    """A folder with a PNG or JPEG in it, or a zip: asked after the readers of other zips."""
    if path.is_dir():
        return any(file.suffix.casefold() in SUFFIXES for file in shown_files(path))
    return starts_as_zip(path)


READER = Reader("images", "image", "PNG or JPEG", frozenset({".zip"}), holds_images, read_image_folder)
