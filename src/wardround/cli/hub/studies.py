"""wardround hub run | status | stop | resume."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardround.cli.hub.homes import HubOption, StudyArgument, hub_home, roster_of
from wardround.cli.hub.standing import hub_lines, names, standing, study_lines
from wardround.values.errors import EngineError, RunError, WardroundError
from wardround.values.printable import printable_lines

if TYPE_CHECKING:
    from wardround.hub.daemon.home import HubHome
    from wardround.hub.daemon.roster import Roster
    from wardround.hub.daemon.studies import StudyFolder
    from wardround.hub.daemon.study_state import StudyState
    from wardround.study.declaration import Study
    from wardround.study.run_settings import RunSettings

LOOK_S = 0.5
_OVER = ("finished", "failed", "declined", "stopped")


def run(
    study: Annotated[Path, typer.Argument(help="The study file (TOML), as it was tried with `wardround simulate`.")],
    run_settings: Annotated[
        Path | None, typer.Option("--run", help="The settings of this machine (default: STUDY.run.toml beside it, if there).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The finished model of a study that evaluates only: a run folder, model.safetensors, or its name."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show how it goes on until it is over.")] = False,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Say in every page that the records are of no patient.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
    home: HubOption = None,
) -> None:
    """Hand a study to the hub: it is offered to its hospitals, and runs when all have approved."""
    from wardround.hub.daemon.studies import fitted, submit
    from wardround.study.reading import load_study
    from wardround.study.run_settings import load_run, settings_beside

    hub = hub_home(home)
    declared = load_study(study)
    settings = (settings_beside(study) if run_settings is None else load_run(run_settings)).evaluating(model)
    content = _evaluated(declared, settings)
    whole = fitted(declared, roster_of(hub))
    folder, new = submit(hub, whole, settings, lead=hub.settings.title, synthetic=synthetic, model=content)
    if as_json:
        typer.echo(json.dumps({"study": folder.hash, "new": new, "hospitals": list(whole.sites.names)}))
        return
    typer.echo(f"{'Handed to the hub' if new else 'The hub has this study already'}: {folder.hash[:12]}")
    typer.echo(f"It waits for the approval of {names(list(whole.sites.names))}." if new else f"It is {folder.state.phase}.")
    if not hub.is_up:
        typer.echo("The hub is not up: wardround hub up")
    if wait:
        _watch(folder)
    else:
        typer.echo(f"See how it goes on: wardround hub status {folder.hash[:12]}")


def _evaluated(study: "Study", settings: "RunSettings") -> bytes | None:
    """The file of the model that the study evaluates; None of a study that trains one. StudyError where nobody said where it
    lies, or where one was named in vain."""
    from wardround.prediction.finished_model import evaluated_content, require_model_or_none

    require_model_or_none(study, settings)
    return evaluated_content(study, settings) if study.evaluates_only else None


def status(
    study: Annotated[str | None, typer.Argument(help="One study, more closely: its hash or title.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
    home: HubOption = None,
) -> None:
    """Show who is in the roster and how the studies stand; or one study: who has approved, what is asked, each round."""
    from wardround.hub.daemon.studies import find, folders

    hub = hub_home(home)
    roster = roster_of(hub)
    chosen = folders(hub) if study is None else (find(hub, study),)
    view = _view(hub, roster, chosen)
    if as_json:
        typer.echo(json.dumps(view))
    elif study is None:
        typer.echo("\n".join(hub_lines(view)))
    elif view["studies"]:
        typer.echo("\n".join(study_lines(view["studies"][0])))
    else:
        raise RunError("The study cannot be read", found=view["damaged"][0]["reason"])


def _view(hub: "HubHome", roster: "Roster", chosen: "Sequence[StudyFolder]") -> dict[str, Any]:
    """What is shown of these studies, from the hub's folder alone: who is connected is known to the process of the hub."""
    from wardround.hub.daemon.status import Lines, hub_view

    states: list[tuple[StudyFolder, StudyState]] = []
    damaged: dict[str, str] = {}
    for folder in chosen:
        try:
            states.append((folder, folder.state))
        except WardroundError as error:
            damaged[folder.hash] = str(error)
    return hub_view(hub, roster.entries(), states, lines=Lines(), damaged=damaged, up=hub.is_up)


def stop(study: StudyArgument, home: HubOption = None) -> None:
    """Halt a study where it stands. It goes on from there with `resume`."""
    _say(hub_home(home), study, "stop")


def resume(study: StudyArgument, home: HubOption = None) -> None:
    """Let a study go on that was stopped, declined or failed; one that waits goes on with the hospitals that are there."""
    _say(hub_home(home), study, "resume")


def _say(hub: "HubHome", start: str, wish: str) -> None:
    from wardround.hub.daemon.studies import find

    folder = find(hub, start)
    folder.say("stop" if wish == "stop" else "resume")
    when = "within a second or two" if hub.is_up else "when the hub is up: wardround hub up"
    typer.echo(f"{folder.hash[:12]} will {wish}, {when}.")


def _watch(folder: "StudyFolder") -> None:
    """A line for each change, until the study is over. EngineError where it is over before its end."""
    from wardround.hub.daemon.status import study_view

    told = ""
    while True:
        state = folder.state
        line = printable_lines(standing(study_view(folder, state)))
        if line != told:
            typer.echo(line)
            told = line
        if state.phase in _OVER:
            break
        time.sleep(LOOK_S)
    if state.phase != "finished":
        raise EngineError(f"The study is {state.phase}", found=state.reason, hint=state.mend)
    made = "Record and report" if folder.study().evaluates_only else "Model, record and report"
    typer.echo(f"{made}: {folder.run}")
