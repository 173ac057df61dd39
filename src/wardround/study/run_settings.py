"""What only one machine needs to run a study. Nobody else has to agree to it, so it is not in the study and not in its hash.

study.toml        what every hospital agrees to; its hash goes into every message
study.run.toml    beside it, the settings of the machine that starts the run: RunSettings
site.toml         the settings of a hospital's machine: SiteSettings
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field, ValidationError

from wardround.study.declaration import Study
from wardround.study.sections.execution import Device, ExecutionSection
from wardround.study.sections.external import ExternalSection
from wardround.study.sections.finished import FinishedSection
from wardround.study.sections.section import Section
from wardround.study.sections.simulation import SimulationSection
from wardround.study.toml_reading import read_as, read_text
from wardround.values.address import is_address, sqlite_path, without_password
from wardround.values.errors import StudyError

SUFFIX = ".run.toml"


class RunSettings(Section):
    """The settings of the machine that starts a run. Two runs of one study may differ in all of them.

    `load_run` reads them from a file. Every setting has a default.

    Parameters
    ----------
    run
        How this machine works: device, deadline in seconds, processes.
    external
        Where the external test set lies that the study names, and which split of it is used. None: nowhere on this machine.
    simulation
        How one data set becomes several hospitals. None: each hospital has data of its own.
    model
        Where the finished model lies that the study evaluates. None: nowhere on this machine, or the study trains one.

    Raises
    ------
    pydantic.ValidationError
        Where a setting is unknown or out of range. `load_run` raises StudyError in its place, with the line.

    Examples
    --------
    >>> RunSettings().with_run(workers=2, device=None).run.workers
    2
    """

    run: ExecutionSection = Field(default_factory=ExecutionSection, description="How this machine works.")
    external: ExternalSection | None = Field(default=None, description="Where the external test set lies.")
    simulation: SimulationSection | None = Field(default=None, description="How one data set becomes several hospitals.")
    model: FinishedSection | None = Field(default=None, description="Where the finished model lies that the study evaluates.")

    def with_run(self, **settings: object) -> "RunSettings":
        """The same settings with others under [run], checked as a file is; None leaves a setting as it is."""
        stated = {name: value for name, value in settings.items() if value is not None}
        try:
            section = ExecutionSection.model_validate_json(json.dumps({**self.stated(), **stated}))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in problem["loc"])
            raise StudyError(
                f"{name} cannot be used", expected=problem["msg"], found=repr(problem["input"])[:80], hint=f"give another {name}"
            ) from error
        return RunSettings(run=section, external=self.external, simulation=self.simulation, model=self.model)

    def stated(self) -> dict[str, object]:
        """The settings under [run] that somebody wrote down; those left to their defaults are not in it."""
        return self.run.model_dump(mode="json", exclude_unset=True)

    def divided(self, division: SimulationSection | None) -> "RunSettings":
        """The same settings with another division; None leaves it as it is."""
        return RunSettings(run=self.run, external=self.external, simulation=division or self.simulation, model=self.model)

    def asking(self, tasks: Mapping[str, str | Path]) -> "RunSettings":
        """The same settings with these task files of the divided data set's hospitals, in place of those that they name."""
        if self.simulation is None or not tasks:
            return self
        hospitals = tuple(
            one.changed(task=str(tasks[one.name])) if one.name in tasks else one for one in self.simulation.hospitals
        )
        return self.divided(self.simulation.changed(hospitals=[one.model_dump(mode="json") for one in hospitals]))

    def evaluating(self, model: str | Path | None) -> "RunSettings":
        """The same settings with another finished model; None leaves it as it is."""
        section = self.model if model is None else FinishedSection(path=str(model))
        return RunSettings(run=self.run, external=self.external, simulation=self.simulation, model=section)

    def without_model(self) -> "RunSettings":
        """The same settings where the finished model lies beside the run."""
        return RunSettings(run=self.run, external=self.external, simulation=self.simulation)

    def starting_in(self, folder: Path) -> "RunSettings":
        """The same settings with relative paths resolved from `folder`; the name of a model in the registry stays."""
        external, model = self.external, self.model
        if external is not None and external.path is not None:
            path = str((folder / Path(external.path).expanduser()).resolve())
            external = ExternalSection(path=path, split=external.split)
        if model is not None and (beside := folder / Path(model.path).expanduser()).exists():
            model = FinishedSection(path=str(beside.resolve()))
        simulation = self.simulation
        if simulation is not None and simulation.tasks:
            below = {name: str((folder / Path(path).expanduser()).resolve()) for name, path in simulation.tasks.items()}
            simulation = self.asking(below).simulation
        return RunSettings(run=self.run, external=external, simulation=simulation, model=model)

    def to_toml(self) -> str:
        """What was set. `parse_run(settings.to_toml())` equals the settings."""
        stated = self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        return tomli_w.dumps(stated)


