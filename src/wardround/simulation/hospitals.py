"""Which hospitals a simulation has: folders of the user's, one data set divided, or records made on the spot."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from wardround.study.contract import SplitsContract
from wardround.study.declaration import Study
from wardround.study.own_task import load_own_task, require_own_task
from wardround.study.sections.external import ExternalSection
from wardround.study.sections.simulation import SimulationSection
from wardround.tasks.registry import task_of
from wardround.values.address import is_address, sqlite_path, without_password
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, RunError, StudyError
from wardround.values.ids import SiteId, site_id
from wardround.values.printable import printable
from wardround.values.records import Records, Split
from wardround.values.records_file import write_records
from wardround.values.stored import head_of, value_of

if TYPE_CHECKING:
    from wardround.simulation.division import Divided
    from wardround.sources import Dataset


@dataclass(frozen=True)
class Place:
    """Where a hospital's records are. prepared: written by `from_dataset` or `from_records`, already
    checked against the contract. mapping: the hospital's own, for a table, and the hash that it had when the run began. task:
    the hospital's own, where the study leaves the question to it, and its hash likewise."""

    path: Path
    prepared: bool
    mapping: Path | None = None
    mapping_sha256: str = ""
    task: Path | None = None
    task_sha256: str = ""


Hospitals = dict[SiteId, Place]
FILE = "hospitals.json"


def keep_hospitals(hospitals: Hospitals, folder: Path) -> None:
    """Records where a run's hospitals have their data, so that a resumed run reads the same."""
    write_atomic(folder / FILE, canonical_json({name: head_of(hospital) for name, hospital in hospitals.items()}))


