"""Open a path as a source. What a file is, is read from what it holds, never from its name.

    path --each reader of READERS is asked--> Reader --read--> ReadResult --> Records, NamedRecords or a report

A folder is read by the reader that recognises it, or else the single file in it by the reader of that file. To add a source,
write a module with a `READER` and add its line to READERS.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wardround.sources import prepared_records
from wardround.sources.databases import readers as databases
from wardround.sources.dicom import reading as dicom
from wardround.sources.excluded_patients import ExcludedPatients
from wardround.sources.files.candidate import Candidate, candidate_at
from wardround.sources.files.file_tree import FileTree, first_bytes
from wardround.sources.files.known_files import is_manifest
from wardround.sources.files.set_aside import REASONS, REFUSALS, SetAside, is_utf8
from wardround.sources.images import image_folder, npz
from wardround.sources.images.image_folder import note_set_aside, reason_of
from wardround.sources.images.picture_kinds import HEAD_BYTES, READ_KINDS, kind_of, suffix_of
from wardround.sources.made_records import NamedRecords, stricter, to_named, to_records, to_rows
from wardround.sources.mapping.sections import KeptMapping
from wardround.sources.problem_counter import ProblemCounter
from wardround.sources.read_result import Labels, Problem, ReadResult, Values, sites_of
from wardround.sources.reader import Read, Reader
from wardround.sources.readiness.findings import readiness_of
from wardround.sources.readiness.report import Readiness, refused
from wardround.sources.tables import excel, foreign, table
from wardround.study.contract import DataContract, SplitsContract
from wardround.values.address import Address, address_of, is_address, is_other_address, other_address, sqlite_path
from wardround.values.errors import DataError
from wardround.values.printable import printable
from wardround.values.records import Records
from wardround.values.rows import Rows

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

    def load_with_units(self) -> tuple[Records, NDArray[np.str_]]:
        """`load()`, and what of each record is in one split with all that shares it: its patient, or a molecule's scaffold."""

    def rows(self, hospital: str, labels: Labels = "optional") -> Rows:
        """All rows of a table as they were measured. labels: whether each must have one. DataError as for `load()`."""

    def named(self) -> NamedRecords:
        """All records in the order of the source, for a model to answer; labels may be absent. DataError as for `load()`."""

    def check(self) -> Readiness:
        """The readiness report: never raises for bad data, tells everything at once."""


@dataclass(frozen=True)
class FileSource:
    """A source read from one file or folder. It keeps nothing in memory between calls.

    mapping: the hospital's own, for a table. private: it is read for a private study, whose promise is one of patients: what
    leaves open who is one is an error there. beside: what is said of the other files of its folder. excluded: who withdrew.
    """

    kind: str
    path: Path
    contract: DataContract
    splits: SplitsContract
    reader: Read
    private: bool = False
    mapping: KeptMapping | None = None
    beside: tuple[Problem, ...] = ()
    excluded: ExcludedPatients | None = None

    def load(self) -> Records:
        return to_records(self._read(), self.contract, self.splits)

    def _read(self, labels: Labels = "required", values: Values = "prepared") -> ReadResult:
        if self.mapping is None:
            read_result = self.reader(self.path, self.contract, labels, values)
        else:
            from wardround.sources.mapping.reading import read_mapped

            read_result = read_mapped(self.path, self.contract, self.mapping.mapping, labels, values)
        read_result = replace(read_result, problems=(*self.beside, *read_result.problems))
        if self.excluded is not None:
            read_result = self.excluded.leave_out(read_result)
        return stricter(read_result) if self.private else read_result

    def sites(self) -> NDArray[np.str_] | None:
        return self.load_with_sites()[1]

    def load_with_sites(self) -> tuple[Records, NDArray[np.str_] | None]:
        read_result = self._read()
        records = to_records(read_result, self.contract, self.splits)
        return records, sites_of(read_result)

    def load_with_units(self) -> tuple[Records, NDArray[np.str_]]:
        read_result = self._read()
        return to_records(read_result, self.contract, self.splits), read_result.split_units

    def rows(self, hospital: str, labels: Labels = "optional") -> Rows:
        return self.rows_with_sites(hospital, labels)[0]

    def rows_with_sites(self, hospital: str = "", labels: Labels = "optional") -> tuple[Rows, NDArray[np.str_] | None]:
        """`rows()` and the hospital of each, None where the source names none."""
        read_result = self._read(labels, "measured")
        if not read_result.measured:
            raise DataError(
                f"{self.path} holds records that were prepared for a network", hint="name the table they were made of"
            )
        return to_rows(read_result, self.contract, hospital), sites_of(read_result)

    def named(self) -> NamedRecords:
        return to_named(self._read("optional"))

    def check(self) -> Readiness:
        return self.look()[0]

    def look(self, labels: Labels = "required", values: Values = "prepared") -> tuple[Readiness, ReadResult | None]:
        """The report and what was read, from one reading; None where it could not be read at all."""
        try:
            read_result = self._read(labels, values)
        except DataError as error:
            report = refused(self.kind, error, quotes=self._is_quoted(error))
            return replace(report, mapping_sha256=self.mapping_sha256), None
        readiness = readiness_of(self.kind, read_result, self.contract, self.splits)
        return replace(readiness, mapping_sha256=self.mapping_sha256), read_result

    def _is_quoted(self, error: DataError) -> bool:
        """Whether the error's words may be the hospital's own: its mapping's columns and query, or where the data lie."""
        where = str(address_of(self.path)) if is_address(self.path) else str(self.path)
        return self.mapping is not None or where in f"{error.what} {error.hint}"

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
    excluded: ExcludedPatients | None = None,
) -> FileSource:
    """The source at `path`; `splits` replaces the contract's, a table is read through the hospital's `mapping`, and records of
    patients who are `excluded` are not used.

    DataError where there is nothing that can be read.
    """
    source = _opened(path, contract, splits or contract.splits, private=private, mapping=mapping)
    return source if excluded is None else replace(source, excluded=excluded)


