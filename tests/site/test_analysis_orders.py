"""What a coordinator may ask a site for an analysis: the sums of the study, each in its turn, as often as it says."""

from pathlib import Path

import numpy as np
import pytest

from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.summation.masked.layout import content_of
from wardround.values.ids import site_id
from wardround.values.rows import Rows
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import ContributionMessage, Order, OrderHeader, Refusal

STUDY = """
format = 1
[question]
title = "Who is ill"
[data]
kind = "table"
[[data.columns]]
name = "age"
range = [18, 100]
[[data.columns]]
name = "ill"
kind = "binary"
[summation]
mode = "plain"
[sites]
names = ["north", "south"]
[analysis]
largest_hospital = 300
exchanges = 5
[analysis.regression]
outcome = "ill"
family = "binomial"
variance = "hc0"
[[analysis.regression.terms]]
column = "age"
"""
COHORT = (site_id("north"), site_id("south"))


@pytest.fixture
def study() -> Study:
    return parse_study(STUDY)


@pytest.fixture
def site(study: Study, tmp_path: Path) -> Site:
    random = np.random.default_rng(1)
    columns = {"age": random.uniform(18, 100, 50), "ill": random.integers(0, 2, 50).astype(float), "label": np.full(50, np.nan)}
    rows = Rows(columns, np.arange(50).astype(str), np.full(50, "train"), "north")
    return Site(site_id("north"), study, lambda: rows, tmp_path / "north")


class Asked:
    """A coordinator that asks whatever it is told."""

    def __init__(self, study: Study, site: Site) -> None:
        self.study, self.site, self.opening = study, site, ""

    def open(self) -> str:
        order = Order(OrderHeader(study=self.study.hash, step="open", round=0, cohort=COHORT))
        self.opening = content_of(order)
        return self.sent(order)

    def ask(self, label: str, number: int, coefficients: list[float] | None = None) -> str:
        header = OrderHeader(
            study=self.study.hash, step="evaluate", round=number, label=label, cohort=COHORT, opening=self.opening
        )
        arrays = {} if coefficients is None else {"order/common": np.array(coefficients, np.float64)}
        return self.sent(Order(header, arrays))

    def sent(self, order: Order) -> str:
        """`answered`, or the word of the refusal."""
        reply = from_bytes(self.site.handle(to_bytes(order)))
        if isinstance(reply, Refusal):
            return reply.header.code
        assert isinstance(reply, ContributionMessage)
        return "answered"


def test_the_sums_of_a_study_are_answered_in_their_turn(study: Study, site: Site) -> None:
    """start, newton, robust: what an honest coordinator asks."""
    asked = Asked(study, site)
    assert asked.open() == "answered"
    assert asked.ask("start", 1) == "answered"
    assert asked.ask("newton", 2, [0.0, 0.0]) == "answered"
    assert asked.ask("robust", 3, [0.1, 0.1]) == "answered"


def test_nothing_is_summed_before_the_opening(study: Study, site: Site) -> None:
    """The opening is where a person's approval of the rows is looked at."""
    assert Asked(study, site).ask("start", 1) == "not-open"


@pytest.mark.parametrize(
    ("label", "number", "coefficients", "word"),
    [
        ("means", 2, None, "not-in-study"),
        ("newton", 6, [0.0, 0.0], "not-in-study"),
        ("newton", 2, [0.0, 0.0, 0.0], "model"),
        ("newton", 2, [np.nan, 0.0], "model"),
        ("newton", 2, [1e9, 0.0], "model"),
        ("start", 2, None, "old-round"),
        ("newton", 1, [0.0, 0.0], "old-round"),
    ],
)
def test_other_labels_numbers_and_arrays_are_refused(
    study: Study, site: Site, label: str, number: int, coefficients: list[float] | None, word: str
) -> None:
    """A site answers the list of the study and nothing else; start was asked once already, under number 1."""
    asked = Asked(study, site)
    asked.open()
    assert asked.ask("start", 1) == "answered"
    assert asked.ask(label, number, coefficients) == word


def test_a_label_is_asked_as_often_as_the_study_says(study: Study, site: Site) -> None:
    """exchanges = 5 leaves three steps of newton: a fourth point would be one more question about the rows."""
    asked = Asked(study, site)
    asked.open()
    assert [asked.ask("newton", number, [0.1 * number, 0.0]) for number in range(1, 5)] == ["answered"] * 3 + ["old-round"]


def test_a_sum_is_not_asked_again_at_another_point(study: Study, site: Site) -> None:
    """Two answers at two points under one number would be a difference that nobody approved."""
    asked = Asked(study, site)
    asked.open()
    assert asked.ask("newton", 1, [0.0, 0.0]) == "answered"
    assert asked.ask("newton", 1, [0.0, 0.0]) == "answered"  # the stored bytes
    assert asked.ask("newton", 1, [0.5, 0.0]) == "other-content"


def test_orders_of_a_training_are_not_in_the_study(study: Study, site: Site) -> None:
    """An analysis has no model: nothing can be trained by its approval."""
    asked = Asked(study, site)
    asked.open()
    header = OrderHeader(study=study.hash, step="train", round=1, cohort=COHORT, opening=asked.opening, weight=5)
    assert asked.sent(Order(header)) == "not-in-study"
