"""wardround hub run | status | stop | resume."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.hub.homes import HubOption, StudyArgument, hub_home, roster_of
from wardround.values.errors import EngineError
from wardround.values.printable import printable, printable_lines

if TYPE_CHECKING:
    from wardround.hub.daemon.home import HubHome
    from wardround.hub.daemon.studies import StudyFolder
    from wardround.hub.daemon.study_state import StudyState

LOOK_S = 0.5
_OVER = ("finished", "failed", "declined", "stopped")


def run(
    study: Annotated[Path, typer.Argument(help="The study file (TOML), as it was tried with `wardround simulate`.")],
    run_settings: Annotated[
        Path | None, typer.Option("--run", help="The settings of this machine (default: STUDY.run.toml beside it, if there).")
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
    settings = settings_beside(study) if run_settings is None else load_run(run_settings)
    whole = fitted(declared, roster_of(hub))
    folder, new = submit(hub, whole, settings, lead=hub.settings.title, synthetic=synthetic)
    if as_json:
        typer.echo(json.dumps({"study": folder.hash, "new": new, "hospitals": list(whole.sites.names)}))
        return
    typer.echo(f"{'Handed to the hub' if new else 'The hub has this study already'}: {folder.hash[:12]}")
    typer.echo(f"It waits for the approval of {', '.join(whole.sites.names)}." if new else _line(folder.state))
    if not hub.is_up:
        typer.echo("The hub is not up: wardround hub up")
    if wait:
        _watch(folder)
    else:
        typer.echo(f"See how it goes on: wardround hub status {folder.hash[:12]}")


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
    if as_json:
        hospitals = {str(entry.name): entry.state for entry in roster.entries()}
        told = {"address": hub.settings.address, "up": hub.is_up, "hospitals": hospitals}
        typer.echo(json.dumps({**told, "studies": [json.loads(folder.state.model_dump_json()) for folder in chosen]}))
        return
    if study is not None:
        _show(chosen[0])
        return
    typer.echo(f"The hub at {hub.settings.address} is {'up' if hub.is_up else 'not up: wardround hub up'}")
    for entry in roster.entries():
        waits = f"  (wardround hub confirm {entry.name})" if entry.state == "waiting" else ""
        typer.echo(f"  {entry.name:24} {entry.state}{waits}")
    for folder in chosen:
        typer.echo(f"{folder.hash[:12]}  {printable(_title(folder))}\n              {_line(folder.state)}")
    if not chosen:
        typer.echo("No study yet: wardround hub run STUDY")


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


def _title(folder: "StudyFolder") -> str:
    return folder.study().question.title


def _line(state: "StudyState") -> str:
    """How a study stands, in one or two lines."""
    told: str = state.phase
    if state.phase == "offered":
        told += f": waits for the approval of {', '.join(state.missing_approvals)}" if state.missing_approvals else ""
    elif state.exchange is not None and state.phase == "running":
        now = state.exchange
        silent = [site for site in now.asked if site not in now.answered]
        number = f" {now.number} of {now.rounds}" if now.rounds else ""
        told += f": {now.step}{number}" + (f", waits for {', '.join(silent)}" if silent else "")
    if state.reason:
        told += f". {state.reason}"
    return printable_lines(told + (f"\n              {state.mend}" if state.mend else ""))


def _show(folder: "StudyFolder") -> None:
    state = folder.state
    typer.echo(f"{printable(_title(folder))}\nstudy {folder.hash}\n{_line(state)}\n")
    for site, standing in sorted(state.sites.items()):
        by = "" if standing.approval is None else f" by {standing.approval.statement.by}"
        word = f"; last refusal: {standing.word}" if standing.word else ""
        fault = f" ({standing.fault})" if standing.fault else ""
        typer.echo(printable(f"  {site:24} {standing.state}{by}{fault}{word}"))
    for one in state.rounds:
        figures = "".join(
            f"  {name} {value:.4f}" for name, value in (("loss", one.loss), (state.score_name, one.score)) if value is not None
        )
        lost = f"  without {', '.join(sorted(one.lost))}" if one.lost else ""
        discarded = f"  not used: {one.discarded}" if one.discarded else ""
        typer.echo(printable(f"  round {one.number:4} {one.seconds:8.1f} s{figures}{lost}{discarded}"))
    if state.phase == "finished":
        typer.echo(f"\nModel, record and report: {folder.run}")


def _watch(folder: "StudyFolder") -> None:
    """A line for each change, until the study is over. EngineError where it is over without a model."""
    told = ""
    while True:
        state = folder.state
        line = _line(state)
        if line != told:
            typer.echo(line)
            told = line
        if state.phase in _OVER:
            break
        time.sleep(LOOK_S)
    if state.phase != "finished":
        raise EngineError(f"The study is {state.phase}", found=state.reason, hint=state.mend)
    typer.echo(f"Model, record and report: {folder.run}")
