"""The drawn hospitals of the demo: repeatable, split by patient, learnable from shape but not from brightness."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from wardround.sources.synthetic.hospitals import (
    DEMO_HOSPITALS,
    SYNTHETIC_NOTICE,
    ScannerName,
    demo_hospitals,
    larger_hospitals,
    split_patients,
    synthetic_hospital,
)
from wardround.values.records import Records

SCANNER_NAMES: tuple[ScannerName, ...] = ("north", "harbour", "valley")


@pytest.fixture(scope="module")
def demo() -> dict[str, Records]:
    return demo_hospitals(11)


@pytest.fixture(scope="module")
def larger() -> dict[str, Records]:
    """Enough patients to tell what chance does not."""
    return larger_hospitals(11)


def separation(labels: NDArray[np.int8], score: NDArray[np.float64]) -> float:
    auc = float(roc_auc_score(labels, score))
    return max(auc, 1.0 - auc)


def test_the_same_seed_draws_the_same_bytes() -> None:
    """Why: a demo that cannot be repeated proves nothing."""
    first, second = (synthetic_hospital("valley", patients=30, prevalence=0.5, seed=5) for _ in range(2))
    assert first.inputs.tobytes() == second.inputs.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()
    assert first.patients.tolist() == second.patients.tolist()


def test_another_seed_draws_other_patients() -> None:
    """Why: five seeds must be five experiments."""
    first, second = (synthetic_hospital("valley", patients=5, prevalence=0.5, seed=seed) for seed in (5, 6))
    assert not any(np.array_equal(a, b) for a in first.inputs for b in second.inputs)


def test_a_patient_does_not_change_when_more_patients_are_drawn() -> None:
    """Why: pictures depend on seed, hospital and number, never on how the work is cut into batches."""
    few, many = (synthetic_hospital("north", patients=n, prevalence=0.4, seed=2) for n in (7, 45))
    assert many.inputs[: len(few)].tobytes() == few.inputs.tobytes()
    assert many.labels[: len(few)].tolist() == few.labels.tolist()


def test_hospitals_do_not_share_patients() -> None:
    """Why: the demo's hospitals stand for separate populations."""
    north, harbour = (synthetic_hospital(name, patients=4, prevalence=0.5, seed=1) for name in ("north", "harbour"))
    assert not set(north.patients) & set(harbour.patients)
    assert north.patients[0] == "north-0001"


@pytest.mark.parametrize("size", [32, 64, 128])
def test_pictures_are_bytes_of_the_size_asked_for(size: int) -> None:
    """Why: networks and contracts read raw 8-bit pixels."""
    records = synthetic_hospital("harbour", patients=3, prevalence=0.5, seed=1, size=size)
    assert records.inputs.dtype == np.uint8
    assert records.inputs.shape == (len(records), size, size)
    assert records.labels.dtype == np.int8
    assert int(records.inputs.max()) - int(records.inputs.min()) > 100


