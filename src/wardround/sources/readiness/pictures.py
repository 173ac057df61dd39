"""Pictures for the page of a hospital's data: each as its file shows it, beside what the network will see of it.

names of some records --file tree, decoder--> pixels as stored --small--> PNG in the page
prepared inputs of the same records            --8 bits--> PNG in the page
"""

import base64
import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wardround.sources.dicom.reading import decode_dicom, has_dicom_mark
from wardround.sources.files.file_tree import FileTree, open_file_tree, starts_as_zip
from wardround.sources.images.image_decoding import decode
from wardround.sources.read_result import ReadResult
from wardround.study.contract import ImageContract

PICTURES_OF_A_LABEL = 8
LARGEST_SIDE = 200
"""Pixels of a picture in the page, so that a page of large films stays small."""


@dataclass(frozen=True)
class Picture:
    """name: of the record in its source. label: its target. original, network: PNG as a data address; original is "" where the
    source has no file of its own for the record."""

    name: str
    label: float
    original: str
    network: str
    original_size: tuple[int, int]


def pictures(read_result: ReadResult, path: Path, contract: ImageContract) -> list[Picture]:
    """Up to PICTURES_OF_A_LABEL records of each label, spread evenly over the records in their canonical order."""
    rows = chosen_rows(read_result.labels)
    stored = _originals([str(read_result.names[row]) for row in rows], path, contract)
    return [
        Picture(
            name=str(read_result.names[row]),
            label=float(read_result.labels[row]),
            original=_address(stored[name]) if (name := str(read_result.names[row])) in stored else "",
            network=_address(read_result.inputs[row]),
            original_size=(int(read_result.originals[row][0]), int(read_result.originals[row][1])),
        )
        for row in rows
    ]


def chosen_rows(labels: NDArray[Any], each: int = PICTURES_OF_A_LABEL) -> list[int]:
    """Some records of each label, always the same for the same records.

    >>> chosen_rows(np.array([0, 0, 0, 1, 0, 1]), each=2)
    [0, 4, 3, 5]
    """
    rows: list[int] = []
    for label in np.unique(labels)[:4].tolist():
        members = np.flatnonzero(labels == label)
        rows += members[np.unique(np.linspace(0, len(members) - 1, min(each, len(members))).astype(int))].tolist()
    return rows


def _originals(names: Sequence[str], path: Path, contract: ImageContract) -> Mapping[str, NDArray[Any]]:
    """The pixels as their files hold them, of those that are files."""
    with _files(path) as file_tree:
        if file_tree is None:
            return {}
        present = set(file_tree.names)
        contents = {name: file_tree.read(name) for name in names if name in present}
    decoded = {name: _pixels(content, contract) for name, content in contents.items() if content is not None}
    return {name: pixels for name, pixels in decoded.items() if pixels is not None}


def _files(path: Path) -> AbstractContextManager[FileTree | None]:
    return open_file_tree(path) if path.is_dir() or starts_as_zip(path) else nullcontext()


def _pixels(content: bytes, contract: ImageContract) -> NDArray[Any] | None:
    return decode_dicom(content).pixels if has_dicom_mark(content[:132]) else decode(content, contract).pixels


def _address(pixels: NDArray[Any]) -> str:
    """An image as `data:image/png;base64,...`, 8 bits, its full depth from black to white."""
    shown = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    eight = shown if shown.dtype == np.uint8 else (shown >> 8).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(eight))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    content = io.BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
