"""wardround site up | unit | status | doctor."""

import json
import shutil
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wardround.cli.site.homes import HomeOption, own_card, site_home
from wardround.values.printable import printable, printable_lines

FRESH_S = 30.0
"""A service that has not told how it stands for longer has ended, or hangs."""


def up(home: HomeOption = None) -> None:
    """Speak for this hospital: wait for the hub's messages and answer them, until this is stopped. Best as a service (unit)."""
    from wardround.cli.site.wiring import serve, wait_until_confirmed
    from wardround.site.daemon.policy import load_policy
    from wardround.site.daemon.service import keep_to

    site = site_home(home)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with site.in_use():
        wait_until_confirmed(site, stop)
        keep_to(load_policy(site.policy_file))
        site.log.append("started", "The service was started.")
        serve(site, stop, _say)
        site.log.append("stopped", "The service was stopped.")


def _say(sentence: str) -> None:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    typer.echo(f"{now}  {printable_lines(sentence)}")
    sys.stdout.flush()


def unit(home: HomeOption = None) -> None:
    """Print a systemd unit for `wardround site up`; docs/deploy.md says where it goes."""
    from wardround.site.daemon.policy import load_policy
    from wardround.site.daemon.service import unit_text

    site = site_home(home)
    command = shutil.which("wardround") or sys.argv[0]
    typer.echo(unit_text(site.path, str(Path(command).resolve()), load_policy(site.policy_file)), nl=False)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
    home: HomeOption = None,
) -> None:
    """Say whether the service runs, how its line to the hub stands, and what waits for a person."""
    from wardround.site.daemon.hub_record import HubRecord
    from wardround.site.daemon.service import ServiceState

    site = site_home(home)
    hub = HubRecord.required(site)
    state = ServiceState.of(site)
    running = state is not None and time.time() - state.at < FRESH_S and site.is_up
    waiting = _waiting(home)
    if as_json:
        told = {"site": hub.name, "hub": hub.address, "running": running, "line": state.line if state and running else ""}
        typer.echo(json.dumps({**told, "studies_to_decide": len(waiting)}))
        return
    typer.echo(f"{hub.name}, at the hub {hub.address}")
    if not running or state is None:
        typer.echo("The service does not run. Start it: wardround site up")
    else:
        last = datetime.fromtimestamp(state.last_message, UTC).isoformat(timespec="seconds") if state.last_message else "none yet"
        typer.echo(printable(f"The service runs (process {state.process}). Line: {state.line}"))
        typer.echo(f"{state.messages} messages answered; the last: {last}")
    for sentence in waiting:
        typer.echo(sentence)


def _waiting(home: Path | None) -> list[str]:
    """A line for each study that nobody has decided about."""
    from wardround.cli.site.homes import offers_of
    from wardround.site.daemon.approvals import Decisions
    from wardround.site.daemon.offers import OfferedStudy

    site = site_home(home)
    decisions = Decisions(site.studies, own_card(site).name, site.identity)
    return [
        printable(f"waits for your decision: {study[:12]} {offered.study.question.title} (wardround site review {study[:12]})")
        for study, offered in offers_of(site).readable()
        if isinstance(offered, OfferedStudy) and decisions.of(study) is None
    ]


def doctor(home: HomeOption = None) -> None:
    """Look for what is wrong on this machine and on the way to the hub, with its mend. Exit code 5 where one is needed."""
    from wardround.site.daemon.doctor import examine
    from wardround.values.errors import EngineError

    findings = examine(site_home(home))
    for finding in findings:
        typer.echo(printable_lines(f"{finding.level:8} {finding.check}: {finding.text}"))
        if finding.mend:
            typer.echo(printable_lines(f"         {finding.mend}"))
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(EngineError.exit_code)
