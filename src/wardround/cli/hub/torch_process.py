"""What a hub needs PyTorch for, in a process of its own that ends: names and shapes of a study's network, its first model, and
what a finished run leaves.

    hub up --python -m wardround.cli.hub.torch_process network|finish FOLDER; a line: begin--> files in the study's folder

PyTorch takes 200 MB of a process and seconds to load. A hub adds, sends and waits: it works with the files. They stay for its
next start, so that a hub that was killed goes on at once. The process that finishes a run is started with the last round, and
has loaded everything by the time it is told to begin.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wardround.values import errors
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, RegistryError, RunError, StudyError, WardroundError
from wardround.values.private_files import read_private
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Tree
from wardround.values.version import __version__

if TYPE_CHECKING:
    from wardround.analysis.result import Result
    from wardround.hub.analysis_coordinator import AnalysisCoordinator
    from wardround.hub.daemon.finishing import Finishing
    from wardround.hub.daemon.studies import StudyFolder
    from wardround.hub.run_folder import RunFolder
    from wardround.plan.networks import NetworkFacts
    from wardround.plan.plan import Plan
    from wardround.study.declaration import Study
    from wardround.study.record.run_record import RunRecord
    from wardround.study.run_settings import RunSettings

FACTS, FIRST_MODEL = "network.json", "first_model.safetensors"
BEGIN = b"begin\n"
_LONGEST = 1 << 24
_KINDS = (StudyError, DataError, RunError, RegistryError)
Work = Literal["network", "finish"]


@dataclass(frozen=True)
class NetworksElsewhere:
    """Implements `plan.networks.Networks` for one submitted study. RunError, or what the other process raised, where it has no
    answer."""

    folder: "StudyFolder"

    def facts(self, plan: "Plan") -> "NetworkFacts":  # noqa: ARG002  (the folder holds the study)
        from wardround.plan.networks import NetworkFacts

        stored = self._stored()
        if stored is None:
            _done_elsewhere("network", self.folder.path)
            stored = self._stored() or {}
        shapes = {name: tuple(shape) for name, shape in stored["shapes"].items()}
        trainable, norms = frozenset(stored["trainable"]), frozenset(stored["norms"])
        return NetworkFacts(shapes, trainable, norms, stored.get("head_width", 0))

    def initial_model(self, plan: "Plan") -> Tree:
        path = self.folder.path / FIRST_MODEL
        if self._stored() is None or not path.exists():
            _done_elsewhere("network", self.folder.path)
        model, maker = read_tensors(path)
        if maker != _maker(plan.study.hash):
            raise RunError(f"{path} is not of this study", hint=f"remove it, and it is made anew: rm '{path}'")
        return model

    def _stored(self) -> dict[str, Any] | None:
        """What was written for this study by this release; None where there is nothing such, or a damaged file."""
        content = read_private(self.folder.path / FACTS, _LONGEST)
        try:
            stored: Any = json.loads(content or b"{}")
        except ValueError:
            return None
        return stored if isinstance(stored, dict) and stored.get("maker") == _maker(self.folder.hash) else None


@dataclass(frozen=True)
class FinishingElsewhere:
    """Implements `hub.daemon.study_run.Finish`. here: stages what a study needs before its first order."""

    here: "Finishing"
    _ready: "dict[Path, Elsewhere]" = field(default_factory=dict, init=False)

    def stage(self, study: "Study", settings: "RunSettings", folder: "RunFolder") -> None:
        self.here.stage(study, settings, folder)

    def write_result(self, folder: "StudyFolder", coordinator: "AnalysisCoordinator", result: "Result") -> str:
        return self.here.write_result(folder, coordinator, result)

    @contextmanager
    def made_ready(self, folder: "StudyFolder") -> "Iterator[None]":
        if folder.path in self._ready:  # the last round was discarded, and is asked for again
            yield
            return
        with suppress(OSError):  # `write` starts another, and tells what is wrong
            self._ready[folder.path] = Elsewhere("finish", folder.path)
        try:
            yield
        finally:
            if (process := self._ready.pop(folder.path, None)) is not None:
                process.end()

    def write(self, folder: "StudyFolder") -> str:
        ready = self._ready.pop(folder.path, None)
        return _done_elsewhere("finish", folder.path) if ready is None else ready.answer()


class Elsewhere:
    """The other process, which loads what its work needs and waits to be told to begin. OSError where it cannot be started."""

    def __init__(self, work: Work, folder: Path) -> None:
        self._folder = folder
        self._command = [sys.executable, "-m", "wardround.cli.hub.torch_process", work, str(folder)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, start_new_session=True)

    def answer(self) -> str:
        """Lets it begin; what it gives. What it raises is raised here."""
        with self._process as process:
            assert process.stdin is not None and process.stdout is not None
            with suppress(BrokenPipeError):  # it has ended, and gives no answer
                os.write(process.stdin.fileno(), BEGIN)  # not through the buffer, which would be written again at the end
            answer = process.stdout.read()
        return self._read(answer)

    def end(self) -> None:
        """Its work is not wanted any more."""
        with self._process as process:
            process.kill()

    def _read(self, answer: bytes) -> str:
        if not answer:
            raise RunError(
                "The process that works with PyTorch ended before its work",
                found=f"exit code {self._process.returncode} of {' '.join(self._command[1:])}",
                hint="read what it printed into the hub's output; if nothing, look whether this machine's memory is full; then "
                f"let it go on: wardround hub resume {self._folder.name[:12]}",
            )
        return _model_of(answer)


def _done_elsewhere(work: Work, folder: Path) -> str:
    return Elsewhere(work, folder).answer()


def _model_of(answer: bytes) -> str:
    """The hash that the other process gives; the error that it met is raised."""
    value = json.loads(answer)
    if "error" in value:
        kind: type[WardroundError] = getattr(errors, value["error"])
        raise kind(value["what"], expected=value["expected"], found=value["found"], hint=value["hint"])
    return str(value["model"])


def _maker(study: str) -> str:
    """For which study, and by which release: another may name or draw a network's arrays otherwise."""
    return f"{study} wardround {__version__} torch {version('torch')}"


