"""Which patients take part in one private step, and with which of their records.

Poisson sampling: each patient of the site is drawn on its own, with the study's public rate, by the site's secret generator. The
accounting holds for this and for nothing else: batches of fixed size, or reading the patients in turns, cost several times more
than an accountant of Poisson sampling says (Chua et al., "How private are DP-SGD implementations?", ICML 2024).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.secret_draws import SecretDraws


@dataclass(frozen=True)
class Drawn:
    """rows: positions of records, those of one patient next to each other. counts: (patients drawn,), how many rows each has."""

    rows: NDArray[np.intp]
    counts: NDArray[np.intp]


class PatientRows:
    """The records of a site by patient. patients: (n,) whose each record is."""

    def __init__(self, patients: NDArray[np.str_]) -> None:
        _, patient_index, counts = np.unique(patients, return_inverse=True, return_counts=True)
        self._rows = np.argsort(patient_index, kind="stable")
        self._counts = counts.astype(np.intp)
        self._starts = np.cumsum(self._counts) - self._counts

    @property
    def patients(self) -> int:
        return len(self._counts)

    def draw(self, rate: float, most: int | None, views: int, secret: SecretDraws) -> Drawn:
        """Patients chosen with chance `rate`; of each, all records or `most` of them, none twice; each record `views` times."""
        chosen = np.flatnonzero(secret.chosen(self.patients, rate))
        counts = self._counts[chosen]
        rows = self._all_rows(chosen)
        if most is not None and (counts > most).any():
            rows, counts = self._some(rows, counts, most, secret)
        return Drawn(np.repeat(rows, views), counts * views)

    def _all_rows(self, chosen: NDArray[np.intp]) -> NDArray[np.intp]:
        counts = self._counts[chosen]
        first = np.repeat(self._starts[chosen] - (np.cumsum(counts) - counts), counts)
        return self._rows[first + np.arange(len(first))]

    @staticmethod
    def _some(
        rows: NDArray[np.intp], counts: NDArray[np.intp], most: int, secret: SecretDraws
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """In each patient's rows a random order; the first `most` of it stay."""
        owner = np.repeat(np.arange(len(counts)), counts)
        order = np.lexsort((secret.words(len(rows)), owner))
        rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows[order][rank < most], np.minimum(counts, most)
