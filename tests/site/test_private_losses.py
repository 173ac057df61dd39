"""Private masked runs that lose sites: to the network, to a budget, to a coordinator that bends its orders. What is opened
carries the promised noise all the same, and a refusal is a word."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wardround.hub.checkpoint import RoundHistory, load
from wardround.hub.coordinator import Coordinator
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy.gaussian_mechanism import NoisedFrame, protect_noised
from wardround.privacy.ledger.ledger import Ledger
from wardround.privacy.mechanism import reveal
from wardround.study.declaration import Study
from wardround.values.contribution import Contribution
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, flatten
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Order, Refusal

from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, Handle, Tamper, Ward, enrolled, files_in, run, ward
from ..hub.test_private_faults import ledger_at, trains

FALSE_ALARM = 5.5
"""Standard deviations: one false alarm in 20 million honest looks."""


def history_of(folder: Path) -> tuple[RoundHistory, ...]:
    progress = load(folder)
    assert progress is not None
    return progress.history


# --- Noise that remains ---------------------------------------------------------------------------------------------------------


def with_sites(of: Study, count: int) -> Study:
    names = tuple(f"s{number}" for number in range(count))
    privacy = of.privacy.changed(public_patients=20)
    return of.changed(privacy=privacy, sites=of.sites.changed(names=names))


def worlds() -> Iterator[tuple[int, int, int, int]]:
    """(n, c, t, counted): every number of sites that can be left, for federations of three to six."""
    for sites, collusion in ((3, 0), (3, 1), (4, 1), (5, 0), (5, 1), (6, 2)):
        threshold = with_sites(private_study(collusion=collusion), sites).quorum.threshold
        yield from ((sites, collusion, threshold, counted) for counted in range(threshold, sites + 1))


@pytest.mark.parametrize(("sites", "collusion", "threshold", "counted"), list(worlds()))
def test_whoever_is_lost_the_honest_shares_carry_the_noise_that_is_accounted(
    sites: int, collusion: int, threshold: int, counted: int
) -> None:
    """The coordinator and c sites take their own shares out of a total over as few as t sites: sigma^2 must remain, and just that
    over t. (A share of sigma^2 / t, say, would be seen: 20,000 values leave 1 %.)"""
    noise, clip, size = 3.0, 0.5, 20_000
    of = with_sites(private_study(collusion=collusion, noise=noise, clip=clip), sites)
    frame: NoisedFrame = PrivatePlan(of, size).frame({"gradient": {"w": (size,)}}, 60)
    nothing = Contribution({"gradient": {"w": np.zeros(size)}}, 20)
    shares = [protect_noised(nothing, {}, frame)[frame.words] for _ in range(counted)]
    total = np.sum(shares, axis=0, dtype=frame.noise_grid.word)
    known = np.sum(shares[:collusion], axis=0, dtype=frame.noise_grid.word)
    left: NDArray[np.float64] = frame.noise_grid.decode(total - known)
    ratio = float(np.var(left)) / (noise * clip) ** 2
    expected = (counted - collusion) / (threshold - collusion)
    spread = math.sqrt(2 / size)
    assert ratio >= 1 - FALSE_ALARM * spread
    assert ratio == pytest.approx(expected, rel=FALSE_ALARM * spread + 0.01)


def totals_of(of: Study, folder: Path, monkeypatch: pytest.MonkeyPatch, tamper: Tamper) -> list[NDArray[np.float64]]:
    """What the coordinator opened, round by round."""
    found: list[NDArray[np.float64]] = []

    def watching(total: Tree, reference: Any, frame: Any, weight: int = 0, *more: Any) -> Contribution:
        revealed = reveal(total, reference, frame, weight, *more)
        found.append(flatten(revealed.values["gradient"]))
        return revealed

    with monkeypatch.context() as patched:
        patched.setattr("wardround.hub.coordinator.reveal", watching)
        run(of, folder, tamper)
    return found


@pytest.mark.slow
def test_a_run_with_a_site_lost_opens_totals_with_the_noise_of_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through words, masks and recovery. Two runs of one round differ by their noise alone. n = 3, c = 0, t = 2."""
    of = private_study(rounds=2, noise=2.0, collusion=0)
    of = of.changed(network=of.network.changed(hidden=(2000,)))

    def without_east(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        header = trains(data)
        return None if name == "east" and header and header.round == 2 else handle(data)

    (_, one), (_, other) = (totals_of(of, tmp_path / which, monkeypatch, without_east) for which in ("a", "b"))
    assert [entry.counted for entry in history_of(tmp_path / "a")] == [NAMES, ("north", "south")]
    ratio = float(np.var(one - other)) / (2 * (2.0 * 1.0) ** 2)
    assert ratio == pytest.approx(1.0, abs=FALSE_ALARM * math.sqrt(2 / one.size))


# --- Budgets that end in the middle ---------------------------------------------------------------------------------------------


def lowering(folder: Path) -> Tamper:
    """North's data manager lowers its budget when round 2 has begun."""

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        header = trains(data)
        if name == "north" and header is not None and header.round == 2 and header.masked.attempt == 1:
            ledger_at(folder / "sites" / "north").set_budget(0.0625, 1e-3)
        return handle(data)

    return tamper


def refusals(answers: list[bytes]) -> list[Refusal]:
    return [found for found in map(from_bytes, answers) if isinstance(found, Refusal)]


@pytest.mark.slow
def test_a_budget_that_ends_in_the_middle_loses_that_site_by_one_word(tmp_path: Path) -> None:
    """The others are enough here, and go on; nobody learns what was left."""
    of = enrolled(private_study(collusion=0), tmp_path)
    with ward(of, tmp_path, lowering(tmp_path)) as engine:
        coordinator = Coordinator(of, engine, tmp_path)
        coordinator.run()
        coordinator.close()
        assert_only_the_word(engine)
    assert [entry.counted for entry in history_of(tmp_path)] == [NAMES, ("east", "south"), ("east", "south")]
    assert history_of(tmp_path)[1].lost == {"north": "budget"}
    assert sum(ledger_at(tmp_path / "sites" / "north").spent().values()) == 1
    assert sum(ledger_at(tmp_path / "sites" / "east").spent().values()) == 3


@pytest.mark.slow
def test_a_budget_that_ends_where_every_site_is_needed_stops_the_run(tmp_path: Path) -> None:
    """Three sites and c = 1 need all three: two shares of noise would be too few. What the others had worked out stays charged,
    once, and is used when the run goes on."""
    of = enrolled(private_study(), tmp_path)
    with ward(of, tmp_path, lowering(tmp_path)) as engine:
        with pytest.raises(EngineError, match="north: budget") as stopped:
            Coordinator(of, engine, tmp_path).run()
        assert "0.0625" not in str(stopped.value)
        assert_only_the_word(engine)
        assert [sum(ledger_at(tmp_path / "sites" / name).spent().values()) for name in NAMES] == [2, 1, 2]
        ledger_at(tmp_path / "sites" / "north").set_budget(1e6, 1e-3)
        engine.tamper = lambda name, data, handle: handle(data)  # noqa: ARG005
        Coordinator(of, engine, tmp_path).run()
    assert [entry.counted for entry in history_of(tmp_path)] == [NAMES] * 3
    assert [sum(ledger_at(tmp_path / "sites" / name).spent().values()) for name in NAMES] == [3, 3, 3]


def assert_only_the_word(engine: Ward) -> None:
    found = refusals(engine.answers)
    assert {refusal.header.code for refusal in found} == {"budget"}
    sent = b"".join(map(to_bytes, found))
    assert b"0.0625" not in sent
    assert np.float64(0.0625).tobytes() not in sent
    assert len({len(to_bytes(refusal)) for refusal in found}) == 1


# --- Orders that are bent -------------------------------------------------------------------------------------------------------


def bent(data: bytes, bundle: Tree | None = None, **changes: Any) -> bytes:
    """A masked training order with `changes` to its header, or to `masked` in it."""
    message = from_bytes(data)
    assert isinstance(message, Order)
    header = message.header
    inner: dict[str, Any] = {name: changes.pop(name) for name in ("attempt", "turn") if name in changes}
    if inner:
        assert header.masked is not None
        changes["masked"] = header.masked.revised(**inner)
    return to_bytes(Order(header.revised(**changes), message.arrays if bundle is None else bundle))


def shifted(data: bytes) -> Tree:
    message = from_bytes(data)
    assert isinstance(message, Order)
    return {name: array + np.float32(1.0) for name, array in message.arrays.items()}


def model_alone(data: bytes) -> Tree:
    message = from_bytes(data)
    assert isinstance(message, Order)
    return {name: array for name, array in message.arrays.items() if name.startswith("model/")}


def questions(data: bytes) -> dict[str, tuple[bytes, str]]:
    """To be asked after the order `data` was answered: what, the bytes, the word."""
    masked = trains(data).masked
    later = {"attempt": masked.attempt + 1, "turn": masked.turn + 1}
    return {
        "without masks": (bent(data, masked=None), "old-round"),
        "the next round without masks": (bent(data, masked=None, round=2), "not-masked"),
        "the same attempt": (bent(data, turn=masked.turn + 1), "old-attempt"),
        "the same turn": (bent(data, attempt=masked.attempt + 1), "old-turn"),
        "another model": (bent(data, shifted(data), **later), "other-content"),
        "another weight": (bent(data, weight=77, **later), "other-content"),
        "a cohort below the threshold": (bent(data, cohort=("east", "north"), round=2, **later), "cohort-too-small"),
        "a second name": (bent(data, label="again", **later), "not-in-study"),
        "a second name for the next round": (bent(data, label="again", round=2, **later), "not-in-study"),
        "a round after the last": (bent(data, round=3, **later), "not-in-study"),
        "scores under a mask": (
            bent(data, step="evaluate", round=2, label="federated", weight=0, bundle=model_alone(data), **later),
            "masked",
        ),
        "an own model": (bent(data, step="own", masked=None), "not-in-study"),
        "open again": (bent(data, step="open", round=0, weight=0, masked=None), "already-open"),
        "another study": (bent(data, study="f" * 64), "study"),
    }


@pytest.mark.slow
def test_every_bent_order_is_refused_and_costs_nothing(tmp_path: Path) -> None:
    """After the first round was answered. Neither the site's files nor its ledger change, and the run goes on as if nothing had
    been asked."""
    of = private_study(rounds=2)
    asked: dict[str, str] = {}

    def bending(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        answer = handle(data)
        header = trains(data)
        if name == "north" and header is not None and header.round == 1:
            before = files_in(tmp_path / "sites" / "north")
            for what, (order, word) in questions(data).items():
                found = from_bytes(handle(order))
                assert isinstance(found, Refusal), what
                assert found.header.code == word, what
                asked[what] = found.header.code
            assert files_in(tmp_path / "sites" / "north") == before
            assert handle(data) == answer
        return answer

    run(of, tmp_path, bending)
    assert len(asked) == 14
    assert [entry.counted for entry in history_of(tmp_path)] == [NAMES, NAMES]
    assert sum(Ledger(tmp_path / "sites" / "north" / "ledger.sqlite").spent().values()) == 2
