"""Runs a study over hospitals on this machine, from the study to a run folder with the model and its artifacts."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardround.engines.local.engine import early_fork_server, in_process
from wardround.hub.artifacts import CARD, REPORT, write_artifacts
from wardround.hub.coordinator import Coordinator
from wardround.hub.notices import Listener, silent
from wardround.hub.outcome import Outcome, score_externally, summary_json
from wardround.hub.run_folder import RunFolder
from wardround.plan.evaluated_model import EVALUATED, GivenModel
from wardround.plan.networks import IN_THIS_PROCESS, Networks
from wardround.plan.plan import Plan
from wardround.plan.pricing import with_noise
from wardround.prediction.finished_model import evaluated_content, require_model_or_none
from wardround.simulation.comparing import left_out_of
from wardround.simulation.hospitals import (
    DatasetCache,
    Hospitals,
    dataset_cache,
    from_dataset,
    from_folders,
    from_records,
    keep_hospitals,
    kept_hospitals,
    outside_of,
    stage_external_test,
    with_tasks,
)
from wardround.simulation.ledgers import Ledgers, privacy_record
from wardround.simulation.own_models import compared, score_own_models
from wardround.simulation.own_records import keep_own_records
from wardround.simulation.progress import watching
from wardround.simulation.run import Run
from wardround.simulation.site_logs import Losses, naming_logs
from wardround.simulation.starting import (
    default_folder,
    default_workers,
    enrolled_at,
    is_drawn,
    let_go_on,
    settings_of,
    site_configs_of,
    with_epsilon,
)
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.record.run_record import RunRecord
from wardround.study.run_settings import RunSettings
from wardround.study.sections.simulation import SimulationSection
from wardround.values.durable import write_atomic
from wardround.values.errors import StudyError
from wardround.values.records import Records


def simulate(
    study: Study | str | Path,
    sites: Mapping[str, str | Path | Records] | None = None,
    *,
    data: str | Path | None = None,
    division: SimulationSection | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    seed: int | None = None,
    synthetic: bool = False,
    listener: Listener = silent,
    register: bool = True,
    study_folder: Path | None = None,
    ledgers: str | Path | None = None,
    run: RunSettings | str | Path | None = None,
    own: bool | None = None,
    epsilon: float | None = None,
    progress: bool | None = None,
    mappings: Mapping[str, str | Path] | None = None,
    model: str | Path | None = None,
    tasks: Mapping[str, str | Path] | None = None,
) -> Run:
    """Run a study over hospitals on this machine.

    Parameters
    ----------
    study
        The study, or its file.
    sites
        Hospital -> its file or folder, or its records.
    data
        Instead of `sites`: one data set to divide. Default: the study's data.dataset.
    division
        How to divide it. Default: [simulation] of the run settings.
    out
        The run folder, new unless `resume`. Default: runs/TITLE-HASH.
    resume
        Go on with the run in the folder.
    workers
        Hospitals at work at once; 0: in order in this process. It never changes the model. Default: that of the run settings.
    seed
        Replaces training.seed.
    synthetic
        Whether the records are of no patient.
    listener
        Hears of every event.
    register
        Whether the model enters the registry.
    study_folder
        Where a relative path in `run` starts, where that is no file. Default: the working directory.
    ledgers
        A folder with a privacy ledger for each hospital, NAME.sqlite, kept over runs and studies. Default: new ones in the run
        folder.
    run
        The settings of this machine, or their file. Default: STUDY.run.toml beside a study that is given as a file, if there
        is one. A resumed run takes workers, device and deadline from here, and the rest from its folder.
    own
        Replaces evaluation.own_baseline: whether each hospital also trains a model on its own data alone.
    epsilon
        Replaces a private study's epsilon; the noise follows.
    progress
        Whether progress is shown, on standard error or below a notebook's cell; in a log it is a line a round. Default: on a
        terminal and in a notebook, where no `listener` hears it.
    mappings
        Hospital -> the file of its own mapping, which says how its table's columns become the contract's.
    model
        The finished model of a study that evaluates only: a run folder, a model.safetensors, or a model in the registry.
        Default: [model] of the run settings.
    tasks
        Hospital -> the file of its own task, in a study with network.private = "head". Default: those that [simulation] of the
        run settings names.

    Returns
    -------
    Run
        The finished run: its folder, record and figures.

    Raises
    ------
    WardroundError
        Its kinds. A run that stopped can go on with `resume`.
    """
    began = time.monotonic()
    if sites and (data is not None or division is not None):
        raise StudyError(
            "Hospitals come either from their own data or from one divided data set", hint="use --site, or --data with --split"
        )
    stated = settings_of(run, study, study_folder).with_run(workers=workers).divided(division).evaluating(model)
    declared = load_study(study) if isinstance(study, str | Path) else study
    _ = declared.learned  # an analysis is carried out by wardround.analyse
    declared = _with(declared, seed, own, epsilon)
    shown = False if progress is None and listener is not silent else progress
    with watching(shown, also=listener) as listener:
        asked = _Asked(sites, data, out, resume, synthetic, register, ledgers, mappings, tasks or {})
        return _simulated(declared, asked, stated, listener, began)


@dataclass(frozen=True)
class _Asked:
    """What the caller said of one run, besides the study and this machine's settings."""

    sites: Mapping[str, str | Path | Records] | None
    data: str | Path | None
    out: str | Path | None
    resume: bool
    synthetic: bool
    register: bool
    ledgers: str | Path | None
    mappings: Mapping[str, str | Path] | None
    tasks: Mapping[str, str | Path] = field(default_factory=dict)
    placed: Hospitals | None = None
    """Hospitals whose data are where a run can read them already; `sites` and `data` are not looked at then."""


