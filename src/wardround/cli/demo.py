"""wardround demo: the main job on synthetic X-rays, in under a minute."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.verbosity import is_verbose

if TYPE_CHECKING:
    from wardround.hub.notices import Listener

_MOST_ROUNDS = 100


def demo(
    out: Annotated[Path | None, typer.Option(help="The run folder (default: a new one in runs).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other patients and another model.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, max=_MOST_ROUNDS, help="More rounds learn more and take longer.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the demo in the folder (default: the last one).")] = False,
    workers: Annotated[int | None, typer.Option(min=0, help="Hospitals at work at once; 0: one after the other.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")] = False,
) -> None:
    """Three hospitals learn one chest X-ray model together, on synthetic pictures, and each keeps what is best for it."""
    import json

    from wardround.cli.tables import show_run
    from wardround.simulation.demo import run_demo

    if not as_json:
        typer.echo(
            f"Three hospitals, chest X-rays, {rounds} rounds of federated averaging.\n"
            "The pictures are synthetic: of no patient.\n"
        )
    folder = out or _folder(resume=resume)
    run = run_demo(seed, rounds, out=folder, resume=resume, workers=workers, watch=_watch(shown=not as_json))
    if as_json:
        typer.echo(json.dumps(run.metrics, allow_nan=False))
        return
    show_run(run, verbose=is_verbose())
    longer = f"  wardround demo --rounds {2 * rounds:<10}the same, learning for twice as long\n"
    typer.echo(
        "\nWhat to try next:\n"
        f"  open {run.folder / 'report.html'} in a browser\n"
        f"{longer if 2 * rounds <= _MOST_ROUNDS else ''}"
        "  wardround study new study.toml    a study of your own, every choice explained\n"
        "  wardround data list               public data sets to try it on\n"
        "  wardround simulate study.toml \\\n"
        "      --site north=FOLDER --site south=FOLDER --site west=FOLDER"
    )


def _watch(*, shown: bool) -> "Callable[[str], AbstractContextManager[Listener]]":
    """Progress of each run; under a line that names the hospital that it is without."""
    from wardround.simulation.progress import watching

    def watch(name: str) -> "AbstractContextManager[Listener]":
        if shown and name:
            typer.echo(f"Without {name}: what it would get if it joined late", err=True)
        return watching(shown, verbose=is_verbose())

    return watch


def _folder(*, resume: bool) -> Path:
    """runs/demo, or the first of runs/demo-2, runs/demo-3, ... that is not there yet; to resume, the last that is."""
    folder, number = Path("runs") / "demo", 1
    last = folder
    while folder.exists():
        last = folder
        number += 1
        folder = folder.with_name(f"demo-{number}")
    return last if resume else folder
