"""One patient more or less, through the real trainer and words: the integers move by what the accounting says, at most."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wardround.algorithms.quantities import BatchGradient
from wardround.privacy.gaussian_mechanism import NoisedFrame, protect_noised
from wardround.privacy.noise_grid import narrowest
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.training.inputs import shape_of
from wardround.training.model_tree import initial_tree
from wardround.training.per_patient.contributions import Outer
from wardround.training.per_patient.private_loop import PrivateTrainer
from wardround.values.contribution import Contribution
from wardround.values.local_run import RecordSum
from wardround.values.records import Records
from wardround.values.tree import Tree, flatten, shapes_of

from .binary_head import binary_head
from .conftest import make_images, make_table

NETWORKS = {
    "logistic": NetworkSection(name="logistic"),
    "mlp": NetworkSection(name="mlp", hidden=(6, 5)),
    "small_cnn": NetworkSection(name="small_cnn", width=8, blocks=(1,)),
}
CLIP = 0.05  # below nearly every gradient's length, so that the bound is met and not only kept


@cache
def records_of(network: str) -> Records:
    """12 patients with 1 to 4 records each, apart from one another in the file."""
    made = make_images(30, 12) if network == "small_cnn" else make_table(30)
    owners = np.random.Generator(np.random.Philox(5)).permutation(np.repeat(np.arange(12), [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]))
    return replace(made, patients=np.array([f"p{owner:02d}" for owner in owners]))


@cache
def model_of(network: str, seed: int) -> Tree:
    tree = initial_tree(NETWORKS[network], shape_of(records_of(network)), 1)
    rng = np.random.Generator(np.random.Philox(seed))
    return {name: array + rng.normal(0, 0.3, array.shape).astype(np.float32) for name, array in tree.items()}


def gradient(network: str, model: Tree, records: Records, *, views: int = 1, clip: float = CLIP) -> RecordSum:
    how = PrivacySection(
        mode="patient-distributed", delta=1e-3, noise_multiplier=1.0, clip_norm=clip, public_patients=12, views=views
    )
    trainer = PrivateTrainer(
        NETWORKS[network], TrainingSection(), how, shape_of(records), records, binary_head(),
        patients=12, noise=lambda sums: sums, round_number=1, rounds=1, device="cpu", threads=1,
    )  # fmt: skip
    return trainer.compute(BatchGradient(model))


def frame_of(found: RecordSum, noise: float) -> NoisedFrame:
    size = flatten(found.sums).size
    noise_grid = narrowest(clip_norm=CLIP, multiplier=noise, size=size, capacity=48.0, sites=3, honest=2)
    return NoisedFrame("gradient", shapes_of(found.sums), noise_grid, 12, shortens=False)


def moved(one: RecordSum, other: RecordSum, frame: NoisedFrame) -> float:
    """The Euclidean distance of two sums' words, in levels."""
    words = [protect_noised(Contribution({"gradient": found.sums}, 12), {}, frame)[frame.words] for found in (one, other)]
    apart: NDArray[np.int64] = (words[0] - words[1]).view(np.int32 if frame.noise_grid.bits == 32 else np.int64)
    return float(np.linalg.norm(apart.astype(np.float64)))


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("noise", [0.0, 2.0])
@settings(max_examples=12)
@given(seed=st.integers(0, 5), patient=st.integers(0, 11), views=st.sampled_from([1, 3]))
def test_one_patient_moves_the_words_by_the_sensitivity_at_most(
    network: str, noise: float, seed: int, patient: int, views: int
) -> None:
    """The number that every epsilon rests on. (Noise that is drawn is left out; the grid is that of the noise.)"""
    records, model = records_of(network), model_of(network, seed)
    kept = records.select(np.flatnonzero(records.patients != f"p{patient:02d}"))
    everyone, others = (gradient(network, model, some, views=views) for some in (records, kept))
    frame = frame_of(everyone, noise)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("wardround.privacy.noise_grid.draw", lambda size: np.zeros(size, np.int64))
        found = moved(everyone, others, frame)
    assert found <= frame.noise_grid.sensitivity
    assert found > 0.3 * (frame.noise_grid.sensitivity - 2 * np.sqrt(frame.noise_grid.size))  # or the test would prove nothing