def simulate_at(
    study: Study, hospitals: Hospitals, settings: RunSettings, out: Path, *, synthetic: bool, listener: Listener = silent
) -> Run:
    """As `simulate`, over hospitals that another run has placed. It goes on with what is in `out`, and is not registered."""
    asked = _Asked(None, None, out, True, synthetic, False, None, None, placed=hospitals)
    return _simulated(study, asked, settings, listener, time.monotonic())


def _with(study: Study, seed: int | None, own: bool | None, epsilon: float | None) -> Study:
    """The study with what the caller replaces in it."""
    if seed is not None:
        study = study.revised(training={"seed": seed})
    if own is not None:
        study = study.revised(evaluation={"own_baseline": own})
    return study if epsilon is None else with_epsilon(study, epsilon)


def _simulated(declared: Study, asked: _Asked, stated: RunSettings, listener: Listener, began: float) -> Run:
    if asked.register:
        _require_registry()
    folder = RunFolder(Path(asked.out) if asked.out is not None else default_folder(declared))
    require_model_or_none(declared, stated)
    with ExitStack() as parts:
        parts.enter_context(closing(folder))
        settings = _resumed(folder, declared, stated) if asked.resume else stated
        finished = _finished_model(folder, declared, settings, resume=asked.resume)
        fork_server = early_fork_server(default_workers(2) if settings.run.workers is None else settings.run.workers)
        if fork_server:
            parts.enter_context(closing(fork_server))
        datasets = dataset_cache(declared)
        hospitals = _placed_hospitals(folder, declared, settings, asked, datasets)
        stage_external_test(declared, settings.external, folder.external, datasets)
        del datasets  # what was read is in files now, and training needs the memory
        at_once = default_workers(len(hospitals)) if settings.run.workers is None else settings.run.workers
        enrolled = with_noise(enrolled_at(declared, hospitals, folder))
        networks = _networks(folder, declared, finished)
        begun = folder.plan if asked.resume else None
        synthetic = asked.synthetic or is_drawn(declared, asked.sites, asked.data)
        plan = begun or folder.begin(declared, settings, synthetic=synthetic)
        kept = Ledgers(folder, None if asked.ledgers is None else Path(asked.ledgers).resolve())
        kept.ready(enrolled, hospitals)
        site_configs = site_configs_of(folder, enrolled, hospitals, at_once, kept, settings.run.device)
        let_go_on(site_configs)
        losses = Losses(listener)
        with naming_logs(folder, losses), closing(in_process(site_configs, at_once, fork_server)) as engine:
            coordinator = Coordinator(
                enrolled,
                engine,
                folder.path,
                listener=losses,
                every_site_must_open=True,
                deadline_s=settings.run.deadline_s,
                networks=networks,
            )
            coordinator.run()
            score_own_models(coordinator, folder)
            coordinator.personalise()
            coordinator.close()
        _give_back_memory()
        progress = coordinator.progress
        outside = score_externally(coordinator.plan, coordinator.model, folder.external, settings.run.device)
        # What a hospital with a question of its own reports stays its own, also on one machine.
        reports = None if declared.keeps_heads else {str(site): site_report(folder, site) for site in progress.sites}
        outcome = Outcome(declared, plan, progress, reports, outside, at_once, privacy_record(enrolled, progress.sites, kept))
        record = write_artifacts(compared(outcome, folder), coordinator, folder.path, register=asked.register)
        if asked.placed is None:  # a run for another run's sake has no reader of its own
            write_evidence(record, folder.path)
        if declared.keeps_heads:
            keep_own_records(folder, declared.hash, site_configs, register=asked.register, synthetic=plan.synthetic)
        folder.external.unlink(missing_ok=True)
        outside_of(folder.external).unlink(missing_ok=True)
        turns = left_out_of(record, folder.path)
        return Run(folder.path, record, summary_json(record, folder.path, time.monotonic() - began, turns))


