"""An optimiser that is kept from round to round: rounds of one hospital are one long training, bit for bit."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from wardround.algorithms.quantities import TrainedModel
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import AugmentationSection, TrainingSection
from wardround.training.inputs import InputShape, shape_of
from wardround.training.local_descent import descend
from wardround.training.loop import TorchTrainer
from wardround.training.model_tree import initial_tree, tree_of
from wardround.training.per_patient.private_loop import PrivateTrainer
from wardround.training.schedule import learning_rate, steps_in_round
from wardround.training.threads import PieceThreads
from wardround.training.updates import Descent, Gradients
from wardround.values.local_run import LocalRun
from wardround.values.records import Records
from wardround.values.tree import Tree, same_bits

from .binary_head import binary_head
from .conftest import make_images, make_table

ROUNDS = 3
SMALL = NetworkSection(name="small_cnn", width=8, blocks=(1, 1))
MLP = NetworkSection(name="mlp", hidden=(4,))
ADAMW = TrainingSection(
    batch_size=12, micro_batch=5, local_epochs=1.5, learning_rate=0.01, beta2=0.9, weight_decay=0.1, keep_optimizer=True,
    augmentation=AugmentationSection(shift=0.1, border="repeat", flip=0.5),
)  # fmt: skip
SGD = TrainingSection(batch_size=12, optimizer="sgd", learning_rate=0.1, momentum=0.9, keep_optimizer=True)
TRAININGS = [pytest.param(ADAMW, id="adamw"), pytest.param(SGD, id="sgd")]
CASES = [pytest.param(make_images(20), SMALL, id="images"), pytest.param(make_table(), MLP, id="table")]


def trainer(
    records: Records, network: NetworkSection, training: TrainingSection, number: int, moments: Tree | None = None
) -> TorchTrainer:
    head = binary_head(training, records.labels)
    names = {"seed": 5, "round_number": number, "rounds": ROUNDS}
    return TorchTrainer(network, training, shape_of(records), records, head, **names, device="cpu", threads=1, moments=moments)


def in_rounds(records: Records, network: NetworkSection, training: TrainingSection) -> LocalRun:
    """Each round from the model and the moments of the one before, as a hospital alone would."""
    model, moments = initial_tree(network, shape_of(records), 1), {}
    for number in range(1, ROUNDS + 1):
        run = trainer(records, network, training, number, moments).compute(TrainedModel(model))
        model, moments = run.model, run.moments
    return run


def uninterrupted(records: Records, network: NetworkSection, training: TrainingSection) -> tuple[Tree, Tree]:
    """All steps of all rounds as one descent: the model and the moments at its end."""
    trainers = [trainer(records, network, training, number) for number in range(1, ROUNDS + 1)]
    steps = steps_in_round(training, len(records))
    loaded = trainers[0].loaded(initial_tree(network, shape_of(records), 1))
    rates = [learning_rate(training, turn + (step + 0.5) / steps, ROUNDS) for turn in range(ROUNDS) for step in range(steps)]
    with PieceThreads(1) as threads:

        def gradient_of(step: int) -> tuple[Gradients, float]:
            return trainers[step // steps].mean_gradient(loaded, threads, step % steps, steps)

        done = descend(loaded, training, rates, gradient_of)
    return tree_of(loaded.module), done.moments


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize(("records", "network"), CASES)
def test_rounds_that_keep_their_optimiser_are_one_training(
    records: Records, network: NetworkSection, training: TrainingSection
) -> None:
    """The law of the setting: a hospital that is alone must not notice where its rounds end, to the last bit."""
    run = in_rounds(records, network, training)
    model, moments = uninterrupted(records, network, training)
    assert same_bits(run.model, model)
    assert same_bits(run.moments, moments)


@pytest.mark.parametrize("training", TRAININGS)
def test_without_the_setting_every_round_starts_anew(training: TrainingSection) -> None:
    """Studies of before must give the bits of before, and the setting must do something."""
    records = make_table()
    forgetting = training.changed(keep_optimizer=False)
    run = in_rounds(records, MLP, forgetting)
    assert run.moments == {}
    assert not same_bits(run.model, in_rounds(records, MLP, training).model)


@pytest.mark.parametrize("training", TRAININGS)
def test_moments_are_named_by_what_training_changes(training: TrainingSection) -> None:
    """They lie in a file for a whole study: names and shapes must be the parameters', and nothing else is kept."""
    run = in_rounds(make_images(20), SMALL, training)
    kinds = ("first", "second") if training.optimizer == "adamw" else ("first",)
    named = {f"{kind}.{name}": array.shape for kind, (name, array) in itertools.product(kinds, run.model.items())}
    assert {name: array.shape for name, array in run.moments.items() if name != "steps"} == named
    assert {array.dtype for array in run.moments.values()} == {np.dtype(np.float32)}
    if training.optimizer == "adamw":
        assert run.moments["steps"] == ROUNDS * steps_in_round(training, 20)