def _opened(
    path: str | Path, contract: DataContract, splits: SplitsContract, *, private: bool, mapping: KeptMapping | None
) -> FileSource:
    if mapping is not None and contract.kind == "molecule":
        hint = "leave --mapping out; call the columns as the study does, or name that of the SMILES under [data.molecule]"
        raise DataError("A mapping is for tables, and the study asks for molecules", hint=hint)
    if mapping is not None and mapping.mapping.source.query:
        return FileSource("table", Path(path), contract, splits, table.READER.read, private, mapping)
    if is_address(path) and (file := sqlite_path(path)) is None:
        return _database(address_of(path), contract, splits, private)
    named = Path(path) if (file := sqlite_path(path)) is None else file
    if not is_utf8(str(named)):
        hint = "rename the folder or file; letters without accents are safe"
        raise DataError(f"The path {printable(str(named))} is not in UTF-8", hint=hint)
    if not _exists(named):
        if is_other_address(path):
            raise other_address()
        raise DataError(f"There is nothing at {named}", hint="check the path")
    reader, file, beside = _reader_at(named)
    if reader.data not in ("any", "table" if contract.kind == "molecule" else contract.kind):
        raise DataError(
            f"{named} holds {'images' if reader.data == 'image' else 'a table'}",
            expected=f"{contract.kind} data, as [data] kind says",
            hint="name other data, or correct kind",
        )
    return FileSource(reader.kind, file, contract, splits, reader.read, private, mapping, beside)


def _database(address: Address, contract: DataContract, splits: SplitsContract, private: bool) -> FileSource:
    if contract.kind != "table":
        raise DataError(f"{address} is a database", expected=f"{contract.kind} data, as [data] kind says", hint="name other data")
    return FileSource("postgresql", Path(str(address)), contract, splits, databases.AddressRead(address), private)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        raise _forbidden(path) from None


def _forbidden(path: Path) -> DataError:
    return DataError(f"{path} may not be read by this user", hint="ask its owner to let this user read it")


def _reader_at(path: Path) -> tuple[Reader, Path, tuple[Problem, ...]]:
    """The reader, the file or folder that it is for, and what is said of the files beside it."""
    with candidate_at(path) as candidate:
        if path.is_dir() and candidate.file_tree is not None:
            return _folder_reader(candidate, candidate.file_tree)
        return _file_reader(candidate), path, ()


