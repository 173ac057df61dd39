"""Whether a hospital's service runs is a question of its lock: what it wrote last stays when it is killed."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.site.daemon.home import SiteHome


def test_a_service_runs_as_long_as_it_has_the_lock(tmp_path: Path) -> None:
    """`site status` said for half a minute that a killed service runs."""
    home = SiteHome(tmp_path / "site")
    assert not home.is_up
    with home.in_use():
        assert home.is_up and SiteHome(home.path).is_up
    assert not home.is_up


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_copy_that_takes_no_lock_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An auditor mounts a backup read-only: its log is shown, and no service runs in it."""
    home = SiteHome(tmp_path / "site")
    home.log.append("begun", "The first line.")

    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    monkeypatch.setattr(Path, "chmod", refused)  # a read-only disk refuses it also where nothing would change
    assert not home.is_up
    shown = CliRunner().invoke(app, ["site", "log", "--home", str(home.path)])
    assert shown.exit_code == 0 and "The first line." in shown.output
