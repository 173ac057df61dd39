"""What does not look like the hospital's own cases: laws of the distance, and real films of other kinds."""

import os
from pathlib import Path

import numpy as np
import pytest

from wardround.clinic.answering.unusual import FEWEST, UnusualReference, fit_reference
from wardround.clinic.answering.views import thumbnail, views
from wardround.values.errors import RunError

DATA = Path(os.environ.get("WARDROUND_DATA", ""))
NOTHING = np.zeros((0, 0), np.float32)


def empty(films: np.ndarray) -> np.ndarray:
    return np.zeros((len(films), 0), np.float32)


def chests(n: int, seed: int = 0) -> np.ndarray:
    """Two dark ovals on a bright ground, a little otherwise in each film."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:64] / 64
    films = []
    for _ in range(n):
        left, right, size = 0.3 + rng.normal(0, 0.02), 0.7 + rng.normal(0, 0.02), 0.15 + rng.normal(0, 0.01)
        ovals = sum(np.exp(-(((x - c) / size) ** 2 + ((y - 0.5) / 0.28) ** 2)) for c in (left, right))
        films.append(0.75 + 0.1 * rng.normal() - 0.5 * ovals + 0.01 * rng.normal(size=(64, 64)) - 0.2 * y)
    return np.clip(np.stack(films), 0, 1)[:, None].astype(np.float32)


@pytest.mark.slow
def test_own_cases_lie_within_the_limit_and_others_beyond() -> None:
    """New films of the same kind must not be called odd more often than was asked for."""
    own, fresh = chests(200), chests(300, seed=1)
    fitted = fit_reference(own, empty(own), np.arange(200) % 10)
    limit = fitted.limit(0.05)
    assert (fitted.reference.scores(fresh, empty(fresh)) > limit).mean() < 0.12
    for name, odd in {
        "inverted": 1 - fresh,
        "upside down": fresh[:, :, ::-1],
        "on the side": fresh.transpose(0, 1, 3, 2),
        "noise": np.random.default_rng(2).random((300, 1, 64, 64), np.float32),
        "black": np.zeros((3, 1, 64, 64), np.float32),
        "cut": np.repeat(np.repeat(fresh[:, :, 16:48, 16:48], 2, axis=2), 2, axis=3),
    }.items():
        scores = fitted.reference.scores(np.ascontiguousarray(odd), empty(odd))
        assert np.isfinite(scores).all() and (scores > limit).mean() > 0.95, name


@pytest.mark.slow
def test_the_reference_from_a_file_says_the_same(tmp_path: Path) -> None:
    """What was tested is what serves; a part that was lost is found out."""
    own = chests(60)
    fitted = fit_reference(own, empty(own), np.arange(60) % 10)
    sha256 = fitted.reference.keep(tmp_path)
    kept = UnusualReference.at(tmp_path, sha256)
    assert np.array_equal(kept.scores(own, empty(own)), fitted.reference.scores(own, empty(own)))
    (tmp_path / f"{sha256}.safetensors").rename(tmp_path / f"{'0' * 64}.safetensors")
    for name in (sha256, "0" * 64):
        with pytest.raises(RunError):
            UnusualReference.at(tmp_path, name)


def test_no_case_stands_in_the_reference() -> None:
    """It lies in a folder of years; a film in it would be one that nobody may keep."""
    own = chests(300)
    fitted = fit_reference(own, empty(own), np.arange(300) % 10)
    for view, vectors in views(own, empty(own)).items():
        for name, array in fitted.reference.arrays.items():
            rows = array if array.ndim == 2 and array.shape[1] == vectors.shape[1] else array.T
            if name.startswith(view) and rows.ndim == 2 and rows.shape[1] == vectors.shape[1]:
                unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                length = np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12
                assert np.abs((rows / length)[1:] @ unit.T).max() < 0.995


def test_with_few_cases_nothing_is_said() -> None:
    """A covariance of ten films would call every new one odd."""
    few = chests(FEWEST - 1)
    assert fit_reference(few, empty(few), np.arange(len(few)) % 10) is None
    alike = np.repeat(chests(1), 30, axis=0)
    scores = fit_reference(alike, empty(alike), np.arange(30) % 10).reference.scores(alike, empty(alike))
    assert np.isfinite(scores).all()


def test_more_numbers_than_cases_are_no_trouble() -> None:
    """An embedding of 1,280 numbers and 60 cases: the directions that no case showed count as alike."""
    rng = np.random.default_rng(4)
    hidden = rng.normal(size=(3, 1280))
    embedding = (rng.normal(size=(400, 3)) @ hidden + 0.1 * rng.normal(size=(400, 1280))).astype(np.float32)
    inputs = rng.normal(size=(400, 5)).astype(np.float32)
    fitted = fit_reference(inputs[:60], embedding[:60], np.arange(60) % 10)
    assert max(array.size for array in fitted.reference.arrays.values()) <= 1280 * 60
    away = embedding[200:] + rng.normal(size=(200, 1280)).astype(np.float32)
    near = fitted.reference.scores(inputs[60:200], embedding[60:200])
    assert np.median(fitted.reference.scores(inputs[200:], away)) > np.quantile(near, 0.95)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (64, 64), (224, 224), (100, 37)])
def test_views_take_films_of_any_size(size: tuple[int, int]) -> None:
    """Contracts go from 8 to 4096 pixels a side."""
    films = np.random.default_rng(0).random((5, 3, *size), np.float32)
    parts = views(films, empty(films))
    assert set(parts) == {"picture", "edges", "waves"}
    assert all(np.isfinite(vectors).all() and len(vectors) == 5 for vectors in parts.values())
    small = thumbnail(np.asarray(films.mean(axis=1), np.float64), 4)
    assert np.allclose(small.shape, (5, 4, 4)) and np.allclose(thumbnail(np.ones((2, *size)), 5), 1.0)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "kermany_cxr").is_dir(), reason="set WARDROUND_DATA to a folder with kermany_cxr and breastmnist")
def test_real_films_of_other_kinds_are_noticed_without_any_network() -> None:
    """Three views alone, 100 films of children: inverted, turned and ultrasound films stand apart."""
    with np.load(DATA / "kermany_cxr/kermany_cxr_64.npz") as file:
        films = (file["val_images"], file["test_images"])[1].astype(np.float32)[:, None] / 255
    order = np.random.default_rng(0).permutation(len(films))
    own, fresh = films[order[:100]], films[order[100:300]]
    reference = fit_reference(own, empty(own), np.arange(100) % 10).reference
    usual = np.sort(reference.scores(fresh, empty(fresh)))
    with np.load(DATA / "breastmnist/breastmnist.npz") as file:
        ultrasound = np.kron(file["test_images"], np.ones((1, 2, 2)))[:, None].astype(np.float32) / 255
    odd = {"inverted": 1 - fresh, "turned": np.ascontiguousarray(fresh[:, :, ::-1, ::-1]), "ultrasound": ultrasound}
    for name, some in odd.items():
        below = np.searchsorted(usual, reference.scores(some, empty(some))) / len(usual)
        assert below.mean() > 0.95, name