def _resumed(folder: RunFolder, study: Study, stated: RunSettings) -> RunSettings:
    """The settings that a run goes on with; those stated where none has begun."""
    folder.require_same_study(study)
    return stated if folder.plan is None else folder.resumed_settings(stated)


def _require_registry() -> None:
    """A registry that cannot be written is noticed before the first round, not after the last."""
    from wardround.registry import open_registry

    open_registry().close()


def _finished_model(folder: RunFolder, study: Study, settings: RunSettings, *, resume: bool) -> bytes | None:
    """The file of the model that a study evaluates; None where the run's folder holds it already, or the study trains one."""
    if not study.evaluates_only or (resume and (folder.path / EVALUATED).exists()):
        return None
    return evaluated_content(study, settings)


def _networks(folder: RunFolder, study: Study, finished: bytes | None) -> Networks:
    """Who answers about the network. Of a study that evaluates only the model is copied into the run folder first, so that a
    resumed run has it whatever became of the original."""
    if not study.evaluates_only:
        return IN_THIS_PROCESS
    path = folder.path / EVALUATED
    if finished is not None:
        write_atomic(path, finished)
    networks = GivenModel(path)
    networks.initial_model(Plan(study))  # arrays of another network are refused before anything begins
    return networks


def write_evidence(record: RunRecord, folder: Path) -> None:
    """Report and model card of a run, with what its folder holds of leaving hospitals out. A run that evaluated a model has no
    card: the model's own is that of the run which made it."""
    from wardround.evidence.model_card import write_model_card
    from wardround.evidence.report import write_report

    turns = left_out_of(record, folder)
    write_report(record, folder / REPORT, turns)
    if record.evaluated is None:
        write_model_card(record, folder / CARD, turns)


def _give_back_memory() -> None:
    """The libraries of the artifacts would come on top of what training used; so the run needs no more memory than training."""
    from wardround.training.threads import give_back_freed_memory

    give_back_freed_memory()


def _placed_hospitals(folder: RunFolder, study: Study, settings: RunSettings, asked: _Asked, datasets: DatasetCache) -> Hospitals:
    """Where the hospitals of a new run, or of the one to go on with, have their data."""
    if asked.resume and folder.plan is not None:
        return kept_hospitals(folder.path)
    folder.require_unused()
    hospitals = _hospitals(folder, study, settings.asking(asked.tasks).simulation, asked, datasets)
    if asked.placed is None:
        hospitals = with_tasks(study, hospitals, _tasks_of(settings, asked))
    keep_hospitals(hospitals, folder.path)
    return hospitals


def _tasks_of(settings: RunSettings, asked: _Asked) -> Mapping[str, str | Path]:
    """The hospitals' own task files: of a divided data set those of the run file, where the caller names no other."""
    divided = {} if asked.sites or settings.simulation is None else settings.simulation.tasks
    return {**divided, **asked.tasks}


def _hospitals(
    folder: RunFolder, study: Study, division: SimulationSection | None, asked: _Asked, datasets: DatasetCache
) -> Hospitals:
    if asked.placed is not None:
        return asked.placed
    if not asked.sites:
        if division is None:
            raise StudyError(
                "Nobody said which hospitals there are",
                hint="name them with --site NAME=PATH, or divide one data set with --split or [simulation] in the run file",
            )
        return from_dataset(study, division, asked.data, folder.path / "data", datasets)
    folders = {name: data for name, data in asked.sites.items() if not isinstance(data, Records)}
    records = {name: data for name, data in asked.sites.items() if isinstance(data, Records)}
    return {**from_folders(folders, asked.mappings), **from_records(records, folder.path / "data")}


def site_report(folder: RunFolder, site: str) -> dict[str, Any]:
    """A hospital's own report. In a simulation the hospitals are folders of this machine, so it may be read."""
    report: dict[str, Any] = json.loads((folder.site(site) / "report.json").read_bytes())
    return report
