"""How long an answer of a hospital may be at the hub: above every honest one, and far below what a machine has."""

import pytest

from wardround.crypto.identity import Identity
from wardround.hub.exchange import REPLY_SPARE, largest_reply
from wardround.plan.plan import Plan
from wardround.plan.releases import releases
from wardround.study.reading import parse_study
from wardround.study.starter import KINDS, starter


@pytest.mark.parametrize("kind", KINDS)
def test_every_share_of_a_study_fits_and_little_more(kind: str) -> None:
    """A hub that refuses an honest answer would wait for ever; one that takes any is filled by one hospital."""
    keys = {name: Identity.new().public for name in ("east", "north", "south")}
    study = parse_study(starter(kind)).revised(sites={"names": tuple(keys), "keys": keys})
    largest = max(release.bytes_each for release in releases(Plan(study)))
    assert largest + (32 << 20) < largest_reply(Plan(study)) < REPLY_SPARE + 20 * largest