@pytest.mark.parametrize("network", ["logistic", "mlp"])
@pytest.mark.parametrize("value", [np.float32(3e38), np.float32(np.inf), np.float32(np.nan)])
def test_a_patient_who_overflows_counts_zero_and_takes_nobody_along(network: str, value: np.float32) -> None:
    """A sum that became nothing for one patient would differ from that of the others by all of them."""
    records, model = records_of(network), model_of(network, 0)
    inputs = records.inputs.copy()
    place = int(np.flatnonzero(records.patients == "p03")[0])
    inputs[place] = value * np.array([1, -1, 1, -1, 1], np.float32)
    everyone = gradient(network, model, replace(records, inputs=inputs))
    others = gradient(network, model, records.select(np.flatnonzero(records.patients != "p03")))
    assert np.linalg.norm(flatten(everyone.sums) - flatten(others.sums)) <= CLIP


@pytest.mark.parametrize(
    ("clip", "slope", "steps"),
    [(1e-6, 1e18, np.arange(14.0, 19.0, 0.1)), (1e-5, 1.0, np.arange(16.0, 19.3, 0.1))],
    ids=["factors below the normal numbers", "squares that underflow"],
)
def test_a_model_crafted_for_the_limits_of_float32_gets_no_more_than_the_clip_norm(
    clip: float, slope: float, steps: NDArray[np.float64]
) -> None:
    """The coordinator chooses the model. Factors below float32's normal range are coarse, and one that is rounded up would let
    nearly twice the clip norm through; a length whose square underflows would not be clipped at all."""
    records = records_of("mlp").select(np.arange(1))
    records = replace(records, inputs=np.ones_like(records.inputs), labels=np.zeros_like(records.labels))
    model = {name: np.zeros_like(array) for name, array in model_of("mlp", 0).items()}
    model["hidden.2.bias"][:2] = 1.0
    model["head.weight"][0, :2] = slope, -slope
    model["head.bias"][0] = 0.0 if slope > 1 else -52.0  # sure of the label: the gradients of the head are next to nothing
    lengths = []
    for power in steps:
        model["hidden.0.weight"][:, 0] = 10.0**power
        lengths.append(np.linalg.norm(flatten(gradient("mlp", model, records, clip=clip).sums)))
    assert max(lengths) <= clip


@pytest.mark.parametrize("width", [2, 64])
def test_what_cancels_in_float64_alone_is_clipped_all_the_same(width: int) -> None:
    """4097^2 - 16785408 - 1 = 0, but not in float32, where a sum over three places of a patient is taken: the remainder would
    leave unclipped, as long as the coordinator's model makes it."""
    outputs = torch.tensor([4097.0, -16785408.0, -1.0])[:, None].expand(3, width).mul(1024.0)
    inputs = torch.tensor([4097.0, 1.0, 1.0])[:, None].expand(3, width)
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        one = Outer(outputs[None, order].contiguous(), inputs[None, order].contiguous())
        assert one.weighted_sum(torch.ones(1)).norm() <= one.squared_norms().sqrt()


def test_private_steps_are_taken_on_the_processor_whatever_else_a_hospital_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PatientGradients` knows no other device; a hospital with a graphics card would fail in its first step."""
    expected = gradient("mlp", model_of("mlp", 0), records_of("mlp"))
    monkeypatch.setattr("wardround.training.per_patient.private_loop.resolve", lambda device: torch.device("meta"))  # noqa: ARG005
    found = gradient("mlp", model_of("mlp", 0), records_of("mlp"))
    assert flatten(found.sums).tobytes() == flatten(expected.sums).tobytes()
