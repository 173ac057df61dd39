"""wardround simulate: a study over hospitals on this machine."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from wardround.cli.verbosity import is_verbose
from wardround.study.declaration import Study
from wardround.study.sections.simulation import SimulatedHospital, SimulationSection
from wardround.values.address import is_address
from wardround.values.errors import StudyError


def simulate(
    study: Annotated[Path, typer.Argument(help="The study file (TOML).")],
    site: Annotated[list[str] | None, typer.Option(help="A hospital and its data, NAME=PATH; once for each.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option(help="A hospital's own mapping of its table, NAME=FILE; once for each that has one.")
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
    device: Annotated[str | None, typer.Option(help="Where training runs: auto, cpu, cuda or mps.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds that a hospital has to answer an order.")] = None,
) -> None:
    """Run a study over hospitals on this machine: folders of yours, or one data set divided by patient."""
    from wardround.cli.tables import show_run
    from wardround.simulation.progress import watching
    from wardround.simulation.simulate import simulate as run_simulation
    from wardround.study.assignments import assigned
    from wardround.study.reading import load_study
    from wardround.study.run_settings import load_run, settings_beside

    declared = load_study(study)
    if setting:
        declared = declared.revised(**assigned(setting))
    if own_baseline is not None:
        declared = declared.revised(evaluation={"own_baseline": own_baseline})
    if epsilon is not None:
        declared = _with_epsilon(declared, epsilon)
    settings = settings_beside(study) if run is None else load_run(run)
    sites = _sites(site or ())
    mappings = _sites(mapping or (), "--mapping", "mapping")
    _warn_of_same_data(sites or {}, mappings)
    with watching(not as_json, verbose=is_verbose()) as listener:
        finished = run_simulation(
            declared,
            sites,
            data=data,
            division=None if split is None else parse_split(split, hospitals),
            out=out,
            resume=resume,
            workers=workers,
            seed=seed,
            listener=listener,
            progress=False,  # drawn here already, or not wanted
            ledgers=ledgers,
            mappings=mappings,
            run=settings.with_run(device=device, deadline_s=deadline),
        )
    if as_json:
        typer.echo(json.dumps(finished.metrics, allow_nan=False))
    else:
        show_run(finished, verbose=is_verbose())


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
