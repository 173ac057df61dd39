"""Which hospitals a simulation has: folders of the user's, one data set divided, or records made on the spot."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.study.declaration import Study
from wardround.study.sections import SimulationSection
from wardround.values.errors import DataError, StudyError
from wardround.values.ids import SiteId, site_id
from wardround.values.records import Records
from wardround.values.records_file import write_records


@dataclass(frozen=True)
class Place:
    """Where a hospital's records are. prepared: written by `divided` or `given`, already checked against the contract."""

    path: Path
    prepared: bool


Hospitals = dict[SiteId, Place]


def from_folders(sites: Mapping[str, str | Path]) -> Hospitals:
    """The user's own files or folders, one a hospital. DataError where one does not exist."""
    places: Hospitals = {}
    for name, path in sites.items():
        place = Path(path)
        if not place.exists():
            raise DataError(f"There is nothing at {place}, the data of site {name}", mend="check the path")
        places[site_id(name)] = Place(place.resolve(), prepared=False)
    return places


def given(records: Mapping[str, Records], folder: Path) -> Hospitals:
    """Hospitals whose records are at hand; written to `folder`, so that a resumed run reads the same."""
    places: Hospitals = {}
    for name, part in records.items():
        path = folder / f"{site_id(name)}.npz"
        write_records(path, part)
        places[site_id(name)] = Place(path.resolve(), prepared=True)
    return places


def divide(records: Records, sites: NDArray[np.str_] | None, how: SimulationSection) -> dict[str, Records]:
    """One data set as several hospitals, patients never divided; as the study's [simulation] section says."""
    from wardround.sources import division

    sizes = {hospital.name: hospital.share for hospital in how.hospitals}
    if how.by == "column":
        return division.divide_by_column(records, sites)
    if len(sizes) < 2:
        raise StudyError(
            "A data set is divided into two hospitals or more",
            found=f"{len(sizes)} in [[simulation.hospitals]]",
            mend="name them in the study, or use --hospitals K",
        )
    if how.by == "iid":
        return division.divide_evenly(records, tuple(sizes), seed=how.seed)
    if how.by == "size":
        return division.divide_by_size(records, sizes, seed=how.seed)
    if how.by == "dirichlet":
        return division.divide_by_dirichlet(records, tuple(sizes), alpha=how.alpha, seed=how.seed)
    wanted = {hospital.name: hospital.positive_share for hospital in how.hospitals if hospital.positive_share is not None}
    if len(wanted) != len(sizes):
        raise StudyError('by = "label" needs positive_share for every hospital', mend="add positive_share to each")
    return division.divide_by_label(records, sizes, wanted, seed=how.seed)


def divided(study: Study, how: SimulationSection, source: str | Path | None, folder: Path) -> Hospitals:
    """Reads a data set (by path, or by the study's data.dataset) and divides it."""
    records, sites = read_whole(study, source)
    return given(divide(records, sites, how), folder)


def read_whole(study: Study, source: str | Path | None) -> tuple[Records, NDArray[np.str_] | None]:
    """All records that may be trained on, and the hospital that each names, if any."""
    from wardround.sources import load_dataset, open_source

    if source is not None:
        return open_source(source, study.data).load_with_sites()
    if study.data.dataset is None:
        raise StudyError(
            "The study names no data to divide",
            mend="give each hospital its data with --site NAME=PATH, one data set with --data PATH, or set data.dataset",
        )
    loaded = load_dataset(study.data.dataset, study.data)
    return loaded.records, loaded.sites


def external_records(study: Study, study_folder: Path) -> Records | None:
    """The records of the study's external test set; they are in no hospital."""
    external = study.evaluation.external
    if external is None:
        return None
    from wardround.sources import load_dataset, open_source

    if external.dataset is not None:
        found = load_dataset(external.dataset, study.data).external
        if found is None:
            raise StudyError(
                f"The data set {external.dataset} has no test split that its publisher set apart",
                mend="name a path under [evaluation.external], or remove the section",
            )
        return found
    place = study_folder / (external.path or "")
    if external.split == "all":
        return open_source(place, study.data).load()
    splits = study.data.splits.model_copy(update={"declared": True})
    return open_source(place, study.data, splits=splits).load().where(external.split)
