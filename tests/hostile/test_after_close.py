"""What a site still does after `close`, and how the count of refusals is got round."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from wardround.crypto.identity import Identity
from wardround.hub.coordinator import Coordinator
from wardround.hub.sum_coordinator import SumCoordinator
from wardround.plan.sum_plan import Quantity, SumPlan
from wardround.site import masked_participant
from wardround.site.refusals import ENDING, REFUSALS_IN_A_ROW
from wardround.site.sum_site import SumSite
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.log import LOG
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Ask, AskHeader, Order, OrderHeader, Refusal

from ..federation.tiny_federation import site
from ..hub.test_honest_faults import BadDays, masked_study


def closed_run(folder: Path) -> tuple[BadDays, list[bytes]]:
    declared = masked_study(folder)
    engine = BadDays(declared, folder, 1, 0.0)
    sent: list[bytes] = []

    def keep(name: SiteId, data: bytes, handle: Callable[[bytes], bytes]) -> bytes:
        if name == "east":
            sent.append(data)
        return handle(data)

    engine.tamper = keep
    coordinator = Coordinator(declared, engine, folder)
    coordinator.run()
    coordinator.close()
    return engine, sent


@pytest.mark.permission
def test_a_closed_site_makes_no_keys(tmp_path: Path) -> None:
    """After `close` a site gives nothing but the bytes of its answer to it (wire.md, 6.2)."""
    engine, _ = closed_run(tmp_path)
    site = engine._sites[SiteId("east")]
    before = site.store.read()
    assert before.closed
    ask = Ask(AskHeader(study=site.study_hash, what="keys", epoch=before.masked.epoch + 1))
    answer = from_bytes(site.handle(to_bytes(ask)))
    after = site.store.read()
    engine.close()
    assert isinstance(answer, Refusal), (after.masked.epoch, len(after.masked.offered))
    assert not after.masked.offered


@pytest.mark.permission
def test_a_closed_site_keeps_and_gives_no_shares(tmp_path: Path) -> None:
    """`ended` leaves no secret; the stored answers to the last asks hold shares."""
    engine, sent = closed_run(tmp_path)
    site = engine._sites[SiteId("east")]
    opens = [data for data in sent if isinstance(one := from_bytes(data), Ask) and one.header.what == "open"]
    answer = from_bytes(site.handle(opens[-1]))
    said = dict(site.store.read().said)
    engine.close()
    assert isinstance(answer, Refusal), list(answer.arrays)
    assert not said


@pytest.mark.permission
def test_refusals_are_counted_whatever_is_repeated_in_between(tmp_path: Path) -> None:
    """A repeated ask gets stored bytes, costs nothing, and sets the count of refusals to zero."""
    declared = masked_study(tmp_path)
    engine = BadDays(declared, tmp_path, 1, 0.0)
    site = engine._sites[SiteId("east")]
    free = to_bytes(Ask(AskHeader(study=site.study_hash, what="keys", epoch=1)))
    cohort = tuple(sorted(declared.sites.names))
    words = []
    for number in range(200):
        bad = Order(OrderHeader(study=site.study_hash, step="train", round=7000 + number, cohort=cohort, weight=1), {})
        words.append(from_bytes(site.handle(to_bytes(bad))).header.code)
        if number % 40 == 0:
            site.handle(free)
    engine.close()
    assert "stopped" in words, len(words)


@pytest.mark.permission
def test_keys_without_a_sum_end_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new epoch is answered, so it is no refusal: without end, a signature and a write to the disk for a few bytes."""
    monkeypatch.setattr(masked_participant, "KEYS_IN_A_ROW", 9)
    declared = masked_study(tmp_path)

    def asked(epochs: Iterable[int]) -> list[str]:
        one = site("east", declared, tmp_path / "sites" / "east")
        asks = [to_bytes(Ask(AskHeader(study=declared.hash, what="keys", epoch=epoch))) for epoch in epochs]
        answers = [from_bytes(one.handle(ask)) for ask in asks]
        reasons.append(one.store.go_on())
        one.close()
        return [answer.header.code if isinstance(answer, Refusal) else "key" for answer in answers]

    reasons: list[str] = []
    first = asked((1, 1, *range(2, 13)))
    again = asked(range(20, 32))
    assert first == [*["key"] * 10, "refusals", *["stopped"] * 2], "the same ask again is no new key"
    assert reasons == ["refusals"] * 2
    assert again == [*["key"] * 9, "refusals", *["stopped"] * 2]
    honest, _ = closed_run(tmp_path / "honest")
    honest.close()
    assert honest._sites[SiteId("east")].store.read().keys_offered == 0, "a sum begins the count anew"


@pytest.mark.permission
def test_a_sum_site_stops_after_many_refusals(tmp_path: Path) -> None:
    """As the site of a study: somebody tries what it gives. What was not for it counts for nothing, and floods no log."""
    names = ("a", "b", "c")
    identities = {name: Identity.new() for name in names}
    plan = SumPlan("t", {n: i.public for n, i in identities.items()}, {"v": Quantity((1,), 5.0)})
    one = SumSite(plan, "a", identities["a"], lambda *_: {"v": np.ones(1)}, tmp_path)

    def asked(study: str) -> str:
        order = Order(OrderHeader(study=study, step="evaluate", round=7, cohort=names, label="no-such-sum"), {})
        answer = from_bytes(one.handle(to_bytes(order)))
        assert isinstance(answer, Refusal)
        return answer.header.code

    assert [asked("f" * 64) for _ in range(2 * REFUSALS_IN_A_ROW)] == ["study"] * 2 * REFUSALS_IN_A_ROW
    assert len((tmp_path / LOG).read_bytes().splitlines()) < 10
    words = [asked(plan.approved.hash) for _ in range(REFUSALS_IN_A_ROW + 2)]
    one.close()
    assert words == ["not-in-study"] * REFUSALS_IN_A_ROW + ["stopped"] * 2


@pytest.mark.permission
def test_a_sum_site_stops_after_a_word_that_depends_on_its_values(tmp_path: Path) -> None:
    """The closed list and the stop hold for a study's site; here the values are asked for again and again."""
    names = ("a", "b", "c")
    identities = {name: Identity.new() for name in names}
    plan = SumPlan("t", {n: i.public for n, i in identities.items()}, {"v": Quantity((1,), 5.0)})
    calls = []

    def values(_: str, number: int) -> dict[str, np.ndarray]:
        calls.append(number)
        return {"v": np.array([np.nan])}

    sites = {
        SiteId(n): SumSite(plan, n, identities[n], values if n == "a" else lambda *_: {"v": np.ones(1)}, tmp_path / n)
        for n in names
    }
    words: list[str] = []

    def trip(outbox):  # type: ignore[no-untyped-def]
        answers = {site: sites[site].handle(data) for site, data in outbox.items()}
        words.extend(m.header.code for a in answers.values() if isinstance(m := from_bytes(a), Refusal))
        return answers

    for _ in range(2):
        with pytest.raises(EngineError):
            SumCoordinator(plan, trip, tmp_path / "hub").sum()
    for one in sites.values():
        one.close()
    assert len(calls) == 1, (calls, words)
    assert set(words) <= ENDING | {"stopped"}, words
