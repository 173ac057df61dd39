"""Whatever is killed while a hospital joins or changes its keys goes on where it was."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from wardround.site.daemon.joining import join, rotate, status

from .loopback import hub_in, site_in, up
from .requests_by_hand import TestSite

STEPS = 120


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a child that it forked")
def test_a_kill_at_any_step_costs_neither_the_invitation_nor_a_key(tmp_path: Path) -> None:
    """The request is on the disk before it leaves, and new keys take the place of the old ones by one switch."""
    hub, folder = hub_in(tmp_path / "hub"), tmp_path / "sites"
    folder.mkdir()
    for step in range(1, STEPS):
        (folder / f"{step}.invitation").write_text(hub.invite(f"site-{step}").text)
    home = site_in(folder / "moving")
    other = hub_in(folder / "hub")
    site = TestSite.new(folder, "other")
    (folder / "request").write_bytes(site.enrolment(other.invite("other").code, other.card, other.clock()))
    (folder / "card.json").write_text(json.dumps(asdict(other.card)))
    with up(hub):
        hub.roster.confirm("moved", join(hub.invite("moved").text.encode(), home).words)
        status(home)
        hub.roster.confirm("moved", rotate(home).words)
        script = Path(__file__).with_name("killed_joining.py")
        done = subprocess.run(
            [sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=600, check=False
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [one["faults"] for one in result.values()] == [[], [], []]
    assert result["joining"]["steps"] > 20 and result["moving"]["steps"] > 8 and result["entering"]["steps"] > 4
    assert {f"site-{step}" for step in range(1, result["joining"]["steps"] + 1)} == set(hub.roster.waiting())
