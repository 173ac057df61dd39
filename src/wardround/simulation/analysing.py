"""An analysis over hospitals on this machine, from the study to a folder with its tables."""

import json
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.analysis.registry import analysis_of
from wardround.analysis.result import Result, Table
from wardround.engines.local.engine import early_fork_server, in_process
from wardround.evidence.analysis.writing import PAGE, RESULTS, TABLES, write_result
from wardround.hub.analysis_coordinator import AnalysisCoordinator
from wardround.hub.analysis_model import EndedAnalysis, write_fitted_model
from wardround.hub.artifacts import CARD, MODEL, ONNX, RECORD
from wardround.hub.notices import Listener, silent
from wardround.hub.outcome import IN_PROCESS
from wardround.hub.run_folder import RunFolder
from wardround.plan.pricing import with_noise
from wardround.simulation.hospitals import Hospitals, Place, divide, from_folders, keep_hospitals, kept_hospitals
from wardround.simulation.ledgers import Ledgers, privacy_record
from wardround.simulation.progress import watching
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
from wardround.site.config import labels_of
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.run_settings import RunSettings
from wardround.study.sections.simulation import SimulationSection
from wardround.study.writing import to_toml
from wardround.values.errors import StudyError
from wardround.values.ids import site_id
from wardround.values.rows import Rows
from wardround.values.rows_file import write_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class AnalysisRun:
    """A finished analysis. In a notebook it shows its first table.

    Parameters
    ----------
    folder
        Where its tables and its page lie.
    result
        Its tables, charts and unrounded figures.
    exchanges
        How many sums it took.
    synthetic
        Whether the rows are of no patient.
    """

    folder: Path
    result: Result
    exchanges: int
    synthetic: bool = False

    @property
    def table(self) -> Table:
        """The first table: of a regression the odds ratios, rate ratios or differences."""
        return self.result.tables[0]

    @property
    def figures(self) -> Mapping[str, Any]:
        """Unrounded values by name, as in results.json."""
        return self.result.figures

    @property
    def files(self) -> tuple[str, ...]:
        """What the folder holds for people."""
        return tuple(name for name in (PAGE, TABLES, RESULTS, CARD, ONNX, MODEL, RECORD) if (self.folder / name).is_file())

    def to_frame(self, name: str | None = None) -> "pd.DataFrame":
        """A table as a pandas frame, numbers with all their digits.

        Parameters
        ----------
        name
            Which of `result.tables`. Default: the first.

        Raises
        ------
        StudyError
            Where pandas is not installed, or there is no such table.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise StudyError("A frame needs pandas", hint="pip install pandas; or read tables.csv") from error
        table = self.table if name is None else self._named(name)
        return pandas.DataFrame([list(row) for row in table.rows], columns=[column.name for column in table.columns])

    def plot(self, name: str | None = None) -> Any:
        """A chart as a figure of matplotlib.

        Parameters
        ----------
        name
            Which of `result.charts`. Default: the first.

        Raises
        ------
        StudyError
            Where there is no such chart.
        """
        from wardround.evidence.analysis.plots import drawn

        charts = {chart.name: chart for chart in self.result.charts}
        chosen = next(iter(charts), "") if name is None else name
        if chosen not in charts:
            raise StudyError("There is no such chart", expected=", ".join(charts) or "none", found=chosen or "none")
        return drawn(charts[chosen])

    def _named(self, name: str) -> Table:
        names = [table.name for table in self.result.tables]
        if name not in names:
            raise StudyError("There is no such table", expected=", ".join(names), found=name)
        return self.result.table(name)

    def __repr__(self) -> str:
        return f"<AnalysisRun {self.folder}: {self.result.kind}, {len(self.result.tables)} tables, {self.exchanges} sums>"

    def _repr_html_(self) -> str:
        """The first table without scripts or links; every text is escaped."""
        from html import escape

        from wardround.evidence.analysis.cells import shown

        head = "".join(f"<th>{escape(column.name)}</th>" for column in self.table.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(shown(*pair))}</td>" for pair in zip(row, self.table.columns, strict=True)) + "</tr>"
            for row in self.table.rows
        )
        return f"<p>{escape(self.table.title)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def analyse(
    study: Study | str | Path,
    sites: Mapping[str, str | Path | Rows] | None = None,
    *,
    data: str | Path | None = None,
    division: SimulationSection | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    synthetic: bool = False,
    listener: Listener = silent,
    run: RunSettings | str | Path | None = None,
    progress: bool | None = None,
    mappings: Mapping[str, str | Path] | None = None,
    register: bool = True,
    epsilon: float | None = None,
    ledgers: str | Path | None = None,
) -> AnalysisRun:
    """Carry out an analysis over hospitals on this machine: the same sums, masks and refusals as between real ones.

    Parameters
    ----------
    study
        The study, or its file; it has an [analysis] section.
    sites
        Hospital -> its file, folder or database, or its rows.
    data
        Instead of `sites`: one data set to divide. Default: the study's data.dataset.
    division
        How to divide it. Default: [simulation] of the run settings.
    out
        The run folder, new unless `resume`. Default: runs/TITLE-HASH.
    resume
        Go on with the run in the folder.
    workers
        Hospitals at work at once; 0: in order in this process. It never changes the result.
    synthetic
        Whether the rows are of no patient.
    listener
        Hears of every event.
    run
        The settings of this machine, or their file. Default: STUDY.run.toml beside a study that is given as a file.
    progress
        Whether progress is shown. Default: on a terminal and in a notebook, where no `listener` hears it.
    mappings
        Hospital -> the file of its own mapping, which says how its table's columns become the contract's.
    register
        Whether a regression that is a model enters this user's registry.
    epsilon
        Replaces a private study's epsilon; the noise follows.
    ledgers
        A folder with a privacy ledger for each hospital, NAME.sqlite, kept over runs and studies. Default: new ones in the run
        folder.

    Returns
    -------
    AnalysisRun
        The finished analysis: its folder and its tables.

    Raises
    ------
    WardroundError
        Its kinds. A run that stopped can go on with `resume`.
    """
    if sites and (data is not None or division is not None):
        raise StudyError("Hospitals come either from their own data or from one divided data set", hint="leave one of them out")
    stated = settings_of(run, study, None).with_run(workers=workers).divided(division)
    declared = load_study(study) if isinstance(study, str | Path) else study
    if declared.analysis is None:
        raise StudyError("The study learns a model", expected="[analysis]", hint="run it with wardround.simulate")
    if epsilon is not None:
        declared = with_epsilon(declared, epsilon)
    shown = False if progress is None and listener is not silent else progress
    kept_ledgers = None if ledgers is None else Path(ledgers).resolve()
    asked = _Asked(sites, data, resume, synthetic, mappings, register, kept_ledgers)
    with watching(shown, also=listener) as heard:
        return _analysed(declared, asked, stated, Path(out) if out is not None else default_folder(declared), heard)


@dataclass(frozen=True)
class _Asked:
    """What the caller said of one run, besides the study and this machine's settings."""

    sites: Mapping[str, str | Path | Rows] | None
    data: str | Path | None
    resume: bool
    synthetic: bool
    mappings: Mapping[str, str | Path] | None
    register: bool
    ledgers: Path | None = None