def _folder_reader(candidate: Candidate, walk: FileTree) -> tuple[Reader, Path, tuple[Problem, ...]]:
    """The reader for a folder, or for the single file in it and what is said of the others. What two readers recognise is
    refused: one would be forgotten."""
    folder = candidate.path
    if not walk.names and any(spot.name == "./" for spot in walk.aside):
        raise _forbidden(folder)
    readers = [reader for reader in READERS if reader.recognises(candidate)]
    if len(readers) > 1:
        raise _mixed(f"The folder {folder}", readers)
    if readers:
        return readers[0], folder, ()
    suffixes = frozenset().union(*(reader.suffixes for reader in READERS))
    single = [name for name in walk.names if "/" not in name and not is_manifest(name) and suffix_of(name) in suffixes]
    if len(single) == 1:
        with candidate_at(folder / single[0]) as file:
            return _file_reader(file), file.path, _problems_beside(folder, walk, single[0])
    if image_folder.holds_unread_images(candidate):
        return image_folder.READER, folder, ()
    refused_files = [spot for spot in walk.aside if spot.reason in REFUSALS]
    if refused_files and not walk.names:
        _, text, hint = REASONS[refused_files[0].reason]
        raise DataError(text, found=f"{len(refused_files)} of them in {folder}, {refused_files[0].name} the first", hint=hint)
    raise DataError(
        f"The folder {folder} is empty" if not walk.names else f"The folder {folder} cannot be read as one source",
        expected="PNG, JPEG, TIFF, NIfTI or DICOM images, or exactly one npz, zip, CSV or Parquet file",
        found=f"{len(walk.names)} files, {len(single)} of them npz, zip, CSV or Parquet" + _deeper(walk, suffixes),
        hint="name the file itself, or a folder with one kind of data; put the parts of one table into one file",
    )


def _deeper(walk: FileTree, suffixes: frozenset[str]) -> str:
    deep = sum("/" in name and suffix_of(name) in suffixes for name in walk.names)
    return f" and {deep} in folders within" if deep else ""


def _problems_beside(folder: Path, walk: FileTree, single: str) -> tuple[Problem, ...]:
    """What is said of the files around the only one that is read: records may lie in them, too."""
    counter = ProblemCounter("")
    others = [name for name in walk.names if name != single]
    heads_of = ((name, first_bytes(folder / name, HEAD_BYTES)) for name in others)
    note_set_aside(counter, [*walk.aside, *(SetAside(name, reason_of(name, head)) for name, head in heads_of)])
    return counter.problems()


def _mixed(where: str, readers: list[Reader]) -> DataError:
    titles = " with ".join(reader.title for reader in readers)
    return DataError(f"{where} mixes {titles}", hint="put them into folders of their own and name one")


def _file_reader(candidate: Candidate) -> Reader:
    path = candidate.path
    if not path.is_file():
        raise DataError(f"{path} is neither a file nor a folder", hint="name a file or a folder")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except PermissionError:
        raise _forbidden(path) from None
    if not head:
        raise DataError(f"{path} is empty", hint="copy or export it again")
    if head.startswith(b"\x80"):
        raise DataError(f"{path} is a Python pickle, which could run code, and is refused", hint="write npz, CSV or Parquet")
    if kind_of(head) in READ_KINDS | {"DICOM"}:
        raise DataError(f"{path} is a single image", hint="name the folder it lies in")
    if candidate.is_zip and candidate.members is None and suffix_of(path.name) in excel.SUFFIXES:
        raise DataError(f"{path} is a workbook that is damaged or cut short", hint="copy or export it again")
    readers = [reader for reader in READERS if reader.recognises(candidate)]
    if {dicom.READER, image_folder.READER} <= set(readers):
        raise _mixed(f"The zip {path}", [dicom.READER, image_folder.READER])
    if readers:
        return readers[0]
    if candidate.is_zip:
        return _zip_reader(candidate)
    raise DataError(f"{path} is of no known kind", expected="npz, zip, CSV or Parquet", hint="export it as one of these")


def _zip_reader(candidate: Candidate) -> Reader:
    """For a zip that no reader recognises: the reader of images says what is wrong with the zip, this what is wrong with its
    files."""
    if candidate.file_tree is None or image_folder.holds_unread_images(candidate):
        return image_folder.READER
    suffixes = Counter(suffix_of(name) or "no suffix" for name in candidate.file_tree.names)
    raise DataError(
        f"{candidate.path} is a zip without images, DICOM files or arrays",
        expected="a zip of images or of DICOM files",
        found=", ".join(f"{count} of {suffix}" for suffix, count in suffixes.most_common(4)) or "no file",
        hint="unpack it, and name the file or folder with the data",
    )