def test_a_larger_picture_shows_the_same_patient() -> None:
    """Why: the size is how finely one looks, not another draw."""
    small, large = (synthetic_hospital("north", patients=12, prevalence=0.5, seed=3, size=size) for size in (48, 96))
    assert small.patients.tolist() == large.patients.tolist()
    halved = large.inputs.reshape(len(large), 48, 2, 48, 2).mean(axis=(2, 4))
    for a, b in zip(small.inputs, halved, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


def test_one_or_two_images_a_patient_with_one_label() -> None:
    """Why: patients, not images, are what splits and privacy count."""
    records = synthetic_hospital("north", patients=60, prevalence=0.5, seed=8)
    names, counts = np.unique(records.patients, return_counts=True)
    assert len(names) == 60
    assert set(counts) == {1, 2}
    assert all(len(set(records.labels[records.patients == name])) == 1 for name in names)


@pytest.mark.parametrize("prevalence", [0.0, 0.25, 0.6, 1.0])
def test_the_share_of_ill_patients_is_the_prevalence(prevalence: float) -> None:
    """Why: uneven hospitals must be as uneven as they are said to be."""
    records = synthetic_hospital("valley", patients=80, prevalence=prevalence, seed=4, size=16)
    _, first = np.unique(records.patients, return_index=True)
    assert abs(records.labels[first].mean() - prevalence) <= 0.03


def test_no_patient_is_in_two_splits_and_every_split_has_both_labels(demo: dict[str, Records]) -> None:
    """Why: a patient seen in training would flatter the test."""
    for records in demo.values():
        splits = {split: records.where(split) for split in ("train", "validation", "test")}
        assert sum(part.patient_count for part in splits.values()) == records.patient_count
        assert all(set(part.labels) == {0, 1} for part in splits.values())
        assert splits["train"].patient_count == pytest.approx(0.5 * records.patient_count, abs=2)


def test_without_shares_everything_is_for_training() -> None:
    """Why: the helper that splits must not have been applied behind one's back."""
    records = synthetic_hospital("north", patients=9, prevalence=0.5, seed=1, size=16)
    assert set(records.splits) == {"train"}
    assert set(split_patients(records, (0.0, 0.0, 1.0), seed=1).splits) == {"test"}


@pytest.mark.parametrize("shares", [(0.5, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_shares_that_are_no_shares_are_refused(shares: tuple[float, float, float]) -> None:
    """Why: a split that loses patients silently is worse than none."""
    records = synthetic_hospital("north", patients=3, prevalence=0.5, seed=1, size=16)
    with pytest.raises(ValueError, match="sum to 1"):
        split_patients(records, shares, seed=1)


@pytest.mark.parametrize(("patients", "prevalence", "size"), [(0, 0.5, 64), (3, 1.1, 64), (3, 0.5, 8)])
def test_impossible_hospitals_are_refused(patients: int, prevalence: float, size: int) -> None:
    """Why: validated at construction, not in round 40."""
    with pytest.raises(ValueError, match="expected; got"):
        synthetic_hospital("north", patients=patients, prevalence=prevalence, seed=1, size=size)


def test_the_demo_has_three_uneven_hospitals(demo: dict[str, Records]) -> None:
    """Why: federation is for hospitals that differ in size and in patients."""
    assert tuple(demo) == SCANNER_NAMES
    assert [records.patient_count for records in demo.values()] == [h.patients for h in DEMO_HOSPITALS.values()]
    shares_ill = [float(records.labels.mean()) for records in demo.values()]
    assert shares_ill == sorted(shares_ill, reverse=True)
    assert shares_ill[0] - shares_ill[-1] > 0.2


@pytest.mark.slow
def test_each_scanner_leaves_its_own_hand(larger: dict[str, Records]) -> None:
    """Why: hospitals whose pictures look alike would need no federation. Grey, contrast and grain tell the scanner."""
    looks, hospital = [], []
    for name, records in larger.items():
        grey = records.inputs.astype(np.float64)
        grain = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2))
        looks.append(np.stack([grey.mean(axis=(1, 2)), grey.std(axis=(1, 2)), grain], axis=1))
        hospital += [name] * len(records)
    features = np.concatenate(looks)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    assert LogisticRegression().fit(features, hospital).score(features, hospital) > 0.85


def test_brightness_alone_does_not_give_the_label_away(larger: dict[str, Records]) -> None:
    """Why: a task that a light meter solves teaches nothing about federated learning."""
    for records in larger.values():
        assert separation(records.labels, records.inputs.mean(axis=(1, 2))) < 0.65


def test_a_linear_model_beats_chance_but_stays_limited(larger: dict[str, Records]) -> None:
    """Why: there must be something to learn, and a network must be needed to learn it well."""

    def pixels(split: str) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        grey = np.concatenate([r.inputs[r.splits == split] for r in larger.values()]).reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
        flat = grey.reshape(len(grey), -1)
        flat = (flat - flat.mean(axis=1, keepdims=True)) / flat.std(axis=1, keepdims=True)
        return flat, np.concatenate([r.labels[r.splits == split] for r in larger.values()])

    model = LogisticRegression(C=1e-3, max_iter=500).fit(*pixels("train"))
    inputs, labels = pixels("test")
    assert 0.6 < roc_auc_score(labels, model.decision_function(inputs)) < 0.88


def test_the_notice_says_that_no_patient_stands_behind_the_pictures() -> None:
    """Why: nobody may take a demo model for a medical one."""
    assert "not taken from patients" in SYNTHETIC_NOTICE
    assert "must not be used" in SYNTHETIC_NOTICE