def kept_hospitals(folder: Path) -> Hospitals:
    """What `keep_hospitals` recorded in a run folder. RunError where it is damaged or gone."""
    try:
        places = json.loads((folder / FILE).read_bytes())
        return {site_id(name): value_of(Place, hospital) for name, hospital in places.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{folder / FILE} is damaged", hint="start the run again in a new folder") from error


DatasetCache = Callable[[str], "Dataset"]
"""Data sets by name."""


def from_folders(sites: Mapping[str, str | Path], mappings: Mapping[str, str | Path] | None = None) -> Hospitals:
    """The user's own files, folders or databases, one a hospital. DataError where one does not exist.

    mappings: a hospital's own mapping, by its name.
    """
    from wardround.sources.files.set_aside import is_utf8
    from wardround.sources.mapping.sections import load_mapping

    asked = dict(mappings or {})
    if strange := sorted(set(asked) - set(sites)):
        raise StudyError(
            f"A mapping is for a hospital that is not there: {', '.join(strange)}", expected=", ".join(sites),
            hint="name the hospital as --site does",
        )  # fmt: skip
    places: Hospitals = {}
    for name, path in sites.items():
        if is_address(path) and (file := sqlite_path(path)) is None:
            places[site_id(name)] = Place(_kept_address(name, path), prepared=False)
            continue
        folder = Path(path) if (file := sqlite_path(path)) is None else file
        if not is_utf8(str(folder)):
            hint = "rename the folder or file; letters without accents are safe"
            raise DataError(f"The path {printable(str(folder))}, the data of site {name}, is not in UTF-8", hint=hint)
        if not folder.exists():
            raise DataError(f"There is nothing at {folder}, the data of site {name}", hint="check the path")
        mapping = Path(asked[name]).resolve() if name in asked else None
        sha256 = "" if mapping is None else load_mapping(mapping).sha256
        places[site_id(name)] = Place(folder.resolve(), False, mapping, sha256)
    return places


def of_same_data(
    sites: Mapping[str, str | Path], mappings: Mapping[str, str | Path] | None = None
) -> tuple[tuple[str, ...], ...]:
    """Names of hospitals whose data are one file, folder or address, also through links; each group in name order.

    mappings: as for `from_folders`. Two of one database with a mapping each may ask for different rows, and are no group.
    """
    asked = mappings or {}
    groups: dict[object, list[str]] = {}
    for name, path in sites.items():
        file = sqlite_path(path)
        identity = str(path) if is_address(path) and file is None else _identity(Path(file or path))
        groups.setdefault((identity, str(asked.get(name, ""))), []).append(name)
    return tuple(tuple(sorted(names)) for names in groups.values() if len(names) > 1)


def _identity(path: Path) -> object:
    """The same for every name of a file or folder. A path with nothing there is itself: it is refused elsewhere."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return str(path)
    return status.st_dev, status.st_ino


def _kept_address(name: str, text: str | Path) -> Path:
    """The address of a database as the run folder keeps it. DataError where it holds a password, which nothing may keep."""
    return Path(without_password(text, f"the run folder of site {name}"))


def from_records(records: Mapping[str, Records], folder: Path) -> Hospitals:
    """Hospitals whose records are at hand; written to `folder`, so that a resumed run reads the same."""
    places: Hospitals = {}
    for name, part in records.items():
        path = folder / f"{site_id(name)}.npz"
        write_records(path, part)
        places[site_id(name)] = Place(path.resolve(), prepared=True)
    return places


def with_tasks(study: Study, hospitals: Hospitals, tasks: Mapping[str, str | Path] | None) -> Hospitals:
    """The hospitals, each with its own task file. StudyError where the study asks for tasks and one has none, or the other way
    round, and where a task does not fit the study."""
    asked = dict(tasks or {})
    if strange := sorted(set(asked) - set(map(str, hospitals))):
        raise StudyError(
            f"A task is for a hospital that is not there: {', '.join(strange)}",
            expected=", ".join(map(str, hospitals)),
            hint="name the hospital as --site or the division does",
        )
    with_own: Hospitals = {}
    for name, hospital in hospitals.items():
        path = Path(asked[name]).resolve() if name in asked else None
        task = None if path is None else load_own_task(path)
        require_own_task(study, task, name)
        with_own[name] = replace(hospital, task=path, task_sha256="" if task is None else task.hash)
    return with_own


def divide(
    records: "Divided", sites: NDArray[np.str_] | None, simulation: SimulationSection, groups: NDArray[np.intp]
) -> "dict[str, Divided]":
    """One data set as several hospitals, patients never divided; as the [simulation] section of a run file says.

    groups: each record's, as the task says.
    """
    from wardround.simulation import division

    sizes = {hospital.name: hospital.share for hospital in simulation.hospitals}
    if simulation.by in ("column", "scaffold"):
        return division.divide_by_column(records, sites)
    if len(sizes) < 2:
        raise StudyError(
            "A data set is divided into two hospitals or more",
            found=f"{len(sizes)} in [[simulation.hospitals]]",
            hint="name them in the run file, or use --hospitals K",
        )
    if simulation.by == "iid":
        return division.divide_evenly(records, tuple(sizes), groups, seed=simulation.seed)
    if simulation.by == "size":
        return division.divide_by_size(records, sizes, groups, seed=simulation.seed)
    if simulation.by == "dirichlet":
        return division.divide_by_dirichlet(records, tuple(sizes), groups, alpha=simulation.alpha, seed=simulation.seed)
    positive_shares = {
        hospital.name: hospital.positive_share for hospital in simulation.hospitals if hospital.positive_share is not None
    }
    if len(positive_shares) != len(sizes):
        raise StudyError('by = "label" needs positive_share for every hospital', hint="add positive_share to each")
    return division.divide_by_label(records, sizes, positive_shares, groups, seed=simulation.seed)


def from_dataset(
    study: Study, simulation: SimulationSection, source: str | Path | None, folder: Path, datasets: DatasetCache | None = None
) -> Hospitals:
    """Reads a data set (by path, or by the study's data.dataset) and divides it. Where each hospital has a task of its own, its
    part is read with that task."""
    if study.keeps_heads:
        return _from_dataset_by_tasks(study, simulation, source, folder)
    records, sites = read_for(study, simulation, source, datasets)
    return from_records(divide(records, sites, simulation, task_of(study).strata(records.labels)), folder)


def _from_dataset_by_tasks(study: Study, simulation: SimulationSection, source: str | Path | None, folder: Path) -> Hospitals:
    """The division knows no label: the same rows are divided the same way, whatever is asked of them."""
    parts: dict[str, Records] = {}
    patients: NDArray[np.str_] | None = None
    for name, path in simulation.tasks.items():
        home = require_own_task(study, load_own_task(path), name)
        records, sites = read_for(home, simulation, source)
        if patients is not None and not np.array_equal(records.patients, patients):
            raise StudyError(
                f"The task of {name} leaves other rows of the data set out than the tasks before it",
                hint="name each hospital's own file with --site, or say in the task which values are blank, as blank = ['']",
            )
        patients = records.patients
        divided = divide(records, sites, simulation, np.zeros(len(records), np.intp))
        if name not in divided:
            raise StudyError(
                f"A task is for a hospital that is not there: {name}",
                expected=", ".join(divided),
                hint="give each of [[simulation.hospitals]] its task",
            )
        parts[name] = divided[name]
    lacking = sorted({hospital.name for hospital in simulation.hospitals} - parts.keys())
    if lacking or not parts:
        raise StudyError(
            f"The study leaves the question to each hospital, and the run file names no task of {', '.join(lacking) or 'any'}",
            hint='write task = "FILE" for each of [[simulation.hospitals]], or name it with --task NAME=FILE',
        )
    return from_records(parts, folder)


def read_for(
    study: Study, simulation: SimulationSection, source: str | Path | None, datasets: DatasetCache | None = None
) -> tuple[Records, NDArray[np.str_] | None]:
    """All records that may be trained on, and the hospital of each, where the data or their scaffolds say it."""
    if simulation.by != "scaffold":
        return read_whole(study, source, datasets)
    if study.data.kind != "molecule":
        raise StudyError(
            'by = "scaffold" divides molecules',
            expected='data.kind = "molecule"',
            found=f'"{study.data.kind}"',
            hint='divide otherwise: by = "iid", "size", "dirichlet" or "column"',
        )
    from wardround.simulation.division import homes_of

    records, scaffolds = _with_scaffolds(study, source, datasets)
    shares = {hospital.name: hospital.share for hospital in simulation.hospitals}
    return records, homes_of(scaffolds, shares, seed=simulation.seed)


def _with_scaffolds(study: Study, source: str | Path | None, datasets: DatasetCache | None) -> tuple[Records, NDArray[np.str_]]:
    """All molecules that may be trained on, and the scaffold of each."""
    if source is not None:
        from wardround.sources import open_source

        return open_source(source, study.data, private=study.privacy.private).load_with_units()
    if study.data.dataset is None:
        raise StudyError("The study names no data to divide", hint="give the table with --data PATH, or set data.dataset")
    loaded = (datasets or dataset_cache(study))(study.data.dataset)
    assert loaded.units is not None  # no set of molecules has a test split of its publisher's
    return loaded.records, loaded.units


def read_whole(
    study: Study, source: str | Path | None, datasets: DatasetCache | None = None
) -> tuple[Records, NDArray[np.str_] | None]:
    """All records that may be trained on, and the hospital that each names, if any."""
    from wardround.sources import open_source

    if source is not None:
        return open_source(source, study.data, private=study.privacy.private).load_with_sites()
    if study.data.dataset is None:
        raise StudyError(
            "The study names no data to divide",
            hint="give each hospital its data with --site NAME=PATH, one data set with --data PATH, or set data.dataset",
        )
    loaded = (datasets or dataset_cache(study))(study.data.dataset)
    return loaded.records, loaded.sites


def dataset_cache(study: Study) -> DatasetCache:
    """The data sets that the study names, each read once for as long as the datasets is kept."""

    @cache
    def load(name: str) -> "Dataset":
        from wardround.sources import load_dataset

        return load_dataset(name, study.data)

    return load


def external_records(study: Study, external: ExternalSection | None, datasets: DatasetCache | None = None) -> Records | None:
    """The records of the study's external test set, of which there is at least one; they are in no hospital.

    external: where they lie. DataError or StudyError where they cannot be read or there are none.
    """
    test = study.evaluation.external
    if test is None and external is None:
        return None
    if test is None:
        raise StudyError(
            "The run file says where an external test set lies, and the study is not judged on one",
            hint="add [evaluation.external] to the study, or remove [external] from the run file",
        )
    if external is None:
        raise StudyError(
            f"The study is judged on the external test set {test.name}, and no run file says where it lies",
            hint="write [external] with dataset or path into the run file, STUDY.run.toml beside STUDY.toml or --run FILE",
        )
    if external.dataset is not None:
        records = (datasets or dataset_cache(study))(external.dataset).external
        if records is None:
            raise StudyError(
                f"The data set {external.dataset} has no test split that its publisher set apart",
                hint="name a path under [external] in the run file, or remove [evaluation.external] from the study",
            )
        return records
    return _external_at(Path(external.path or ""), study, external.split)


def _external_at(path: Path, study: Study, split: Split | Literal["all"]) -> Records:
    from wardround.sources import open_source

    splits = None if split == "all" else SplitsContract(**{**study.data.splits.model_dump(), "declared": True})
    try:
        records = open_source(path, study.data, splits=splits).load()
    except DataError as error:
        raise DataError(
            f"The external test set {path} cannot be used: {error.what}",
            expected=error.expected,
            found=error.found,
            hint=error.hint or "correct [external] in the run file",
        ) from error
    tested = records if split == "all" else records.where(split)
    if not len(tested):
        raise DataError(f"The external test set {path} has no {split} records", hint="name another split, or all of them")
    return tested


def stage_external_test(study: Study, external: ExternalSection | None, path: Path, datasets: DatasetCache) -> None:
    """Reads and checks the external test set and writes it to `path`, unless it is there: a mistake in it shows before
    training, not after, and nobody holds it in memory meanwhile."""
    if path.exists():
        return
    records = external_records(study, external, datasets)
    if records is not None:
        write_atomic(outside_of(path), canonical_json(sorted(set(records.digests()))), private=True)
        write_records(path, records)


def outside_of(path: Path) -> Path:
    """Where the digests of the external test set at `path` lie, for sites to compare with theirs."""
    return path.with_suffix(".digests.json")
