"""wardround site go-on: a person looks why a site stopped, and lets it answer again."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.site.refusals import ENDING, meaning_of
from wardround.site.store import STATE, SiteState, SiteStore

pytestmark = pytest.mark.permission


def said(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["site", "go-on", *words])
    return result.exit_code, result.output


def stopped_site(folder: Path, reason: str) -> Path:
    store = SiteStore(folder)
    store.write(SiteState(study="s", stopped=reason, uncounted=2))
    store.log(reason, "the reason in full\nwith a traceback")
    store.close()
    return folder


@pytest.mark.parametrize("reason", sorted(ENDING))
def test_a_person_reads_the_reason_and_the_site_goes_on(tmp_path: Path, reason: str) -> None:
    """Only a person can tell a late network from somebody who compares sums."""
    folder = stopped_site(tmp_path / "north", reason)
    code, text = said(str(folder), "--look")
    assert (code, reason in text, meaning_of(reason) in text, "the reason in full" in text) == (0, True, True, True)
    assert "traceback" not in text
    store = SiteStore(folder)
    assert store.stopped() == reason
    store.close()
    code, text = said(str(folder))
    assert (code, "It answers again." in text) == (0, True)
    store = SiteStore(folder)
    assert (store.read().stopped, store.read().uncounted) == ("", 0)
    store.close()
    assert said(str(folder)) == (0, "This site has not stopped.\n")


def test_a_folder_that_is_no_sites_is_refused(tmp_path: Path) -> None:
    """A mistyped path must not become a new site's folder."""
    code, text = said(str(tmp_path))
    assert code == 2
    assert STATE in text
    assert list(tmp_path.iterdir()) == []
