"""A folder of films: answered as they come, only read, and nothing twice."""

import os
from pathlib import Path

import pytest

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from tests.clinic.made_clinics import film_clinic
from wardround.clinic.intake.desk import Desk
from wardround.clinic.store.cases import latest_cases
from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.web.server import opened
from wardround.clinic.web.watched_folder import WatchedFolder
from wardround.values.errors import RunError


def film(seed: int) -> bytes:
    return dicom(film_pixels(seed=seed), BitsStored=12)


def test_films_are_answered_once_they_stay_as_they_are(tmp_path: Path) -> None:
    """A scanner writes slowly: a file that still grows is not read. What cannot be read is counted; nothing there changes."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(film(1))
    (folder / "note.txt").write_bytes(b"no film")
    (folder / ".hidden").write_bytes(film(2))
    (tmp_path / "outside.dcm").write_bytes(film(3))
    (folder / "link.dcm").symlink_to(tmp_path / "outside.dcm")
    os.mkfifo(folder / "pipe")
    clinic = film_clinic(tmp_path / "clinic")
    with Store(sqlite_url(clinic.path / "clinic.db")) as store, Desk(clinic, store, processes=1) as desk:
        watched = WatchedFolder(desk, folder)
        watched.look()
        assert latest_cases(store) == [] and watched.refused == 0
        watched.look()
        assert (
            len(latest_cases(store)) == 1
            and watched.refused == 1
            and watched.last == "Files have the name of an image and hold none"
        )
        (folder / "b.dcm").write_bytes(film(4)[:3000])
        watched.look()
        (folder / "b.dcm").write_bytes(film(4))
        watched.look()
        assert len(latest_cases(store)) == 1  # it grew between two looks
        watched.look()
        watched.look()
        rows = latest_cases(store)
        assert len(rows) == 2 and {row.source for row in rows} == {"folder"} and rows[0].patient == desk.pseudonym(NUMBER)
        again = WatchedFolder(desk, folder)
        again.look()
        again.look()
        assert len(latest_cases(store)) == 2
    assert sorted(path.name for path in folder.iterdir()) == [".hidden", "a.dcm", "b.dcm", "link.dcm", "note.txt", "pipe"]


def test_a_folder_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    """Not found out on the day when films are missing."""
    clinic = film_clinic(tmp_path / "clinic", watched_folder=str(tmp_path / "none"))
    with pytest.raises(RunError, match="no folder"), opened(clinic):
        pass
