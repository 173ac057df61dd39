"""A patient withdraws: her cases are hidden, and neither they nor later ones become labels, counts or records of a study.

    1. excluded.json   every study of this hospital leaves her out     (durable first: what may not happen any more)
    2. database        her cases are marked, she herself for ever, a line of the audit, in one transaction
    3. films/          kept films of her cases are erased

Killed in between, the same command does the rest. What a model has learnt from her stays in the model, and is listed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from wardround.clinic.intake.pseudonyms import pseudonym_key, pseudonym_of
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.cases import withdraw
from wardround.clinic.store.database import Store
from wardround.clinic.store.tables import cases
from wardround.sources.excluded_patients import ExcludedPatients
from wardround.values.errors import DataError


@dataclass(frozen=True)
class Withdrawal:
    """pseudonym: under which her cases stand. cases: (case, model that answered it). again: whether she was on the list already.
    films: that were erased."""

    pseudonym: str
    cases: tuple[tuple[str, str], ...]
    again: bool
    films: int


@dataclass(frozen=True)
class Learnt:
    """One study that this hospital decided about with a data set. part: train, validation, test; "none" where she is not in the
    data; "unread" where nobody looked or the data cannot be read; "evaluation" where the study trains nothing. models: SHA-256 of
    those in the registry."""

    study: str
    title: str
    data_set: str
    part: str
    models: tuple[str, ...]


LearntFrom = Callable[[str, bool], tuple[Learnt, ...]]
"""Of a patient's identifier: the studies of this hospital that may have learnt from her. The second says whether their data are
read for it, which can take minutes. Whoever wires the clinic to the hospital's site gives it; WardroundError where it fails."""


def withdraw_patient(
    clinic: ClinicPlace, store: Store, patient: str, *, actor: str, excluded: ExcludedPatients | None = None
) -> Withdrawal:
    """Of the identifier as it stands in the hospital's records. DataError where it names nobody.

    excluded: the list of this hospital's studies; this user's unless another is named.
    """
    identifier = patient.strip()
    if not identifier:
        raise DataError("This names no patient", expected="an identifier as it stands in the hospital's records")
    added = (excluded or ExcludedPatients.of_user()).add(identifier)
    pseudonym = pseudonym_of(pseudonym_key(clinic), identifier)
    listed = withdraw(store, pseudonym, actor=actor)
    return Withdrawal(pseudonym, tuple(listed), not added, _erase_films(clinic, store, pseudonym))


def _erase_films(clinic: ClinicPlace, store: Store, pseudonym: str) -> int:
    with store.reading() as connection:
        names = connection.execute(select(cases.c.id).where(cases.c.patient == pseudonym)).scalars().all()
    return erase_films(clinic, names)


def erase_films(clinic: ClinicPlace, case_ids: Sequence[str]) -> int:
    """How many kept films of these cases were there, and are gone."""
    erased = 0
    for name in case_ids:
        path = clinic.path / "films" / f"{name}.npz"
        if path.exists():
            path.unlink()
            erased += 1
    return erased
