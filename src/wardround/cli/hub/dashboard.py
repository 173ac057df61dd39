"""wardround hub dashboard; and the dashboard of `hub up`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from wardround.cli.hub.homes import HubOption, hub_home
from wardround.values.errors import RunError

if TYPE_CHECKING:
    from wardround.hub.daemon.home import HubHome
    from wardround.hub.daemon.roster import Roster
    from wardround.hub.daemon.service import HubService
    from wardround.hub.daemon.status import Lines
    from wardround.hub.dashboard.app import Wishes
    from wardround.hub.dashboard.feed import Feed


def dashboard(home: HubOption = None) -> None:
    """Print the address of the hub's page, with a code that lets one browser in once."""
    from wardround.hub.dashboard.access import login_code

    hub = hub_home(home)
    code = login_code(hub.path)
    if not hub.is_up or code is None:
        raise RunError("The hub is not up, and its page is served by it", hint="wardround hub up")
    typer.echo(f"http://{hub.settings.dashboard}/#{code}")
    typer.echo("Good once, for one browser tab. On another machine first: ssh -L (docs/deploy.md)", err=True)


@contextmanager
def dashboard_beside(
    home: "HubHome",
    roster: "Roster",
    service: "HubService",
    feed: "Feed",
    lines: "Callable[[], Lines]",
    say: Callable[[str], None],
) -> Iterator[None]:
    """Serves the page while the block runs. lines: how the lines to the hospitals stand now."""
    from wardround.hub.dashboard.access import Sessions
    from wardround.hub.dashboard.app import Dashboard
    from wardround.hub.dashboard.server import served
    from wardround.values.served_port import allowed_hosts, is_loopback

    def view() -> dict[str, Any]:
        return view_of(home, roster, service, lines())

    listen, names = home.settings.dashboard, home.settings.dashboard_hosts
    pages = Dashboard(view, _wishes(home, roster), Sessions(home.path), feed, allowed_hosts(listen, names))
    with served(pages.app(), listen):
        say(f"its page: http://{listen}/ (log in with: wardround hub dashboard)")
        if not is_loopback(listen):
            say(f"warning: {listen} can be reached from other machines, and the page has no TLS: put a TLS proxy before it")
        try:
            yield
        finally:
            feed.close()


def view_of(home: "HubHome", roster: "Roster", service: "HubService", lines: "Lines") -> dict[str, Any]:
    """What the page shows."""
    from wardround.hub.daemon.status import hub_view

    return hub_view(home, roster.entries(), service.studies(), lines=lines, damaged=service.damaged, up=True)


def _wishes(home: "HubHome", roster: "Roster") -> "Wishes":
    from wardround.hub.daemon.studies import find

    def confirm(fields: Mapping[str, str]) -> None:
        roster.confirm(fields.get("name", ""), fields.get("words", ""))

    return {
        "stop": lambda fields: find(home, fields.get("study", "")).say("stop"),
        "resume": lambda fields: find(home, fields.get("study", "")).say("resume"),
        "confirm": confirm,
        "turn-away": lambda fields: roster.turn_away(fields.get("name", "")),
    }
