"""Patients into train, validation and test.

The split of a patient is a pure function of the patient's id and a public salt, so it needs no list, no order and no talk
between hospitals, and it does not change when other patients come or go:

    u = sha256(salt, patient) / 2^256     u < test: test     u < test + validation: validation     else: train
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardround.study.contract import SplitsContract
from wardround.values.errors import DataError

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_named(word: str) -> str | None:
    """The split a folder or column value names; None where it names none.

    >>> split_named("Val"), split_named("lungs")
    ('validation', None)
    """
    return SPLIT_WORDS.get(word.strip().casefold())


def place_of(patient: str, salt: str) -> float:
    """A number in [0, 1), uniform over patients, that depends on the patient and the salt alone.

    >>> place_of("p1", "a") == place_of("p1", "a") != place_of("p1", "b")
    True
    """
    return float(places_of([patient], salt)[0])


def places_of(patients: Sequence[str], salt: str) -> NDArray[np.float64]:
    """`place_of` of each patient: its first 48 bits, exact."""
    copied = hashlib.sha256(f"{salt}\0".encode()).copy
    digests: list[bytes] = []
    for patient in patients:
        hashed = copied()
        hashed.update(patient.encode())
        digests.append(hashed.digest()[:6])
    parts = np.frombuffer(b"".join(digests), np.uint8).reshape(len(patients), 6)
    return np.asarray(parts @ np.array([256.0**power for power in range(5, -1, -1)]) / 2.0**48)


def split_of(patient: str, rules: SplitsContract) -> str:
    return str(_splits_at(places_of([patient], rules.salt), rules)[0])


def _splits_at(positions: NDArray[np.float64], rules: SplitsContract) -> NDArray[np.str_]:
    ends = (rules.test, rules.test + rules.validation)
    return np.array(("test", "validation", "train"), "<U10")[np.searchsorted(ends, positions, side="right")]


def distinct(names: NDArray[np.str_]) -> tuple[NDArray[np.str_], NDArray[np.intp]]:
    """The distinct names, and which of them each row holds. Of names in order, as records have them, without sorting again."""
    if len(names) > 1 and bool(np.all(names[:-1] <= names[1:])):
        begins = np.concatenate([[True], names[1:] != names[:-1]])
        return names[begins], np.cumsum(begins) - 1
    values, index = np.unique(names, return_inverse=True)
    return values, index.reshape(-1)


def split_patients(patients: NDArray[np.str_], declared: NDArray[np.str_]) -> int:
    """How many patients stand in more than one declared split."""
    pairs = {(patient, split) for patient, split in zip(patients.tolist(), declared.tolist(), strict=True) if split}
    return len(pairs) - len({patient for patient, _ in pairs})


def at_home(patients: NDArray[np.str_], sites: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether each record is at its patient's home: the hospital with most of the patient's records, the first by name among
    equals.

    >>> at_home(np.array(["p", "p", "p", "q"]), np.array(["n", "s", "s", "n"])).tolist()
    [False, True, True, True]
    """
    if not len(patients):
        return np.zeros(0, dtype=bool)
    names, which = np.unique(sites, return_inverse=True)
    owners, patient = np.unique(patients, return_inverse=True)
    counts = np.zeros((len(owners), len(names)), np.int64)
    np.add.at(counts, (patient, which), 1)
    return np.asarray(counts.argmax(axis=1)[patient] == which)


def assign_splits(
    patients: NDArray[np.str_], declared: NDArray[np.str_], rules: SplitsContract, groups: NDArray[np.str_] | None = None
) -> NDArray[np.str_]:
    """The split of every record (n,); all records of a patient are in one. groups: the larger units that the hash keeps together,
    each with all records of its patients, as the scaffolds of molecules.

    With `rules.declared` the source's own splits are kept; a patient in two of them, or a record in none, is a DataError. Where
    the source declares no validation split, the hash takes it from the train patients.
    """
    units = patients if groups is None else groups
    if not rules.declared:
        owners, index = distinct(units)
        return _splits_at(places_of(owners.tolist(), rules.salt), rules)[index]
    _check_declared(patients, declared)
    assigned = declared.astype("<U10")
    if not np.any(assigned == "validation"):
        owners, index = distinct(units)
        late = places_of(owners.tolist(), rules.salt) < rules.validation
        assigned[(assigned == "train") & late[index]] = "validation"
    return assigned


def _check_declared(patients: NDArray[np.str_], declared: NDArray[np.str_]) -> None:
    if bare := int(np.sum(declared == "")):
        raise DataError(
            "The contract honours declared splits, but records declare none",
            found=f"{bare} of {len(declared)} records",
            hint="add a split to every record, or set declared = false under [data.splits]",
        )
    if doubled := split_patients(patients, declared):
        raise DataError(
            "Patients stand in more than one declared split",
            found=f"{doubled} patients",
            hint="put all records of a patient in one split, or set declared = false under [data.splits] to split by patient",
        )
