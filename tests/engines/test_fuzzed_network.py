"""A few hundred changed requests and answers; the programs beside this send as many as are wanted
(`python -m tests.engines.fuzzing_hub --count 1000000`, and `tests.engines.fuzzing_site`).
"""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from tests.engines import fuzzing_hub, fuzzing_site
from tests.engines.remote.parties import party
from wardround.engines.flower.line_faults import clock_difference, in_words
from wardround.engines.remote.body_client import BodyClient
from wardround.values.errors import EngineError
from wardround.wire.sealed import SealedBody

from .flower.embedded import make_certificates

MOST_MIB = 100


@pytest.mark.slow
def test_changed_requests_at_the_hubs_door_end_in_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a stranger or a registered site sends: no exception, no memory by its word, and honest sites are answered."""
    monkeypatch.setattr(fuzzing_hub, "HONEST_EVERY", 100)
    tally = asyncio.run(fuzzing_hub.fuzz(300, seed=11))
    assert dict(tally.causes) == {} and tally.grown_mib < MOST_MIB
    assert tally.kinds.keys() >= {"fleet", "junk", "line", "enrolment", "bodies"}
    assert len({answer for answer in tally.answers if answer.startswith("fleet")}) >= 4


def test_changed_words_of_a_hub_do_not_end_a_hospitals_service() -> None:
    """Whoever has the hub's port, its TLS or even its keys: what is wrong has a name, and the service goes on."""
    tally = fuzzing_site.fuzz(300, seed=11)
    assert dict(tally.causes) == {} and tally.grown_mib < MOST_MIB
    assert tally.kinds.keys() == {*fuzzing_site.KINDS, "heartbeat", "start and end"} - {"offers"}
    assert tally.answers["messages: taken"] and tally.answers["messages: wire"]


@pytest.mark.parametrize("received", ["", "twelve", "-1", "999999", "²", "1" * 30])
def test_a_hub_that_miscounts_a_body_is_named(tmp_path: Path, received: str) -> None:
    """Found by fuzzing: the service of a hospital ended with a traceback."""
    client = BodyClient("hub:443", make_certificates(tmp_path), party("east"))
    answers = fuzzing_site.Hub(lambda _: httpx.Response(409, headers={"wardround-received": received.encode()}))
    client._client = httpx.Client(base_url="https://hub", transport=answers)
    with pytest.raises(EngineError, match="how much of a body has come"):
        client.put(SealedBody.of(b"hello"))


def test_a_hub_that_takes_nothing_is_not_sent_a_body_for_ever(tmp_path: Path) -> None:
    """It says each time that nothing has come; a hospital would send a hundred megabytes again and again."""
    client = BodyClient("hub:443", make_certificates(tmp_path), party("east"))
    client._patience_s = 0.05
    answers = fuzzing_site.Hub(lambda _: httpx.Response(409, headers={"wardround-received": "0"}))
    client._client = httpx.Client(base_url="https://hub", transport=answers)
    with pytest.raises(EngineError, match="takes nothing more"):
        client.put(SealedBody.of(b"hello"))


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 20 Nov 1995 19:12:08 -0000",
        f"Mon, 20 Nov {'9' * 20} 19:12:08 GMT",
        f"Mon, 20 Nov 1995 19:{'9' * 20}:08 GMT",
        f"Mon, 20 Nov 1995 19:12:08 +{'9' * 40}",
    ],
)
def test_a_date_that_is_none_is_no_fault(date: str) -> None:
    """Found by fuzzing, one in a million: one head line of a hub's refusal ended the hospital's service."""
    request = httpx.Request("POST", "https://hub/")
    refusal = httpx.Response(401, headers={"date": date}, request=request)
    assert clock_difference(refusal) is None
    error = httpx.HTTPStatusError("", request=request, response=refusal)
    assert "does not know this hospital's key" in in_words(error, "hub:443")
    late = format_datetime(datetime.now(UTC) - timedelta(seconds=90), usegmt=True)
    assert clock_difference(httpx.Response(401, headers={"date": late})) == pytest.approx(-90, abs=3)