def main(work: str, path: Path) -> None:
    """The other process. It ends with the hub, and not when the whole group of the hub's processes is told to end."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no part of the answer
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begun = threading.Event()
    threading.Thread(target=_end_with_the_hub, args=(begun,), daemon=True).start()
    if work == "finish":
        _load_what_finishing_needs()
    begun.wait()
    try:
        value = {"model": _network(path) if work == "network" else _finish(path)}
    except WardroundError as error:
        kind = type(error).__name__ if type(error) in _KINDS else RunError.__name__
        value = {"error": kind, "what": error.what, "expected": error.expected, "found": error.found, "hint": error.hint}
    answer.write(canonical_json(value))
    answer.close()


def _end_with_the_hub(begun: threading.Event) -> None:
    """The hub's line on standard input is the word to begin. It ends when the hub does: its next process would do the same work
    beside this one."""
    while os.read(0, 1 << 10):  # `sys.stdin` has a lock, and whoever holds it when Python ends makes that a fatal error
        begun.set()
    os._exit(1)


def _load_what_finishing_needs() -> None:
    """PyTorch, ONNX and the drawing of charts: together they take longer than the work."""
    import wardround.evidence.charts
    import wardround.evidence.model_card
    import wardround.evidence.report
    import wardround.hub.daemon.finishing
    import wardround.registry
    import wardround.training.onnx_export  # noqa: F401


def _network(path: Path) -> str:
    from wardround.hub.daemon.studies import StudyFolder
    from wardround.plan.plan import Plan

    plan = Plan(StudyFolder(path).study())
    facts, maker = plan.network, _maker(plan.study.hash)
    if not plan.study.evaluates_only:  # the model is there already
        write_tensors(path / FIRST_MODEL, plan.initial_model(), maker)
    stored = {
        "maker": maker,
        "shapes": {name: list(shape) for name, shape in facts.shapes.items()},
        "trainable": sorted(facts.trainable),
        "norms": sorted(facts.norms),
        "head_width": facts.head_width,
    }
    write_atomic(path / FACTS, canonical_json(stored), private=True)
    return ""


def _finish(path: Path) -> str:
    from wardround.hub.daemon.finishing import Finishing
    from wardround.hub.daemon.studies import StudyFolder

    model = Finishing(write_evidence).write(StudyFolder(path))
    (path / FIRST_MODEL).unlink(missing_ok=True)
    return model


def write_evidence(record: "RunRecord", folder: Path) -> None:
    """Report and model card of a finished run; the report alone where it made no model, the card alone of a fitted regression,
    whose report is its tables'."""
    from wardround.evidence.model_card import write_model_card
    from wardround.evidence.report import write_report
    from wardround.hub.artifacts import CARD, REPORT

    if record.fit is None:
        write_report(record, folder / REPORT)
    if record.evaluated is None:
        write_model_card(record, folder / CARD)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
