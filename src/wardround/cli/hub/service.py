"""wardround hub up | unit | log."""

import getpass
import shutil
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from wardround.cli.hub.homes import HubOption, hub_home
from wardround.cli.site.policy import SHOWN, show_log
from wardround.values.printable import printable_lines


def up(home: HubOption = None) -> None:
    """Run the hub: hospitals connect, studies go on, the dashboard shows them. Until this is stopped; best as a service."""
    from wardround.cli.hub.wiring import hub_service
    from wardround.values.allocator import give_back_at_once

    give_back_at_once()
    hub = hub_home(home)
    settings = hub.settings
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with hub.in_use(), hub_service(hub, _say) as service:
        _say(f"hospitals connect to {settings.address}")
        service.run(stop)


def _say(sentence: str) -> None:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    typer.echo(f"{now}  {printable_lines(sentence)}")
    sys.stdout.flush()


def unit(home: HubOption = None) -> None:
    """Print a systemd unit for `wardround hub up`; docs/deploy.md says where it goes."""
    from wardround.hub.daemon.service import unit_text

    command = shutil.which("wardround") or sys.argv[0]
    typer.echo(unit_text(hub_home(home), str(Path(command).resolve()), getpass.getuser()), nl=False)


def log(
    number: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many of the last lines.")] = SHOWN,
    check: Annotated[bool, typer.Option("--verify", help="Follow the chain from the first line to the last.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are kept, one JSON object each.")] = False,
    home: HubOption = None,
) -> None:
    """Show what the hub has asked, heard and decided; or prove that no line was changed."""
    show_log(hub_home(home).path / "log", number, check=check, as_json=as_json)
