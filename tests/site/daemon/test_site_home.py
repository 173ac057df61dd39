"""Whether a hospital's service runs is a question of its lock: what it wrote last stays when it is killed."""

from pathlib import Path

from wardround.site.daemon.home import SiteHome


def test_a_service_runs_as_long_as_it_has_the_lock(tmp_path: Path) -> None:
    """`site status` said for half a minute that a killed service runs."""
    home = SiteHome(tmp_path / "site")
    assert not home.is_up
    with home.in_use():
        assert home.is_up and SiteHome(home.path).is_up
    assert not home.is_up
