"""Sums of arrays over sites: exact for whole numbers, within the stated error for real ones, and nothing else leaves a site."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wardround as wr
from wardround.crypto.identity import Identity
from wardround.hub.sum_coordinator import SumCoordinator
from wardround.plan.sum_plan import Quantity, SumPlan
from wardround.site.sum_site import SumSite
from wardround.values.errors import DataError, EngineError, RefusedError, StudyError
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Order, Refusal

SITES = ("east", "north", "south", "west")


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(data=st.data(), sites=st.integers(2, 5), size=st.integers(0, 6))
def test_whole_numbers_are_summed_exactly(data: st.DataObject, sites: int, size: int) -> None:
    """Counts of patients are not rounded; negative numbers are numbers too."""
    limit = (2**63 - 1) // sites
    numbers = st.lists(st.integers(-limit, limit), min_size=size, max_size=size)
    values = {f"site-{i}": np.array(data.draw(numbers), np.int64) for i in range(sites)}
    found = wr.secure_sum(values, collusion=0)
    assert found["values"].tolist() == [sum(int(of[k]) for of in values.values()) for k in range(size)]
    assert found.error["values"] == 0.0


def test_real_numbers_are_within_the_stated_error_and_keep_their_shape() -> None:
    """A mean that is off by more than it says misleads."""
    rng = np.random.default_rng(3)
    values = {site: {"x": rng.uniform(-2, 2, (3, 4)), "n": np.array(7)} for site in SITES}
    found = wr.secure_sum(values, bound={"x": 2.0})
    exact = sum(of["x"] for of in values.values())
    assert found["x"].shape == (3, 4) and found["n"] == 28
    assert np.abs(found["x"] - exact).max() <= found.error["x"] < 1e-12


def test_a_lost_site_leaves_exactly_the_others() -> None:
    """The point of the construction."""
    values = {site: np.array([10**place]) for place, site in enumerate(SITES)}
    found = wr.secure_sum(values, lost=["north"])
    assert found["values"].tolist() == [1 + 100 + 1000]
    assert found.counted == ("east", "south", "west") and found.lost == {"north": "no-answer"}
    with pytest.raises(EngineError, match="at least 3"):
        wr.secure_sum(values, lost=["north", "east"])


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"a": np.array([1]), "b": np.array([1])}, StudyError),
        ({}, StudyError),
        ({"a": np.array([1]), "b": np.array([1, 2]), "c": np.array([1])}, DataError),
        ({"a": np.array([1.5]), "b": np.array([1.5]), "c": np.array([1.5])}, DataError),
        ({"a": np.array([2**62]), "b": np.array([1]), "c": np.array([1])}, DataError),
        ({"a": np.array(["x"]), "b": np.array(["x"]), "c": np.array(["x"])}, DataError),
        ({"a": {"x": np.array([1])}, "b": {"y": np.array([1])}, "c": {"x": np.array([1])}}, DataError),
    ],
    ids=["two sites", "none", "another shape", "no bound", "overflow", "text", "another name"],
)
def test_what_cannot_be_summed_is_refused_by_name(values: Mapping[str, np.ndarray], error: type[Exception]) -> None:
    """Before any byte is made."""
    with pytest.raises(error):
        wr.secure_sum(values)


def test_numbers_that_are_not_finite_are_refused() -> None:
    """NaN has no place on a grid; it would become a number that means something."""
    values = {site: np.array([np.nan if site == "west" else 1.0]) for site in SITES}
    with pytest.raises(DataError, match="finite"):
        wr.secure_sum(values, bound=1.0)


class Office:
    """Four sites with folders of their own, and a trip that a test can cut short."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identities = {site: Identity.new() for site in SITES}
        keys = {site: identity.public for site, identity in self.identities.items()}
        self.plan = SumPlan("Patients", keys, {"patients": Quantity((2,))}, labels=("2024", "2025"), numbers=2)
        self.values = {"2024": 1, "2025": 10}
        self.sites = {SiteId(site): self.site(site) for site in SITES}
        self.silent: set[str] = set()
        self.seen: list[bytes] = []

    def site(self, name: str) -> SumSite:
        place = SITES.index(name)
        return SumSite(
            self.plan,
            name,
            self.identities[name],
            lambda label, number: {"patients": np.array([place, number * self.values[label]])},
            self.folder / name,
        )

    def restart(self, name: str) -> None:
        self.sites[SiteId(name)].close()
        self.sites[SiteId(name)] = self.site(name)

    def trip(self, outbox: Mapping[SiteId, bytes]) -> dict[SiteId, bytes]:
        self.seen += outbox.values()
        return {site: self.sites[site].handle(data) for site, data in outbox.items() if site not in self.silent}


