"""Units that an administrator takes as they are: paths are read as they are meant, and a low port has its right."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.hub.daemon.home import HubHome, HubSettings
from wardround.hub.daemon.service import unit_text
from wardround.values.systemd import Unit


def fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_paths_are_written_as_systemd_reads_them() -> None:
    """A folder with a blank or a percent sign would be two folders, or another."""
    folder = Path('/srv/100% "ours"\\here')
    made = fields(Unit("A service", ("/opt/a b/wardround", "hub", "up"), ("WARDROUND_HUB", str(folder)), (folder,)).text)
    assert made["ExecStart"] == '"/opt/a b/wardround" hub up'
    assert made["ReadWritePaths"] == r'"/srv/100%% \"ours\"\\here"'
    assert made["Environment"] == r'"WARDROUND_HUB=/srv/100%% \"ours\"\\here"'


@pytest.mark.parametrize(("port", "low"), [(443, True), (1023, True), (1024, False), (8443, False)])
def test_a_hub_below_1024_is_a_unit_of_the_system(tmp_path: Path, port: int, low: bool) -> None:
    """A user's own unit cannot give the right to such a port: the hub would restart for ever."""
    home = HubHome(tmp_path / "hub")
    home.begin(HubSettings(address=f"hub.test:{port}"))
    made = fields(unit_text(home, "/usr/bin/wardround", "wardround"))
    assert made.get("AmbientCapabilities") == ("CAP_NET_BIND_SERVICE" if low else None)
    assert made.get("User") == ("wardround" if low else None)
    assert made["WantedBy"] == ("multi-user.target" if low else "default.target")


def test_both_commands_print_a_unit(tmp_path: Path) -> None:
    """The text is piped into a file: nothing else may stand in it."""
    HubHome(tmp_path / "hub").begin(HubSettings(address="hub.test:8443"))
    for side in ("hub", "site"):
        told = CliRunner().invoke(app, [side, "unit", "--home", str(tmp_path / side)])
        assert told.exit_code == 0 and told.output.startswith("[Unit]\n")
        assert fields(told.output)["ExecStart"].endswith(f" {side} up") and str(tmp_path / side) in told.output


def test_a_hospitals_unit_goes_through_the_proxy_of_the_shell_it_was_made_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`join` and `doctor` went through it; a service without it would say for ever that nothing answers."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    unit = ["site", "unit", "--home", str(tmp_path)]
    assert "PROXY" not in CliRunner().invoke(app, unit).output
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128/100%")
    monkeypatch.setenv("NO_PROXY", "localhost,.example.org")
    monkeypatch.setenv("HTTP_PROXY", "http://another.example.org:3128")
    lines = CliRunner().invoke(app, unit).output.splitlines()
    assert 'Environment="HTTPS_PROXY=http://proxy.example.org:3128/100%%"' in lines
    assert 'Environment="NO_PROXY=localhost,.example.org"' in lines
    assert not any("another" in line for line in lines)


def test_a_proxys_password_stands_in_no_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are read by everybody on a machine, by `systemctl show` also where the file is not."""
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:secret-word@proxy.example.org:3128")
    text = CliRunner().invoke(app, ["site", "unit", "--home", str(tmp_path)]).output
    assert "secret-word" not in text and "anna" not in text and "EnvironmentFile=" in text
