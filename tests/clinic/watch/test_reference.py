"""The acceptance keeps what later cases are compared with: counts over public bins, of answers that no own case made."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clinic.made_cases import WEIGHTS, made_rows, write_rows
from tests.clinic.made_models import FILMS, film_model, linear_model
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.answering.public_bins import bin_numbers
from wardround.clinic.place.acceptance_record import WatchRecord, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings


def reference_of(folder: Path, content: bytes, data: Path) -> WatchRecord:
    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="St Anna"))
    (folder / "model.onnx").write_bytes(content)
    record = accept(clinic, candidates_of(clinic, str(folder / "model.onnx")), str(data), AcceptanceSettings())
    assert record.watch is not None and read_acceptance(clinic, record.id).watch == record.watch
    return record.watch


def test_every_case_is_counted_once_in_every_figure(tmp_path: Path) -> None:
    """And columns as a person would count them."""
    rows, _ = made_rows(200)
    watched = reference_of(tmp_path, linear_model(WEIGHTS, 0.0), write_rows(tmp_path / "cases.csv", rows))
    assert watched.cases == 200 and {sum(counts) for counts in watched.bins.values()} == {200}
    ages = np.minimum(np.array([float(row["age"]) for row in rows]) // 10, 9).astype(int)
    assert watched.bins["column age"] == tuple(np.bincount(ages, minlength=10))
    assert watched.bins["column sex"] == tuple(sum(row["sex"] == sex for row in rows) for sex in "fm")
    assert watched.unusual is not None and 0 < watched.unusual <= watched.cannot_tell < 200


@pytest.mark.slow
def test_films_are_counted_with_their_size(tmp_path: Path) -> None:
    """Before they were made smaller: another detector shows in it."""
    rng = np.random.default_rng(3)
    for label, level in (("0", 90), ("1", 170)):
        (tmp_path / "films" / label).mkdir(parents=True)
        for number in range(30):
            side = 300 if number % 3 else 40
            pixels = np.clip(rng.normal(level, 25, (side, side)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "films" / label / f"p{label}{number}_1.png")
    watched = reference_of(tmp_path, film_model(), tmp_path / "films")
    assert watched.bins.keys() == bin_numbers(FILMS).keys() and watched.bins["size"][:3] == (20, 40, 0)
