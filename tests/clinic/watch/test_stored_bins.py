"""What the desk keeps of a case for the counts: its bins, and nothing of which a film or a value could be made again."""

import json
from pathlib import Path

from sqlalchemy import select

from tests.clinic.dicom_files import dicom, film_pixels
from tests.clinic.made_clinics import film_clinic, table_clinic
from wardround.clinic.intake.desk import Desk, Sender, submit
from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.store.tables import figures

REST = Sender("rest", "pacs")


def stored(store: Store) -> list[dict[str, int]]:
    with store.reading() as connection:
        return [json.loads(bins) for bins in connection.execute(select(figures.c.bins)).scalars()]


def test_a_film_is_kept_as_three_bins(tmp_path: Path) -> None:
    """In the transaction of its answer."""
    clinic = film_clinic(tmp_path / "clinic")
    with Store(sqlite_url(clinic.path / "clinic.db")) as store, Desk(clinic, store, processes=1) as desk:
        for future in [desk.later(dicom(film_pixels(side), BitsStored=12), REST) for side in (64, 300, 64)]:
            future.result()
        found = stored(store)
    assert sorted(one["size"] for one in found) == [0, 0, 1] and all(
        one.keys() == {"brightness", "contrast", "size"} for one in found
    )


def test_a_row_is_kept_as_a_bin_a_column(tmp_path: Path) -> None:
    """With the missing one in its own."""
    clinic = table_clinic(tmp_path / "clinic")
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        submit(clinic, store, {"age": 70, "sex": "m", "smoker": 1, "pressure": None, "patient": "P1"}, REST)
        assert stored(store) == [{"column age": 7, "column sex": 1, "column smoker": 1, "column pressure": 10}]
