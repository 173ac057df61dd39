"""Where a clinic's database is."""

from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.database import Store, sqlite_url


def store_url(clinic: ClinicPlace) -> str:
    """The database that the settings name; a file in the clinic's folder where they name none."""
    return clinic.settings.database or sqlite_url(clinic.path / "clinic.db")


def open_store(clinic: ClinicPlace) -> Store:
    """RunError where the database cannot be used."""
    return Store(store_url(clinic))
