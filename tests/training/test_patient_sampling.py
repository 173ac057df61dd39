"""Patients are drawn, never records: whoever is drawn comes with all (or a stated number) of their records."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wardround.crypto.secret_draws import SecretDraws
from wardround.training.per_patient.patient_sampling import PatientRows

owners = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40).map(lambda names: np.array(names, np.str_))
SECRET = SecretDraws()


@given(owners, st.sampled_from([0.2, 0.5, 1.0]), st.sampled_from([None, 1, 2, 5]), st.integers(1, 3))
def test_a_drawn_patient_comes_with_rows_of_their_own_only(
    patients: np.ndarray, rate: float, most: int | None, views: int
) -> None:
    """A row under another patient's count would be clipped with the wrong gradient: the sensitivity would be false."""
    drawn = PatientRows(patients).draw(rate, most, views, SECRET)
    assert drawn.counts.sum() == len(drawn.rows)
    seen = []
    for rows in np.split(drawn.rows, np.cumsum(drawn.counts)[:-1]) if len(drawn.counts) else []:
        (owner,) = set(patients[rows])
        held = int((patients == owner).sum())
        expected = held if most is None else min(held, most)
        assert len(set(rows)) == expected and len(rows) == expected * views
        seen.append(owner)
    assert len(seen) == len(set(seen))
    if rate == 1.0:
        assert set(seen) == set(patients)


@given(owners)
def test_patients_are_counted_once(patients: np.ndarray) -> None:
    """The unit of the guarantee."""
    assert PatientRows(patients).patients == len(set(patients))


def test_records_of_a_patient_are_drawn_evenly() -> None:
    """The first picture of a patient must not be the only one that is ever seen. False alarm: 7 deviations."""
    patients, n = PatientRows(np.array(["a"] * 4)), 4_000
    counts = np.zeros(4)
    for _ in range(n):
        counts[patients.draw(1.0, 1, 1, SECRET).rows] += 1
    assert (abs(counts - n / 4) <= 7 * (n * 0.25 * 0.75) ** 0.5).all()