def _analysed(declared: Study, asked: _Asked, stated: RunSettings, out: Path, listener: Listener) -> AnalysisRun:
    folder = RunFolder(out)
    with ExitStack() as parts:
        parts.enter_context(closing(folder))
        if asked.resume:
            folder.require_same_study(declared)
        begun = folder.plan if asked.resume else None
        settings = stated if begun is None else folder.resumed_settings(stated)
        fork_server = early_fork_server(default_workers(2) if settings.run.workers is None else settings.run.workers)
        if fork_server:
            parts.enter_context(closing(fork_server))
        hospitals = _placed(folder, declared, settings, asked, begun=begun is not None)
        at_once = default_workers(len(hospitals)) if settings.run.workers is None else settings.run.workers
        signed = enrolled_at(declared, hospitals, folder)
        analysis_of(signed)  # what does not fit is told before any hospital is started
        signed = with_noise(signed)
        synthetic = asked.synthetic or is_drawn(declared, asked.sites, asked.data)
        plan = begun or folder.begin(declared, settings, synthetic=synthetic)
        kept = Ledgers(folder, asked.ledgers)
        kept.ready(signed, hospitals)
        site_configs = site_configs_of(folder, signed, hospitals, at_once, kept, settings.run.device)
        let_go_on(site_configs)
        losses = Losses(listener)
        with naming_logs(folder, losses), closing(in_process(site_configs, at_once, fork_server)) as engine:
            coordinator = AnalysisCoordinator(signed, engine, folder.path, listener=losses, deadline_s=settings.run.deadline_s)
            result = coordinator.run()
            coordinator.close()
        facts = coordinator.facts(plan, declared)
        promised = privacy_record(signed, coordinator.progress.sites, kept)
        if promised is not None:
            facts["privacy"] |= {"spent": dict(promised.spent), "ledger_entries": dict(promised.ledger_entries)}
        write_result(result, facts, to_toml(declared), folder.path)
        sites = tuple(map(str, coordinator.progress.sites))
        ended = EndedAnalysis(declared, plan, result, coordinator.exchanges, sites, IN_PROCESS, at_once, promised)
        if (record := write_fitted_model(ended, folder.path, register=asked.register)) is not None:
            from wardround.evidence.model_card import write_model_card

            write_model_card(record, folder.path / CARD)
        return AnalysisRun(folder.path, result, coordinator.exchanges, plan.synthetic)


