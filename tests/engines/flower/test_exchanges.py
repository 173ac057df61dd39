"""Sealed messages over a real embedded SuperLink: they arrive, large ones too, and whatever can go wrong is mended."""

import os
import time
from pathlib import Path

import pytest

from tests.engines.flower.embedded import with_sites
from tests.engines.remote.parties import NAMES, STUDY, codes

BIG = 3_000_000


@pytest.mark.parametrize("size", [0, 1000, 1 << 20, BIG])
def test_every_site_answers_what_the_hub_asked_it(size: int, tmp_path: Path) -> None:
    """Inline and detached bodies are one protocol to whoever asks; every site has its own message."""
    outbox = {site: site.encode() + os.urandom(size) for site in NAMES}
    with with_sites(tmp_path) as embedded:
        heard: list[str] = []
        answers = embedded.post.ask("order", STUDY, outbox, 30.0, heard.append)
        assert dict(answers) == {site: site.encode() + b": " + data for site, data in outbox.items()}
        assert sorted(heard) == list(NAMES)
        assert codes(embedded.parties.hub_log()) == ["order-sent"] + ["reply-received"] * 3
        assert not [path for path in (tmp_path / "hub" / "bodies").rglob("*") if path.is_file()]


def test_a_site_that_is_away_is_waited_for_until_the_deadline_and_not_longer(tmp_path: Path) -> None:
    """A round goes on without a hospital whose machine is off."""
    with with_sites(tmp_path, NAMES[1:]) as embedded:
        embedded.post.ask("offer", STUDY, dict.fromkeys(NAMES[1:], b"all are there"), 20.0)
        began = time.monotonic()
        answers = embedded.post.ask("offer", STUDY, dict.fromkeys(NAMES, b"hello"), 1.0)
        assert set(answers) == set(NAMES[1:])
        assert 0.9 < time.monotonic() - began < 3.0
        assert codes(embedded.parties.hub_log())[-1] == "no-answer"
