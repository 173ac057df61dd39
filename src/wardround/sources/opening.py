"""Open a path as a source. What a file is, is read from what it holds, never from its name.

    path --each reader of READERS is asked--> Reader --read--> ReadResult --> Records, NamedRecords or a report

A folder is read by the reader that recognises it, or else the single file in it by the reader of that file. To add a source,
write a module with a `READER` and add its line to READERS.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wardround.sources import dicom, excel, foreign, image_folder, npz, prepared_records, table
from wardround.sources.databases import readers as databases
from wardround.sources.dicom import is_dicom
from wardround.sources.file_tree import MANIFEST, shown_files
from wardround.sources.mapping.sections import KeptMapping
from wardround.sources.read_result import Labels, NamedRecords, ReadResult, stricter, to_named, to_records
from wardround.sources.reader import Read, Reader
from wardround.sources.readiness.report import Readiness, readiness_of, refused
from wardround.study.contract import DataContract, SplitsContract
from wardround.values.address import Address, address_of, is_address, sqlite_path
from wardround.values.errors import DataError
from wardround.values.records import Records

READERS: tuple[Reader, ...] = (
    prepared_records.READER,
    npz.READER,
    *databases.READERS,  # before zips of tables are refused: such a zip may be a database's
    foreign.READER,
    excel.READER,
    dicom.READER,
    image_folder.READER,
    table.READER,  # last: any text may be a table
)
"""The first that recognises a file reads it; a folder that two recognise is refused."""


class Source(Protocol):
    """The records of one hospital, or of several in one file."""

    @property
    def kind(self) -> str:
        """The kind of its reader: npz, records, images, dicom or table."""

    def load(self) -> Records:
        """All records, splits assigned, in an order that depends on their content alone.

        DataError where they break the contract.
        """

    def sites(self) -> NDArray[np.str_] | None:
        """The hospital of each record of `load()`, row for row; None where the source names none."""

    def load_with_sites(self) -> tuple[Records, NDArray[np.str_] | None]:
        """`load()` and `sites()` in one reading."""

    def named(self) -> NamedRecords:
        """All records in the order of the source, for a model to answer; labels may be absent. DataError as for `load()`."""

    def check(self) -> Readiness:
        """The readiness report: never raises for bad data, tells everything at once."""


@dataclass(frozen=True)
class FileSource:
    """A source read from one file or folder. It keeps nothing in memory between calls.

    mapping: the hospital's own, for a table. private: it is read for a private study, whose promise is one of patients: what
    leaves open who is one is an error there.
    """

    kind: str
    path: Path
    contract: DataContract
    splits: SplitsContract
    reader: Read
    private: bool = False
    mapping: KeptMapping | None = None

    def load(self) -> Records:
        return to_records(self._read(), self.contract, self.splits)

    def _read(self, labels: Labels = "required") -> ReadResult:
        if self.mapping is None:
            read_result = self.reader(self.path, self.contract, labels)
        else:
            from wardround.sources.mapping.reading import read_mapped

            read_result = read_mapped(self.path, self.contract, self.mapping.mapping, labels)
        return stricter(read_result) if self.private else read_result

    def sites(self) -> NDArray[np.str_] | None:
        return self.load_with_sites()[1]

    def load_with_sites(self) -> tuple[Records, NDArray[np.str_] | None]:
        read_result = self._read()
        records = to_records(read_result, self.contract, self.splits)
        return records, read_result.sites if np.any(read_result.sites != "") else None

    def named(self) -> NamedRecords:
        return to_named(self._read("optional"))

    def check(self) -> Readiness:
        return self.look()[0]

    def look(self) -> tuple[Readiness, ReadResult | None]:
        """The report and what was read, from one reading; None where it could not be read at all."""
        try:
            read_result = self._read()
        except DataError as error:
            return replace(refused(self.kind, error), mapping_sha256=self.mapping_sha256), None
        readiness = readiness_of(self.kind, read_result, self.contract, self.splits)
        return replace(readiness, mapping_sha256=self.mapping_sha256), read_result

    @property
    def mapping_sha256(self) -> str:
        """Which mapping was used; "" without one."""
        return "" if self.mapping is None else self.mapping.sha256


def open_source(
    path: str | Path,
    contract: DataContract,
    *,
    splits: SplitsContract | None = None,
    private: bool = False,
    mapping: KeptMapping | None = None,
) -> FileSource:
    """The source at `path`; `splits` replaces the contract's, and a table is read through the hospital's `mapping`.

    DataError where there is nothing that can be read.
    """
    if mapping is not None and mapping.mapping.source.query:
        return FileSource("table", Path(path), contract, splits or contract.splits, table.READER.read, private, mapping)
    if is_address(path) and (file := sqlite_path(path)) is None:
        return _database(address_of(path), contract, splits or contract.splits, private)
    named = Path(path) if (file := sqlite_path(path)) is None else file
    if not named.exists():
        raise DataError(f"There is nothing at {named}", hint="check the path")
    reader, file = _folder_reader(named) if named.is_dir() else (_file_reader(named), named)
    if reader.data not in ("any", contract.kind):
        raise DataError(
            f"{named} holds {'images' if reader.data == 'image' else 'a table'}",
            expected=f"{contract.kind} data, as [data] kind says",
            hint="name other data, or correct kind",
        )
    return FileSource(reader.kind, file, contract, splits or contract.splits, reader.read, private, mapping)


def _database(address: Address, contract: DataContract, splits: SplitsContract, private: bool) -> FileSource:
    if contract.kind != "table":
        raise DataError(f"{address} is a database", expected=f"{contract.kind} data, as [data] kind says", hint="name other data")
    return FileSource("postgresql", Path(str(address)), contract, splits, databases.AddressRead(address), private)


def _folder_reader(folder: Path) -> tuple[Reader, Path]:
    """The reader for a folder, or for the single file in it. What two readers recognise is refused: one would be forgotten."""
    readers = [reader for reader in READERS if reader.recognises(folder)]
    if len(readers) > 1:
        titles = " with ".join(reader.title for reader in readers)
        raise DataError(f"The folder {folder} mixes {titles}", hint="put them into folders of their own and name one")
    if readers:
        return readers[0], folder
    files = shown_files(folder)
    suffixes = frozenset().union(*(reader.suffixes for reader in READERS))
    single = [file for file in files if file.parent == folder and file.name != MANIFEST and file.suffix.casefold() in suffixes]
    if len(single) == 1:
        return _file_reader(single[0]), single[0]
    raise DataError(
        f"The folder {folder} is empty" if not files else f"The folder {folder} cannot be read as one source",
        expected="PNG, JPEG or DICOM images, or exactly one npz, zip, CSV or Parquet file",
        found=f"{len(files)} files, {len(single)} of them npz, zip, CSV or Parquet",
        hint="name the file itself, or a folder with one kind of data",
    )


def _file_reader(path: Path) -> Reader:
    with path.open("rb") as file:
        head = file.read(132)
    if not head:
        raise DataError(f"{path} is empty", hint="copy or export it again")
    if head.startswith(b"\x80"):
        raise DataError(f"{path} is a Python pickle, which could run code, and is refused", hint="write npz, CSV or Parquet")
    if is_dicom(path) or head.startswith((b"\x89PNG", b"\xff\xd8")):
        raise DataError(f"{path} is a single image", hint="name the folder it lies in")
    reader = next((reader for reader in READERS if reader.recognises(path)), None)
    if reader is None:
        raise DataError(f"{path} is of no known kind", expected="npz, zip, CSV or Parquet", hint="export it as one of these")
    return reader