def test_several_sums_with_sites_that_restart_and_drop_out(tmp_path: Path) -> None:
    """As between real machines: one agreement on keys, many sums, processes that come and go."""
    office = Office(tmp_path)
    coordinator = SumCoordinator(office.plan, office.trip, tmp_path / "coordinator")
    assert coordinator.sum("2024")["patients"].tolist() == [6, 4]
    office.restart("south")
    assert coordinator.sum("2025")["patients"].tolist() == [6, 40]
    again = SumCoordinator(office.plan, office.trip, tmp_path / "coordinator")
    assert again.sum("2025", number=2)["patients"].tolist() == [6, 80]


def test_a_question_that_was_answered_is_not_answered_for_fewer_sites(tmp_path: Path) -> None:
    """The difference of the two sums would be one hospital's numbers."""
    office = Office(tmp_path)
    coordinator = SumCoordinator(office.plan, office.trip, tmp_path / "coordinator")
    coordinator.sum("2024")
    order = next(data for data in office.seen if isinstance(from_bytes(data), Order))
    message = from_bytes(order)
    assert isinstance(message, Order) and message.header.masked is not None
    fewer = message.header.revised(
        cohort=message.header.cohort[1:], masked=message.header.masked.revised(attempt=2, turn=message.header.masked.turn + 1)
    )
    office.silent = {"east"}
    assert all(site.handle(order) for site in office.sites.values())
    answers = office.trip({SiteId(site): to_bytes(Order(fewer, message.arrays)) for site in fewer.cohort})
    assert answers  # contributing anew is allowed: what counts is whom they speak for
    with pytest.raises(EngineError):
        SumCoordinator(office.plan, office.trip, tmp_path / "second").sum("2024")


def test_another_plan_is_refused(tmp_path: Path) -> None:
    """A coordinator with a list of its own hospitals has another hash."""
    office = Office(tmp_path)
    other = SumPlan("Patients", {**office.plan.keys, "west": Identity.new().public}, office.plan.quantities, labels=("2024",))
    seen: list[bytes] = []

    def trip(outbox: Mapping[SiteId, bytes]) -> dict[SiteId, bytes]:
        answers = office.trip(outbox)
        seen.extend(answers.values())
        return answers

    with pytest.raises(EngineError, match="study"):
        SumCoordinator(other, trip, tmp_path / "coordinator").sum("2024")
    assert all(isinstance(from_bytes(answer), Refusal) for answer in seen)
    with pytest.raises(StudyError, match="key"):
        SumSite(other, "west", office.identities["west"], lambda label, number: {}, tmp_path / "w")  # noqa: ARG005


@pytest.mark.permission
@pytest.mark.parametrize(("label", "number"), [("2023", 1), ("2024", 3), ("", 1)])
def test_a_sum_that_was_not_agreed_on_is_refused_at_both_ends(tmp_path: Path, label: str, number: int) -> None:
    """The label is the name; a repeat under a new number, with one site silent, would show that site."""
    office = Office(tmp_path)
    coordinator = SumCoordinator(office.plan, office.trip, tmp_path / "coordinator")
    with pytest.raises(RefusedError, match="not one that the sites agreed on"):
        coordinator.sum(label, number=number)
    coordinator.sum("2024")
    order = next(message for data in office.seen if isinstance(message := from_bytes(data), Order))
    bent = to_bytes(Order(order.header.revised(label=label, round=number), order.arrays))
    answer = from_bytes(office.sites[SiteId("south")].handle(bent))
    assert isinstance(answer, Refusal)
    assert answer.header.code == "not-in-study"


@pytest.mark.permission
def test_what_the_values_raise_stays_at_the_site(tmp_path: Path) -> None:
    """A KeyError of the site's own function came out of `handle`, with its text."""
    office = Office(tmp_path)
    office.values.clear()
    with pytest.raises(EngineError, match="internal") as stopped:
        SumCoordinator(office.plan, office.trip, tmp_path / "coordinator").sum("2024")
    assert "KeyError" not in str(stopped.value)
    assert "KeyError" in (tmp_path / "south" / "log.ndjson").read_text("utf-8")
