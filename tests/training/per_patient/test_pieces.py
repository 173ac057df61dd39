"""Cutting a batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wardround.training.per_patient.clipping import MOST_PATIENTS, MOST_ROWS
from wardround.training.per_patient.pieces import cut, require_counts

COUNTS = st.lists(st.integers(1, 9), max_size=60)


@given(COUNTS, st.integers(1, 20))
def test_every_patient_is_in_one_piece_with_all_its_rows(counts: list[int], most_rows: int) -> None:
    """A patient in two pieces would be clipped twice, one in none would be lost."""
    starts = np.cumsum(counts) - counts
    pieces = cut(counts, most_rows)
    seen = [int(patient) for piece in pieces for patient in piece.patients]
    assert sorted(seen) == list(range(len(counts)))
    for piece in pieces:
        rows = piece.rows.reshape(piece.slots, piece.each)
        for patient, own in zip(piece.patients, rows, strict=False):
            assert own.tolist() == list(range(starts[patient], starts[patient] + counts[patient]))
        assert (rows[len(piece.patients) :] == rows[len(piece.patients) - 1]).all()


@given(COUNTS, st.integers(1, 20))
def test_pieces_of_one_number_of_rows_have_one_size(counts: list[int], most_rows: int) -> None:
    """It depends on the patients' own number of rows, never on how many others there are."""
    for piece in cut(counts, most_rows):
        assert piece.slots == max(1, most_rows // piece.each) and len(piece.rows) == piece.slots * piece.each


@given(COUNTS.filter(bool), st.integers(1, 20), st.integers(0, 5))
def test_a_piece_without_some_has_the_others(counts: list[int], most_rows: int, place: int) -> None:
    """Patients who are not finite are left out, and nobody else."""
    for piece in cut(counts, most_rows):
        left_out = np.arange(len(piece.patients)) == place
        if left_out.all():
            continue
        rest = piece.without(left_out)
        assert rest.slots == piece.slots and rest.patients.tolist() == piece.patients[~left_out].tolist()
        assert rest.rows.reshape(rest.slots, -1)[: len(rest.patients)].tolist() == (
            piece.rows.reshape(piece.slots, -1)[: len(piece.patients)][~left_out].tolist()
        )


def test_a_piece_lies_in_memory_of_its_own() -> None:
    """A view lies where other patients put it, and kernels are chosen by alignment: one patient more would change everybody's."""
    rows = torch.arange(12.0)
    together, apart = cut([1] * 12, 4)[1], cut([1, 2, 1], 2)[0]
    assert together.of(rows).data_ptr() % 64 == 0 and together.of(rows).data_ptr() != rows[4:].data_ptr()
    assert together.of(rows).tolist() == [4.0, 5.0, 6.0, 7.0] and apart.of(rows).tolist() == [0.0, 3.0]


def test_more_patients_than_the_bound_holds_for_are_refused() -> None:
    """Their roundings together could be longer than what is kept free for them."""
    require_counts(np.ones(MOST_PATIENTS, np.intp), MOST_PATIENTS)
    with pytest.raises(ValueError, match="proved for up to 2,097,152 patients"):
        require_counts(np.ones(MOST_PATIENTS + 1, np.intp), MOST_PATIENTS + 1)
    with pytest.raises(ValueError, match="8,589,934,592 rows"):
        require_counts([MOST_ROWS + 1], MOST_ROWS + 1)
