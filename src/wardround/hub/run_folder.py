"""The folder of one run: taken by one process at a time, and never shared by two runs.

study.toml  study.run.toml  plan.json  hospitals.json  checkpoint.safetensors  sites/NAME/...  data/NAME.npz  external.npz
evaluated.safetensors (of a study that evaluates only, in place of a new model)
model.safetensors  model.onnx  record.json  report.html  model_card.md
"""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from wardround.hub.checkpoint import FILE as CHECKPOINT
from wardround.hub.checkpoint import load
from wardround.study.declaration import Study
from wardround.study.run_settings import RunSettings, load_run, run_file_of
from wardround.study.writing import to_toml
from wardround.values.canonical import canonical_json
from wardround.values.durable import sweep, write_atomic
from wardround.values.errors import RunError, StudyError
from wardround.values.stored import head_of, value_of
from wardround.values.version import __version__

STUDY = "study.toml"


@dataclass(frozen=True)
class RunPlan:
    """What a run was started with: enough to go on with it. study: its hash. created: ISO 8601, UTC."""

    run_id: str
    study: str
    created: str
    synthetic: bool


def run_plan_in(path: Path) -> RunPlan | None:
    """What the run in a folder was started with; None in a new folder. RunError where the file is damaged, or was written by a
    release that kept something else."""
    file = path / "plan.json"
    if not file.exists():
        return None
    try:
        head = json.loads(file.read_bytes())
    except ValueError as error:
        raise RunError(f"{file} is damaged", hint="start the run again in a new folder: --out FOLDER") from error
    try:
        return value_of(RunPlan, head)
    except (ValueError, AttributeError) as error:
        raise _of_another_release(file) from error


def external_in(path: Path) -> Path:
    """The external test set of the run in a folder while it goes on; no copy of it stays with a finished run."""
    return path / "external.npz"


class RunFolder:
    """Holds the folder's lock from construction to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / "run.lock")
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                f"Another run is using {path}", hint="wait for it to end, or choose another folder with --out"
            ) from error
        except OSError as error:
            raise RunError(
                f"{path} cannot be used as a run folder", found=error.strerror or "", hint="choose another with --out"
            ) from error
        for below in ("", "data"):
            sweep(path / below)

    def close(self) -> None:
        self._lock.release()

    @property
    def plan(self) -> RunPlan | None:
        """What the run in this folder was started with; None in a new folder. RunError where the file is damaged."""
        return run_plan_in(self.path)

    def require_unused(self) -> None:
        """Raises RunError where a run has begun here. An attempt that stopped before its opening left nothing worth keeping."""
        progress = load(self.path)
        if progress is not None and progress.state:
            raise RunError(
                f"{self.path} holds a run already", hint="go on with it with --resume, or choose another folder with --out"
            )
        if self.plan is not None:
            (self.path / CHECKPOINT).unlink(missing_ok=True)  # it held keys at most
            for leftover in ("sites", "counters", "data"):
                shutil.rmtree(self.path / leftover, ignore_errors=True)
            for staged in self.path.glob("external.*"):
                staged.unlink()

    def require_same_study(self, study: Study) -> None:
        """RunError where another study has begun here."""
        if self.plan is not None and self.plan.study != study.hash:
            raise RunError(
                f"{self.path} holds a run of another study",
                hint="resume with the same study file and seed, or use a new folder",
            )

    def resumed_settings(self, stated: RunSettings) -> RunSettings:
        """What the run in this folder was started with, and under [run] what is stated now.

        Workers, device and deadline change no result. RunError where another division or external test set is stated: the
        hospitals and the external test of a run cannot change.
        """
        settings = self._settings()
        for section, name in (("simulation", "division"), ("external", "external test set")):
            before, now = getattr(settings, section), getattr(stated, section)
            if now is not None and now != before:
                raise RunError(
                    f"The run in {self.path} was started with another {name}",
                    expected=f"[{section}] as in {run_file_of(self.path / STUDY)}",
                    hint=f"resume with --run {run_file_of(self.path / STUDY)}, or use a new folder",
                )
        return settings.with_run(**stated.stated()).evaluating(None if stated.model is None else stated.model.path)

    def _settings(self) -> RunSettings:
        try:
            return load_run(run_file_of(self.path / STUDY))
        except StudyError as error:
            raise _of_another_release(run_file_of(self.path / STUDY), str(error)) from error

    def begin(self, study: Study, settings: RunSettings, *, synthetic: bool) -> RunPlan:
        """Records the plan; from here on the run can be resumed. settings: of this machine, with absolute paths."""
        now = datetime.now(UTC)
        plan = RunPlan(
            run_id=f"{now:%Y%m%dT%H%M%S}-{study.hash[:8]}-{now.microsecond:06d}",
            study=study.hash,
            created=now.isoformat(timespec="seconds"),
            synthetic=synthetic,
        )
        write_atomic(self.path / STUDY, to_toml(study).encode())
        write_atomic(run_file_of(self.path / STUDY), settings.to_toml().encode())
        write_atomic(self.path / "plan.json", canonical_json(head_of(plan)))
        return plan

    @property
    def external(self) -> Path:
        return external_in(self.path)

    def site(self, name: str) -> Path:
        return self.path / "sites" / name

    def counter(self, name: str) -> Path:
        """How often a simulated hospital has spoken, outside of its folder."""
        return self.path / "counters" / name


def _of_another_release(path: Path, problem: str = "") -> RunError:
    """The file is whole, and not what this release writes."""
    return RunError(
        f"{path} was written by another release of Wardround, or changed by hand",
        expected=f"a run that Wardround {__version__} began",
        found=problem,
        hint="go on with it in the release that began it, or start the run again in a new folder: --out FOLDER",
    )