class SiteSettings(Section):
    """The settings of one hospital's machine: a graphics card is used without a new study."""

    data: str = Field(description="The hospital's file or folder, relative to this file, or the address of its database.")
    folder: str = Field(description="Where the hospital keeps its key, memory, report and log, relative to this file.")
    mapping: str | None = Field(
        default=None, description="The hospital's own mapping of its table to the contract's columns, relative to this file."
    )
    task: str | None = Field(
        default=None,
        description="The hospital's own task, for a study with network.private, relative to this file. It stays at the hospital.",
    )
    ledger: str | None = Field(
        default=None, description="The privacy ledger of its patients, relative to this file. Left out: ledger.sqlite in folder."
    )
    device: Device = Field(default="auto", description="Where training runs: cpu, cuda, mps, or auto (cuda, else mps, else cpu).")
    threads: int = Field(default=0, ge=0, le=1024, description="CPU threads that training may use; 0: all cores.")


def load_run(path: str | Path) -> RunSettings:
    """The settings in a run file.

    Parameters
    ----------
    path
        The file (TOML). A relative path in its [external] section starts in its folder.

    Returns
    -------
    RunSettings
        The settings; the path of an external test set is absolute.

    Raises
    ------
    StudyError
        Where the file is missing or not sound, with every problem's line and its mend.
    """
    run_path = Path(path)
    text = read_text(run_path, "run", "correct --run, or leave it out: every setting has a default")
    return parse_run(text, str(run_path)).starting_in(run_path.parent)


def parse_run(text: str, name: str = "study.run.toml") -> RunSettings:
    """The run settings that `text` declares."""
    return read_as(RunSettings, text, name)


def load_site(path: str | Path) -> SiteSettings:
    """The settings in a hospital's `site.toml`, its paths absolute. Raises StudyError as `load_run` does."""
    site_path = Path(path)
    text = read_text(site_path, "site", 'write one with: data = "PATH" and folder = "PATH"')
    settings = read_as(SiteSettings, text, str(site_path))
    paths: dict[str, Any] = {
        name: _absolute(value, site_path.parent)
        for name in ("data", "folder", "ledger", "mapping", "task")
        if (value := getattr(settings, name)) is not None
    }
    return SiteSettings(**{**settings.model_dump(), **paths})


def _absolute(text: str, folder: Path) -> str:
    """A path of a site file, relative to its folder. The address of a server stays as it is, and may hold no password."""
    file = sqlite_path(text)
    if file is None and is_address(text):
        return without_password(text, "the site's folder")
    return str((folder / (file or Path(text)).expanduser()).resolve())


def run_file_of(study: str | Path) -> Path:
    """Where the run file of a study file lies, if there is one.

    >>> run_file_of("examples/heart_disease.toml").name
    'heart_disease.run.toml'
    """
    return Path(study).with_suffix(SUFFIX)


def settings_beside(study: str | Path) -> RunSettings:
    """What the run file beside a study file says; the defaults where there is none."""
    path = run_file_of(study)
    return load_run(path) if path.is_file() else RunSettings()


def settings_in_words(study: Study, settings: RunSettings) -> list[str]:
    """What `wardround study check` says of the run settings, and where they and the study do not fit."""
    workers = "as many as fit the machine" if settings.run.workers is None else str(settings.run.workers)
    return [
        f"hospitals at work at once: {workers}",
        f"device: {settings.run.device}",
        f"seconds that a hospital has to answer: {settings.run.deadline_s:g}",
        _external_in_words(study, settings.external),
        *_model_in_words(study, settings.model),
        _division_in_words(settings.simulation),
    ]


def _external_in_words(study: Study, external: ExternalSection | None) -> str:
    test = study.evaluation.external
    if test is None:
        unread = "; remove [external], or add [evaluation.external] to the study" if external is not None else ""
        return f"external test set: the study is not judged on one{unread}"
    if external is None:
        return f"external test set {test.name}: not said where it lies; write [external] with dataset or path before a run"
    origin = f"the data set {external.dataset}" if external.dataset else f"{external.path}, its {external.split} records"
    return f"external test set {test.name}: {origin}"


def _model_in_words(study: Study, model: FinishedSection | None) -> list[str]:
    if not study.evaluates_only:
        return [] if model is None else ["finished model: the study trains one of its own; remove [model]"]
    if model is None:
        return ["finished model: not said where it lies; write [model] with path, or name it with --model"]
    return [f"finished model: {model.path}"]


def _division_in_words(division: SimulationSection | None) -> str:
    if division is None:
        return "simulated hospitals: whoever --site names"
    names = ", ".join(hospital.name for hospital in division.hospitals)
    return f"simulated hospitals: one data set, divided by {division.by}{f' into {names}' if names else ''}"
