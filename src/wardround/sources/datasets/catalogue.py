"""Public data sets by name: what they are, under which licence, how their files are known, and where their publisher serves them.

A set is looked for in the folder that WARDROUND_DATA names, then in the user's data folder. A file counts as found only where
its bytes are known: the publisher's own, or the prepared file that this catalogue describes. A set without an address here is
not one that its publisher serves in this form, and the entry says so.
"""

import gzip
import hashlib
import json
import os
import tomllib
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path

import platformdirs

from wardround.sources.datasets.download import Progress, fetch
from wardround.study.contract import DataContract
from wardround.study.shared_rules import written_out
from wardround.values.errors import DataError

DATA_VARIABLE = "WARDROUND_DATA"


@dataclass(frozen=True)
class DataFile:
    """One file of a set. hashes: "sha256:..." or "md5:...", any of which makes the file known. The address is the publisher's,
    and `address_hash` the one of `hashes` that its bytes have. A table may lie gzipped, as NAME.gz: known by what is in it."""

    name: str
    hashes: tuple[str, ...]
    address: str = ""
    address_hash: str = ""
    needed: bool = True


@dataclass(frozen=True)
class DatasetEntry:
    """A public data set. drawn: made by a program when it is asked for, of no person; it has no files. folder: it lies in, where
    that is not called as the set is."""

    name: str
    title: str
    source: str
    citation: str
    licence: str
    records: str
    files: tuple[DataFile, ...]
    warnings: tuple[str, ...] = ()
    readable: bool = True
    drawn: bool = False
    folder: str = ""

    @property
    def place(self) -> str:
        """The folder that it lies in."""
        return self.folder or self.name

    @property
    def downloadable(self) -> bool:
        """Whether every needed file has an address and a hash to hold it to."""
        return all(file.address and file.address_hash for file in self.files if file.needed)


@cache
def entries() -> dict[str, DatasetEntry]:
    """The catalogue, in name order."""
    text = package_files("wardround.sources.datasets").joinpath("contracts/catalogue.toml").read_text("utf-8")
    catalogue = {name: _entry(name, raw) for name, raw in tomllib.loads(text).items()}
    return dict(sorted(catalogue.items()))


def _entry(name: str, raw: dict[str, object]) -> DatasetEntry:
    listed = raw.pop("files")
    warnings = raw.pop("warnings", [])
    assert isinstance(listed, list) and isinstance(warnings, list)
    files = tuple(DataFile(**{**file, "hashes": tuple(file["hashes"])}) for file in listed)
    return DatasetEntry(name=name, files=files, warnings=tuple(warnings), **raw)  # type: ignore[arg-type]


def entry(name: str) -> DatasetEntry:
    catalogue = entries()
    if name not in catalogue:
        raise DataError(f"There is no data set named {name!r}", expected=", ".join(catalogue), hint="see `wardround data list`")
    return catalogue[name]


def suggested_contract(name: str) -> DataContract:
    """The contract a study of this data set may start from; the file is the study's own [data] section."""
    raw, _ = written_out(tomllib.loads(suggested_contract_text(name)))
    return DataContract.model_validate_json(json.dumps(raw["data"]))


def suggested_contract_text(name: str) -> str:
    """The suggested [data] section as TOML text."""
    file = package_files("wardround.sources.datasets").joinpath(f"contracts/{entry(name).name}.toml")
    if not file.is_file():
        raise DataError(f"The catalogue suggests no contract for {name!r}", hint="write the [data] section by hand")
    return file.read_text("utf-8")


def data_folders() -> tuple[Path, ...]:
    """Where sets are looked for, in order."""
    named = os.environ.get(DATA_VARIABLE, "")
    own = Path(platformdirs.user_data_dir("wardround", appauthor=False)) / "data"
    return (Path(named), own) if named else (own,)


def find(name: str) -> Path:
    """The folder that holds the set, its needed files all there. Hashes are checked by `verified`, file by file as it is read."""
    dataset = entry(name)
    if dataset.drawn:
        return data_folders()[-1]  # nothing is read from it
    for folder in data_folders():
        if all(_lying(folder / dataset.place / file.name).is_file() for file in dataset.files if file.needed):
            return folder / dataset.place
    hint = (
        f"run `wardround data get {name}`"
        if dataset.downloadable
        else f"put the files into a folder {dataset.place} and set {DATA_VARIABLE}"
    )
    raise DataError(
        f"The data set {name!r} is not on this machine",
        expected=f"a folder {dataset.place} with {', '.join(file.name for file in dataset.files if file.needed)}",
        hint=hint,
    )


def verified(folder: Path, name: str, file_name: str) -> Path:
    """The file, once its bytes are known to be what the catalogue means."""
    file = next(file for file in entry(name).files if file.name == file_name)
    path = _lying(folder / file_name)
    if not path.is_file():
        raise DataError(f"The data set {name!r} lacks {file_name}", hint="fetch the set again")
    packed = path.name != file_name
    if file.hashes and not any(_hash_of(path, one.partition(":")[0], packed=packed) == one for one in file.hashes):
        raise DataError(
            f"{file_name} is not the file that the catalogue knows as {name!r}",
            expected=" or ".join(file.hashes),
            hint="fetch it again; to use other bytes, name the file itself as a source",
        )
    return path


def is_prepared(path: Path, name: str) -> bool:
    """Whether the file's bytes are the prepared ones, the first hash listed, and not the publisher's."""
    file = next(file for file in entry(name).files if file.name == path.name)
    return _hash_of(path, "sha256") == file.hashes[0]


def _lying(path: Path) -> Path:
    """Where a file lies: gzipped, where it is a table of which only that is there."""
    packed = path.with_name(f"{path.name}.gz")
    return packed if path.suffix == ".csv" and not path.is_file() and packed.is_file() else path


def _hash_of(path: Path, algorithm: str, *, packed: bool = False) -> str:
    """packed: of what a gzipped file holds; of one that is damaged, what no hash is."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return "damaged"
    return f"{algorithm}:{digest.hexdigest()}"


def get(name: str, *, progress: Progress | None = None, into: Path | None = None) -> Path:
    """The folder of the set, downloaded from its publisher where it is not here yet.

    A broken download goes on where it stopped; a file with another hash is refused and not kept.
    """
    dataset = entry(name)
    if into is None:
        try:
            return find(name)
        except DataError:
            into = data_folders()[-1]
    if not dataset.downloadable:
        raise DataError(
            f"The data set {name!r} was prepared from other files and is served nowhere in this form",
            hint=f"put the prepared files into a folder {dataset.place} and set {DATA_VARIABLE}; its origin: {dataset.source}",
        )
    folder = into / dataset.place
    for file in dataset.files:
        if file.address and not _lying(folder / file.name).is_file():
            fetch(file.address, folder / file.name, file.address_hash, progress)
    return folder
