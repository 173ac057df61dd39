"""wardround simulate: a study over hospitals on this machine."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.verbosity import is_verbose
from wardround.study.declaration import Study
from wardround.study.run_settings import RunSettings
from wardround.study.sections.simulation import SimulatedHospital, SimulationSection
from wardround.values.address import is_address
from wardround.values.errors import StudyError

if TYPE_CHECKING:
    from wardround.hub.notices import Listener
    from wardround.simulation.run import Run
    from wardround.simulation.seeds import State


def simulate(
    study: Annotated[Path, typer.Argument(help="The study file (TOML).")],
    site: Annotated[list[str] | None, typer.Option(help="A hospital and its data, NAME=PATH; once for each.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option(help="A hospital's own mapping of its table, NAME=FILE; once for each that has one.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="A hospital's own task, NAME=FILE; once for each, in a study with network.private."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="One data set to divide (default: the study's data.dataset).")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Divide it by patient: iid, size=50/30/20, label=50:0.88/30:0.73/20:0.41, dirichlet=0.5, or column."),
    ] = None,
    hospitals: Annotated[int, typer.Option(min=2, max=1000, help="With --split iid or dirichlet: how many hospitals.")] = 3,
    out: Annotated[Path | None, typer.Option(help="The run folder (default: runs/TITLE-HASH).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, max=1000, help="Hospitals at work at once; 0: one after the other. Same model.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting of the study, SECTION.SETTING=VALUE; once for each. Another study."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Replace the study's training.seed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")] = False,
    own_baseline: Annotated[
        bool | None, typer.Option("--own/--no-own", help="Also train each hospital's model on its own data alone.")
    ] = None,
    ledgers: Annotated[
        Path | None,
        typer.Option(help="A folder of privacy ledgers, NAME.sqlite, that outlive the run (default: new ones)."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(min=0.001, max=32, help="Replace a private study's epsilon; the noise follows.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="The settings of this machine (default: STUDY.run.toml beside STUDY.toml, if there).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The finished model of a study that evaluates only: a run folder, model.safetensors, or its name."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where training runs: auto, cpu, cuda or mps.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds that a hospital has to answer an order.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Run it with this many seeds, the study's first, and show the spread.")
    ] = None,
    left_out: Annotated[
        list[str] | None,
        typer.Option(help="Also train without this hospital and test at it, NAME or all; once for each."),
    ] = None,
) -> None:
    """Run a study over hospitals on this machine: folders of yours, or one data set divided by patient."""
    from wardround.simulation.left_out import require_leaving_out
    from wardround.study.assignments import assigned
    from wardround.study.reading import load_study
    from wardround.study.run_settings import load_run, settings_beside

    declared = load_study(study)
    if setting:
        declared = declared.revised(**assigned(setting))
    if declared.analysis is not None:
        refused: dict[str, object] = {
            "--seed": seed, "--own": own_baseline, "--seeds": seeds, "--left-out": left_out, "--task": task,
        }  # fmt: skip
        if not declared.privacy.private:
            refused["--ledgers"] = ledgers
        _refuse_of_learning([option for option, value in refused.items() if value is not None])
    if seed is not None:
        declared = declared.revised(training={"seed": seed})
    if own_baseline is not None:
        declared = declared.revised(evaluation={"own_baseline": own_baseline})
    if epsilon is not None:
        declared = _with_epsilon(declared, epsilon)
    settings = (settings_beside(study) if run is None else load_run(run)).evaluating(model)
    if seeds is not None and declared.evaluates_only:
        raise StudyError("Seeds move training, and this study trains nothing", hint="leave --seeds away: one run has all figures")
    sites = _sites(site or ())
    mappings = _sites(mapping or (), "--mapping", "mapping")
    _warn_of_same_data(sites or {}, mappings)
    division = None if split is None else parse_split(split, hospitals)
    if declared.analysis is not None:
        with_machine = settings.with_run(device=device, deadline_s=deadline, workers=workers)
        _analyse(
            _OneRun(sites, data, division, workers, ledgers, mappings, with_machine, (), shown=not as_json), declared, out, resume
        )
        return
    if left_out:
        require_leaving_out(declared, left_out, _names(sites, division or settings.simulation))
    one = _OneRun(
        sites, data, division, workers, ledgers, mappings, settings.with_run(device=device, deadline_s=deadline, workers=workers),
        tuple(left_out or ()), shown=not as_json, tasks=_sites(task or (), "--task", "task"),
    )  # fmt: skip
    if seeds is None:
        _run_once(one, declared, out, resume=resume)
    else:
        _run_seeds(one, declared, seeds, out, resume=resume)


@dataclass(frozen=True)
class _OneRun:
    """What all runs of one command have in common. shown: for a person, not as JSON."""

    sites: dict[str, str] | None
    data: Path | None
    division: SimulationSection | None
    workers: int | None
    ledgers: Path | None
    mappings: dict[str, str] | None
    settings: RunSettings
    left_out: tuple[str, ...]
    shown: bool
    tasks: dict[str, str] | None = None

    def run(self, study: Study, out: Path | None, *, resume: bool) -> "Run":
        """One run to its end, and then the hospitals that are to be left out."""
        from wardround.simulation.progress import watching
        from wardround.simulation.simulate import simulate as run_simulation

        with watching(self.shown, verbose=is_verbose()) as listener:
            finished = run_simulation(
                study,
                self.sites,
                data=self.data,
                division=self.division,
                out=out,
                resume=resume,
                workers=self.workers,
                listener=listener,
                progress=False,  # drawn here already, or not wanted
                ledgers=self.ledgers,
                mappings=self.mappings,
                tasks=self.tasks,
                run=self.settings,
            )
        return self.leave_out(finished)

    def leave_out(self, finished: "Run") -> "Run":
        """The run with each hospital left out that is to be."""
        from wardround.simulation.left_out import leave_out

        return leave_out(finished, self.left_out, self.settings, self._watch) if self.left_out else finished

    def _watch(self, name: str) -> "AbstractContextManager[Listener]":
        """Progress of the run without a hospital, under a line that names it."""
        from wardround.simulation.progress import watching

        if self.shown:
            typer.echo(f"Without {name}", err=True)
        return watching(self.shown, verbose=is_verbose())


def _analyse(one: _OneRun, study: Study, out: Path | None, resume: bool) -> None:
    """An analysis from its first sum to its tables."""
    from wardround.cli.analysis_tables import show_analysis
    from wardround.simulation.analysing import analyse, load_results
    from wardround.simulation.progress import watching

    with watching(one.shown, verbose=is_verbose()) as listener:
        finished = analyse(
            study,
            one.sites,
            data=one.data,
            division=one.division,
            out=out,
            resume=resume,
            listener=listener,
            run=one.settings,
            progress=False,  # drawn here already, or not wanted
            mappings=one.mappings,
            ledgers=one.ledgers,
        )
    if one.shown:
        show_analysis(finished, verbose=is_verbose())
    else:
        typer.echo(json.dumps(load_results(finished.folder), allow_nan=False))


def _refuse_of_learning(options: list[str]) -> None:
    if options:
        raise StudyError(
            f"{', '.join(options)} changes how a model is learned, and the study asks for an analysis",
            hint="leave it out",
        )


def _run_once(one: _OneRun, study: Study, out: Path | None, *, resume: bool) -> None:
    from wardround.cli.tables import show_run

    finished = one.run(study, out, resume=resume)
    if one.shown:
        show_run(finished, verbose=is_verbose())
    else:
        typer.echo(json.dumps(finished.metrics, allow_nan=False))


def _run_seeds(one: _OneRun, study: Study, count: int, out: Path | None, *, resume: bool) -> None:
    from wardround.cli.spread import show_spread
    from wardround.simulation.comparing import read_run
    from wardround.simulation.run import Run
    from wardround.simulation.seeds import over_seeds
    from wardround.simulation.starting import default_folder

    def run_seed(seed: int, folder: Path, state: "State") -> None:
        if one.shown:
            typer.echo(f"Seed {seed} ({seed - study.training.seed + 1} of {count})", err=True)
        if state == "finished":
            one.leave_out(Run(folder, read_run(folder)))
        else:
            one.run(study.revised(training={"seed": seed}), folder, resume=state == "begun")

    folder = out or default_folder(study).with_name(f"{default_folder(study).name}-seeds")
    outcome = over_seeds(study, count, folder, run_seed, resume=resume)
    if one.shown:
        show_spread(outcome)
    else:
        typer.echo(json.dumps(outcome.to_json(), allow_nan=False))


def _names(sites: dict[str, str] | None, division: SimulationSection | None) -> tuple[str, ...] | None:
    """The hospitals of the run to come; None where the data themselves will name them."""
    if sites:
        return tuple(sites)
    return None if division is None or division.by == "column" else tuple(hospital.name for hospital in division.hospitals)


def _with_epsilon(study: Study, epsilon: float) -> Study:
    if not study.privacy.private:
        raise StudyError("--epsilon needs a private study", found='privacy.mode = "none"', hint="give the study a [privacy] mode")
    return study.with_privacy(epsilon=epsilon, noise_multiplier=None)


def _sites(texts: Sequence[str], option: str = "--site", what: str = "data") -> dict[str, str] | None:
    """Two hospitals of one name would be one, and nobody would be told."""
    named = [_site(text, option, what) for text in texts]
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise StudyError(f"{option} names {', '.join(twice)} more than once", hint="give each hospital a name of its own")
    return dict(named) or None


def _warn_of_same_data(sites: dict[str, str], mappings: dict[str, str] | None) -> None:
    """A trial may do so on purpose; by mistake it counts every patient twice, and no figure shows it."""
    from wardround.simulation.hospitals import of_same_data

    for names in of_same_data(sites, mappings):
        typer.echo(
            f"Warning: hospitals {', '.join(names)} have the same data, so that each of its patients counts "
            f"{len(names)} times in training and in the figures. What to do: unless this is a trial, give each hospital its own.",
            err=True,
        )


def _site(text: str, option: str, what: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not (separator and name and path):
        raise StudyError(f"{option} names a hospital and its {what}", expected="NAME=PATH", found=text)
    return name, path if is_address(path) else str(Path(path).expanduser())


def parse_split(text: str, count: int) -> SimulationSection:
    """What --split says, as the [simulation] section of a run file would.

    >>> parse_split("size=50/30/20", 3).hospitals[0].share > parse_split("size=50/30/20", 3).hospitals[1].share
    True
    """
    division, _, rest = text.partition("=")
    try:
        if division == "column":
            return SimulationSection(by="column")
        if division == "iid":
            return SimulationSection(by="iid", hospitals=_hospitals([1.0] * count))
        if division == "dirichlet":
            return SimulationSection(by="dirichlet", hospitals=_hospitals([1.0] * count), alpha=float(rest or 0.5))
        if division == "size":
            return SimulationSection(by="size", hospitals=_hospitals([float(part) for part in rest.split("/")]))
        if division == "label":
            pairs = [part.split(":") for part in rest.split("/")]
            return SimulationSection(
                by="label", hospitals=_hospitals([float(size) for size, _ in pairs], [float(share) for _, share in pairs])
            )
    except ValueError as error:
        raise StudyError("--split cannot be read", expected=_FORMS, found=text) from error
    raise StudyError("--split cannot be read", expected=_FORMS, found=text)


_FORMS = "iid, column, dirichlet=ALPHA, size=A/B/C, or label=SIZE:POSITIVE/SIZE:POSITIVE/..."


def _hospitals(sizes: list[float], positive: list[float] | None = None) -> tuple[SimulatedHospital, ...]:
    total = sum(sizes)
    return tuple(
        SimulatedHospital(
            name=f"hospital-{index + 1}", share=size / total, positive_share=positive[index] if positive is not None else None
        )
        for index, size in enumerate(sizes)
    )
