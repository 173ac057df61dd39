"""The mean row of features that a study may sum first: its sensitivity, and what it does to the network's rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wardround.algorithms.quantities import FeatureMean, TrainedModel
from wardround.study.sections.backbone import BackboneSection
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.training.inputs import FEATURE_MEAN, InputShape
from wardround.training.local_descent import loaded
from wardround.training.loop import TorchTrainer
from wardround.training.model_tree import initial_tree
from wardround.training.per_patient.private_loop import PrivateTrainer
from wardround.values.errors import StudyError
from wardround.values.records import Records

from .binary_head import binary_head

SECTION = BackboneSection(average=(1, 2), maximum=(1,), feature_mean=True)
INPUTS = InputShape("table", features=SECTION.features)
NETWORK = NetworkSection(name="logistic", backbone=SECTION)
TREE = initial_tree(NETWORK, INPUTS, 0) | {"scaling.deviation": np.ones(SECTION.features, np.float32)}
CLIP = 0.25


def features(seed: int, owners: list[int], size: float = 1.0) -> Records:
    rng = np.random.default_rng(seed)
    inputs = (rng.gamma(2.0, size=(len(owners), SECTION.features)) * size).astype(np.float32)
    count = len(owners)
    return Records(inputs, np.zeros(count, np.int8), np.array([f"p{k}" for k in owners]), np.full(count, "train"))


def private_trainer(records: Records, privacy: PrivacySection) -> PrivateTrainer:
    training = TrainingSection(class_balance=False)
    return PrivateTrainer(
        NETWORK,
        training,
        privacy,
        INPUTS,
        records,
        binary_head(training),
        patients=10,
        noise=lambda sums: sums,
        round_number=1,
        rounds=2,
        device="cpu",
    )


def private_centre(records: Records) -> np.ndarray:
    privacy = PrivacySection(mode="patient-distributed", noise_multiplier=1.0, delta=1e-3, clip_norm=CLIP, public_patients=10)
    total = private_trainer(records, privacy).compute(FeatureMean(TREE))
    assert total.weight == 10
    assert not total.sums["head.weight"].any()
    return total.sums[FEATURE_MEAN]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=12), st.integers(0, 99), st.sampled_from([1e-12, 1.0, 1e6]))
def test_one_patient_more_or_less_changes_the_sum_by_at_most_the_clip_norm(owners: list[int], seed: int, size: float) -> None:
    """The whole of a patient's weight in the sum is what the noise is measured against, however many images there are."""
    records = features(seed, owners, size)
    rest = records.select(records.patients != f"p{owners[0]}")
    if len(rest):
        assert np.linalg.norm(private_centre(records) - private_centre(rest)) <= CLIP


def test_a_patient_whose_features_are_not_finite_counts_as_nothing() -> None:
    """It must not take the other patients' sum with it."""
    records = features(1, [0, 1, 2])
    broken = records.inputs.copy()
    broken[1] = np.nan
    with_it = private_centre(Records(broken, records.labels, records.patients, records.splits))
    assert with_it == pytest.approx(private_centre(records.select(np.array([0, 2]))))


def test_a_centre_takes_away_what_rows_have_in_common() -> None:
    """Otherwise it would be paid for and do nothing."""
    records = features(1, list(range(40)))
    trainer = TorchTrainer(
        NETWORK, TrainingSection(), INPUTS, records, binary_head(), seed=1, round_number=1, rounds=2, device="cpu", threads=1
    )
    found = trainer.compute(FeatureMean(TREE))
    centred = loaded(
        NETWORK, INPUTS, {**TREE, FEATURE_MEAN: (found.sums[FEATURE_MEAN] / found.weight).astype(np.float32)}, torch.device("cpu")
    )
    scaling, raw = centred.module.get_submodule("scaling"), torch.from_numpy(records.inputs)
    before, after = scaling.uncentred(raw), scaling(raw)  # type: ignore[operator]
    assert after.mean(0).norm() < 0.3 * before.mean(0).norm()
    torch.testing.assert_close(after.norm(dim=1), torch.ones(40))


def test_a_sum_that_nobody_would_noise_is_refused() -> None:
    """A new algorithm that states the wrong privacy mode must not send one clear sum."""
    local = PrivacySection(mode="patient-local", steps=1, noise_multiplier=1.0, delta=1e-3, public_patients=10)
    with pytest.raises(StudyError, match=r'FeatureMean is not private.*privacy\.mode = "patient-distributed"'):
        private_trainer(features(1, [0, 1]), local).compute(FeatureMean(TREE))
    shared = PrivacySection(mode="patient-distributed", noise_multiplier=1.0, delta=1e-3, public_patients=10)
    with pytest.raises(StudyError, match="TrainedModel is not private"):
        private_trainer(features(1, [0, 1]), shared).compute(TrainedModel(TREE))


def test_a_network_that_scales_no_features_has_no_centre() -> None:
    """Its rows have no bounded length, so no noise would be enough."""
    plain = NetworkSection(name="logistic")
    inputs = InputShape("table", features=3)
    records = Records(np.ones((2, 3), np.float32), np.zeros(2, np.int8), np.array(["a", "b"]), np.full(2, "train"))
    trainer = TorchTrainer(
        plain, TrainingSection(), inputs, records, binary_head(), seed=1, round_number=1, rounds=1, device="cpu", threads=1
    )
    with pytest.raises(StudyError, match="feature_mean"):
        trainer.compute(FeatureMean(initial_tree(plain, inputs, 0)))
