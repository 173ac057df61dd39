"""Patients who withdrew: a hospital's list of keyed hashes, which every study of the hospital leaves out.

    wardround site data exclude, wardround clinic withdraw --> excluded.json (hashes), excluded.key     in WARDROUND_HOME
    records that a source names --hash of the identifier--> on the list: not used, and counted

An identifier is compared as it may be spelled (`patient_words.folded`): whoever withdrew as P001 is left out as p1. Another
patient whose identifier differs by no more is left out as well, which is the smaller wrong. A DICOM file's patient is compared by
the pseudonym that reading gives it, so by the identifier as it stands in the header.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.sources.dicom.reading import pseudonym, site_salt
from wardround.sources.patient_words import folded
from wardround.sources.read_result import Problem, ReadResult, part_of
from wardround.values.canonical import canonical_json
from wardround.values.durable import kept_secret, write_atomic
from wardround.values.errors import DataError, RunError
from wardround.values.home import default_home
from wardround.values.private_files import private_lock, read_private

_LONGEST = 1 << 26
_KEY_BYTES = 32
_CODE = "patient-withdrew"


@dataclass(frozen=True)
class ExcludedPatients:
    """The list in a file; its key lies beside it. RunError where the key is not the one that the list was made with."""

    path: Path

    @classmethod
    def of_user(cls) -> "ExcludedPatients":
        """This user's list, which need not be there."""
        return cls(default_home() / "excluded.json")

    def add(self, patient: str) -> bool:
        """Puts a patient on the list, durably. False where she is on it. DataError for an identifier that names nobody."""
        if not patient.strip():
            raise DataError("This names no patient", expected="an identifier as it stands in the hospital's data")
        key = self._key
        new = {_hash(key, spelling) for spelling in spellings_of(patient)}
        with private_lock(self.path.with_name(f"{self.path.name}.lock")):
            hashes = self._hashes()
            if new <= hashes:
                return False
            content = {"format": 1, "key": _hash(key, "\0key"), "patients": sorted(hashes | new)}
            write_atomic(self.path, canonical_json(content), private=True)
        return True

    def among(self, patients: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Which of these identifiers (n,) are on the list."""
        hashes = self._hashes()
        if not hashes or not len(patients):
            return np.zeros(len(patients), bool)
        key = self._key
        gone = {word: _hash(key, folded(word)) in hashes or _hash(key, word) in hashes for word in set(patients.tolist())}
        return np.array([gone[word] for word in patients.tolist()], bool)

    def leave_out(self, read_result: ReadResult) -> ReadResult:
        """Without the records of those on the list, which are counted in a note."""
        gone = self.among(read_result.patients) & read_result.identified
        if not gone.any():
            return read_result
        text, hint = (
            "Records of patients who withdrew are not used",
            "nothing, unless nobody withdrew from this hospital's studies",
        )
        note = Problem("note", _CODE, text, hint, int(gone.sum()))
        kept = part_of(read_result, ~gone)
        return replace(kept, problems=(*kept.problems, note))

    @cached_property
    def _key(self) -> bytes:
        return kept_secret(self.path.with_suffix(".key"), _KEY_BYTES + 1, lambda: secrets.token_bytes(_KEY_BYTES))

    def _hashes(self) -> set[str]:
        content = read_private(self.path, _LONGEST)
        if content is None:
            return set()
        try:
            written = json.loads(content)
            hashes, check = set(written["patients"]), written["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._unusable("no list that can be read") from error
        if check != _hash(self._key, "\0key"):
            raise self._unusable("a list that was made with another key")
        return hashes

    def _unusable(self, fault: str) -> RunError:
        return RunError(
            f"The list of patients who withdrew, {self.path}, cannot be used, so nothing is read",
            expected="the list and its key as this hospital wrote them",
            found=fault,
            hint="bring both back from a backup",
        )


def spellings_of(patient: str) -> frozenset[str]:
    """What an identifier may be in a source: folded, and as reading writes it for a DICOM file."""
    word = patient.strip()
    return frozenset({folded(word), *(pseudonym(spelling, site_salt()) for spelling in (word, folded(word)))})


def spelled_so(patients: NDArray[np.str_], spellings: frozenset[str]) -> NDArray[np.bool_]:
    """Which identifiers (n,) of a source are one of the spellings."""
    return np.array([folded(word) in spellings or word in spellings for word in patients.tolist()], bool)


def _hash(key: bytes, word: str) -> str:
    return hmac.new(key, word.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