def _placed(folder: RunFolder, study: Study, settings: RunSettings, asked: _Asked, *, begun: bool) -> Hospitals:
    """Where the hospitals of a new run, or of the one to go on with, have their data."""
    if begun:
        return kept_hospitals(folder.path)
    folder.require_unused()
    hospitals = _hospitals(folder, study, settings.simulation, asked)
    keep_hospitals(hospitals, folder.path)
    return hospitals


def _hospitals(folder: RunFolder, study: Study, division: SimulationSection | None, asked: _Asked) -> Hospitals:
    data = folder.path / "data"
    if asked.sites:
        paths = {name: path for name, path in asked.sites.items() if not isinstance(path, Rows)}
        rows = {name: part for name, part in asked.sites.items() if isinstance(part, Rows)}
        return {**from_folders(paths, asked.mappings), **from_rows(rows, data)}
    if division is None:
        raise StudyError(
            "Nobody said which hospitals there are",
            hint="name them with --site NAME=PATH, or divide one data set with --split or [simulation] in the run file",
        )
    whole, sites = _whole(study, asked.data)
    return from_rows(divide(whole, sites, division, _groups(study, whole)), data)


def from_rows(rows: Mapping[str, Rows], folder: Path) -> Hospitals:
    """Hospitals whose rows are at hand; written to `folder`, so that a resumed run reads the same."""
    places: Hospitals = {}
    for name, part in rows.items():
        path = folder / f"{site_id(name)}.rows.npz"
        write_rows(path, replace(part, hospital=str(name)))
        places[site_id(name)] = Place(path.resolve(), prepared=True)
    return places


def _whole(study: Study, source: str | Path | None) -> tuple[Rows, NDArray[np.str_] | None]:
    """All rows of one data set, and the hospital that each names, if any."""
    from wardround.sources import open_source
    from wardround.sources.datasets.named import load_dataset_rows

    if source is not None:
        return open_source(source, study.data).rows_with_sites(labels=labels_of(study))
    if study.data.dataset is None:
        raise StudyError(
            "The study names no data to divide",
            hint="give each hospital its data with --site NAME=PATH, one data set with --data PATH, or set data.dataset",
        )
    return load_dataset_rows(study.data.dataset, study.data)


def _groups(study: Study, rows: Rows) -> NDArray[np.intp]:
    """Of the label where there is one, so that a division by label can be asked for; else all rows are alike."""
    targets = rows[study.data.label.column]
    return targets.astype(np.intp) if np.isin(targets, (0.0, 1.0)).all() else np.zeros(len(rows), np.intp)


def load_results(folder: str | Path) -> dict[str, Any]:
    """What results.json of a run's folder says."""
    values: dict[str, Any] = json.loads((Path(folder) / RESULTS).read_bytes())
    return values
