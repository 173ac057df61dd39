"""Open a path as a source. What a file is, is read from its first bytes, never from its name.

folder with images or DICOM         -> that reader
folder with one npz, zip or table   -> that file
"PK" with .npy members              -> npz
other "PK"                          -> zip of DICOM or images
"PAR1", gzip or text                -> table
"\\x80"                              -> a Python pickle, refused
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wardround.sources.damage import DAMAGE
from wardround.sources.dicom import is_dicom, read_dicom
from wardround.sources.file_tree import MANIFEST
from wardround.sources.image_folder import SUFFIXES, read_image_folder
from wardround.sources.npz import read_npz
from wardround.sources.read_result import ReadResult, to_records
from wardround.sources.readiness.report import Readiness, readiness_of, refused
from wardround.study.contract import DataContract, Kind, SplitsContract
from wardround.values.errors import DataError
from wardround.values.records import Records

Reader = Callable[[Path, DataContract], ReadResult]


class Source(Protocol):
    """The records of one hospital, or of several in one file."""

    @property
    def kind(self) -> str:
        """npz, images, dicom or table."""

    def load(self) -> Records:
        """All records, splits assigned, in an order that depends on their content alone.

        DataError where they break the contract.
        """

    def sites(self) -> NDArray[np.str_] | None:
        """The hospital of each record of `load()`, row for row; None where the source names none."""

    def load_with_sites(self) -> tuple[Records, NDArray[np.str_] | None]:
        """`load()` and `sites()` in one reading."""

    def check(self) -> Readiness:
        """The readiness report: never raises for bad data, tells everything at once."""


@dataclass(frozen=True)
class FileSource:
    """A source read from one file or folder. It keeps nothing in memory between calls."""

    kind: str
    path: Path
    contract: DataContract
    splits: SplitsContract
    reader: Reader

    def load(self) -> Records:
        return to_records(self.reader(self.path, self.contract), self.contract, self.splits)

    def sites(self) -> NDArray[np.str_] | None:
        return self.load_with_sites()[1]

    def load_with_sites(self) -> tuple[Records, NDArray[np.str_] | None]:
        read_result = self.reader(self.path, self.contract)
        records = to_records(read_result, self.contract, self.splits)
        return records, read_result.sites if np.any(read_result.sites != "") else None

    def check(self) -> Readiness:
        try:
            read_result = self.reader(self.path, self.contract)
        except DataError as error:
            return refused(self.kind, error)
        return readiness_of(self.kind, read_result, self.contract, self.splits)


def _read_table(path: Path, contract: DataContract) -> ReadResult:
    """polars is loaded for tables alone: it is large, and starts threads when it is imported."""
    from wardround.sources.table import read_table

    return read_table(path, contract)


_READERS: dict[str, tuple[Kind, Reader]] = {
    "npz": ("image", read_npz),
    "images": ("image", read_image_folder),
    "dicom": ("image", read_dicom),
    "table": ("table", _read_table),
}


def open_source(path: str | Path, contract: DataContract, *, splits: SplitsContract | None = None) -> FileSource:
    """The source at `path`; `splits` replaces the contract's. DataError where there is nothing that can be read."""
    place = Path(path)
    if not place.exists():
        raise DataError(f"There is nothing at {place}", hint="check the path")
    kind, file = _detected(place)
    promised, reader = _READERS[kind]
    if promised != contract.kind:
        raise DataError(
            f"{place} holds {'images' if promised == 'image' else 'a table'}",
            expected=f"{contract.kind} data, as [data] kind says",
            hint="name other data, or correct kind",
        )
    return FileSource(kind, file, contract, splits or contract.splits, reader)


def _detected(path: Path) -> tuple[str, Path]:
    return _folder_kind(path) if path.is_dir() else (_file_kind(path), path)


def _folder_kind(folder: Path) -> tuple[str, Path]:
    """The reader for a folder: images, DICOM, or a single file. Images among DICOM are refused, since one would be forgotten."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))
    images = any(f.suffix.casefold() in SUFFIXES for f in files)
    dicom = any(is_dicom(f) for f in files if f.suffix.casefold() not in SUFFIXES)
    if images and dicom:
        raise DataError(
            f"The folder {folder} mixes DICOM with PNG or JPEG", hint="put them into folders of their own and name one"
        )
    if images or dicom:
        return "images" if images else "dicom", folder
    single = [f for f in files if f.parent == folder and f.name != MANIFEST and f.suffix.casefold() in _SINGLE]
    if len(single) == 1:
        return _file_kind(single[0]), single[0]
    raise DataError(
        f"The folder {folder} is empty" if not files else f"The folder {folder} cannot be read as one source",
        expected="PNG, JPEG or DICOM images, or exactly one npz, zip, CSV or Parquet file",
        found=f"{len(files)} files, {len(single)} of them npz, zip, CSV or Parquet",
        hint="name the file itself, or a folder with one kind of data",
    )


_SINGLE = frozenset({".npz", ".zip", ".csv", ".gz", ".parquet", ".data"})


def _file_kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(132)
    if not head:
        raise DataError(f"{path} is empty", hint="copy or export it again")
    if head.startswith(b"PK"):
        return _zip_kind(path)
    if head.startswith((b"PAR1", b"\x1f\x8b")):
        return "table"
    if head.startswith(b"\x80"):
        raise DataError(f"{path} is a Python pickle, which could run code, and is refused", hint="write npz, CSV or Parquet")
    if is_dicom(path) or head.startswith((b"\x89PNG", b"\xff\xd8")):
        raise DataError(f"{path} is a single image", hint="name the folder it lies in")
    if b"\0" in head:
        raise DataError(f"{path} is of no known kind", expected="npz, zip, CSV or Parquet", hint="export it as one of these")
    return "table"


def _zip_kind(path: Path) -> str:
    """npz or images; a damaged zip goes by its name, and its reader tells of the damage."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except DAMAGE:
        return "npz" if path.suffix.casefold() == ".npz" else "images"
    if any(name.casefold().endswith(".dcm") for name in names):
        return "dicom"
    return "npz" if any(name.endswith(".npy") for name in names) else "images"