def test_moments_of_another_network_are_no_start() -> None:
    """Half of an optimiser would train without a word."""
    with pytest.raises(KeyError, match=r"second\.b"):
        Descent(ADAMW, ["a", "b"], [nn.Parameter(torch.zeros(2))] * 2, {"first.a": np.zeros(2), "first.b": np.zeros(2),
                "second.a": np.zeros(2), "steps": np.array(1.0)})  # fmt: skip


def test_adamw_is_the_papers_with_the_studys_own_second_decay() -> None:
    """Loshchilov and Hutter, Algorithm 2, line by line in float64, with b2 of the study."""
    training = TrainingSection(beta2=0.95, weight_decay=0.1)
    weights = np.linspace(-1.0, 1.0, 6).reshape(2, 3)
    parameter = nn.Parameter(torch.tensor(weights, dtype=torch.float32))
    descent = Descent(training, ["w"], [parameter])
    first, second = np.zeros((2, 3)), np.zeros((2, 3))
    for step, size in enumerate((1.0, -0.5, 0.25, 2.0), start=1):
        gradient = size * np.arange(1.0, 7.0).reshape(2, 3)
        descent.step([torch.tensor(gradient, dtype=torch.float32)], 0.01)
        first, second = 0.9 * first + 0.1 * gradient, 0.95 * second + 0.05 * gradient**2
        move = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.95**step)) + 1e-8)
        weights = weights - 0.01 * 0.1 * weights - 0.01 * move
    np.testing.assert_allclose(parameter.detach().numpy(), weights, rtol=1e-5)


def test_a_private_round_goes_on_with_the_moments_of_noised_gradients() -> None:
    """They are worked out from what was charged already, so that keeping them is free: here with noise that is known."""
    records = make_table()
    training = TrainingSection(class_balance=False, learning_rate=0.05, keep_optimizer=True, schedule="constant")
    privacy = PrivacySection(
        mode="patient-local", epsilon=5.0, delta=1e-4, clip_norm=1.0, sampling_rate=1.0, steps=2, public_patients=40
    )
    inputs, head = InputShape("table", features=5), binary_head(training)

    def private(steps: int, moments: Tree, model: Tree) -> LocalRun:
        settings = privacy.changed(steps=steps)
        whole = PrivateTrainer(
            MLP, training, settings, inputs, records, head, patients=40, noise=lambda sums: sums, round_number=1, rounds=2,
            device="cpu", threads=1, moments=moments,
        )  # fmt: skip
        return whole.compute(TrainedModel(model))

    start = initial_tree(MLP, inputs, 1)
    half = private(2, {}, start)
    whole = private(2, half.moments, half.model)
    long = private(4, {}, start)
    assert same_bits(whole.model, long.model) and same_bits(whole.moments, long.moments)
    assert not same_bits(whole.model, private(2, {}, half.model).model)
