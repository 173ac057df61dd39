"""The page that a person decides by: everything that would leave, and every rule that is broken, is on it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardround.plan.permission import Permission
from wardround.plan.plan import Plan
from wardround.plan.releases import EVALUATION, OPENING, TRAINING, releases
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.examination import Examination, examine, ledger_path
from wardround.site.daemon.offers import Offers
from wardround.site.daemon.policy import Policy
from wardround.site.daemon.review import ALARM, Review, review_of
from wardround.site.daemon.review_page import write_review
from wardround.study.reading import parse_study
from wardround.values.errors import DataError

from ...federation.evaluations import evaluation
from ...federation.private_studies import private_study
from ...federation.tiny_federation import MARKER, NAMES, study
from .hospitals import DATA, Hospitals

NORTH = "north"
ALLOWING = Policy(smallest_patients=10)


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[Hospitals]:
    made = Hospitals(tmp_path / "hospitals")
    yield made
    made.close()


def examined(hospitals: Hospitals, policy: Policy | None = None) -> Examination:
    home = hospitals.homes[NORTH]
    return examine(hospitals.study, DATA, DataSets(home.data_file).get(DATA), policy or ALLOWING, home.ledgers)


def reviewed(hospitals: Hospitals, policy: Policy | None = None, *, data: bool = True) -> Review:
    hospitals.offered(NORTH)
    offered = Offers(hospitals.homes[NORTH], hospitals.card(NORTH)).get(hospitals.study.hash)
    rules = policy or ALLOWING
    return review_of(offered, "nobody here has decided", rules, examined(hospitals, rules) if data else None)


def text_of(page: Review) -> str:
    return "\n".join(sentence for section in page.sections for sentence in (section.title, *section.sentences))


def test_every_sum_of_the_study_is_on_the_page(hospitals: Hospitals) -> None:
    """How many, of how many numbers, in which form; counted from the list that the site itself answers by."""
    page, plan = text_of(reviewed(hospitals)), Plan(hospitals.study)
    listed = {release.step: release for release in releases(plan)}
    assert set(listed) == {OPENING, TRAINING, EVALUATION}
    summed = [order for order in Permission(plan) if order.summed and not (order.step == "open" and order.number)]
    assert sum(release.sums for release in listed.values()) == len(summed)
    assert f"At most {len(summed)} shares of sums" in page
    assert f"{listed[TRAINING].model_words} numbers of the model" in page


def test_the_page_of_an_evaluation_never_speaks_of_training(tmp_path: Path) -> None:
    """But to say that there is none. What leaves is the list that the site answers by; what a crafted model reads is in red."""
    hospitals = Hospitals(tmp_path / "hospitals", evaluation().revised(data={"splits": {"validation": 0.0, "test": 1.0}}))
    page = text_of(reviewed(hospitals, data=False))
    assert str(hospitals.study.evaluation.model) in page and "at its threshold 0.4375" in page
    assert "At most 2 shares of sums" in page and "for validation and test)" in page
    told = page.replace("Nothing is trained", "")
    assert not re.search(r"\btrain|\blearn|\brounds?\b|federated|fedavg", told), told
    assert f"{ALARM}privacy.mode is none" in page
    hospitals.close()


SURVIVAL = """
format = 1
[question]
title = "When"
[data]
kind = "table"
[data.label]
column = "label"
[[data.columns]]
name = "a"
range = [0, 900]
[[data.columns]]
name = "b"
range = [-8, 8]
[[data.columns]]
name = "place"
kind = "category"
categories = ["north", "south"]
[analysis.survival]
time = "a"
event = "label"
until = 600
cell = 60
strata = "place"
strata_baselines = {told}
[[analysis.survival.terms]]
column = "b"
"""


def test_a_figure_that_may_be_one_hospitals_is_a_warning_on_the_page(tmp_path: Path) -> None:
    """Where a column says whose patients they are, its baselines are those hospitals' own."""
    for told in ("true", "false"):
        hospitals = Hospitals(tmp_path / told, parse_study(SURVIVAL.format(told=told)))
        page = text_of(reviewed(hospitals, data=False))
        assert (f"{ALARM}For each value of place the hazard by time becomes public" in page) == (told == "true")
        hospitals.close()


def test_personal_models_are_on_the_page_where_the_study_makes_them(hospitals: Hospitals) -> None:
    """Whoever approves should know what is trained here, and that it stays."""
    assert "for this hospital alone" not in text_of(reviewed(hospitals))
    hospitals.study = hospitals.study.revised(personal={"candidates": ["own", "mixed"]})
    assert "(own, mixed), and the best for its patients is kept" in text_of(reviewed(hospitals))
    assert "values of single patients" not in text_of(reviewed(hospitals))


def test_a_candidate_that_remembers_patients_is_a_warning_on_the_page(hospitals: Hospitals) -> None:
    """Approving makes a file here that is patients' data: whoever decides must not find out afterwards."""
    hospitals.study = hospitals.study.revised(personal={"candidates": ["own", "neighbours"]})
    computed = next(one for one in reviewed(hospitals).sections if one.title == "What is computed")
    (warning,) = [sentence for sentence in computed.sentences if "values of single patients" in sentence]
    assert warning.startswith(ALARM) and "(neighbours: a row for each training record)" in warning
    assert "never leave this hospital" in warning


@pytest.mark.parametrize("own", [False, True])
def test_sizes_are_those_that_a_site_sends(own: bool) -> None:
    """The page and the wire may not differ: both come from the frames."""
    of = study(mode="masked", own=own).revised(sites={"names": NAMES})
    plan = Plan(of)
    for release in releases(plan):
        assert release.bytes_each == release.model_words * release.bits // 8 + release.counts * 8
        assert release.sums >= 1
    training = next(release for release in releases(plan) if release.step == TRAINING)
    assert training.sums == of.algorithm.rounds and training.bits in (16, 32)
    assert training.model_words == sum(order_size(plan).values())


def order_size(plan: Plan) -> dict[str, int]:
    sizes = {}
    for name, shape in plan.model_shapes.items():
        size = 1
        for side in shape:
            size *= side
        sizes[name] = size
    return sizes


def test_broken_rules_stand_in_red_and_stop_an_approval(hospitals: Hospitals) -> None:
    """The page says no before the command does."""
    policy = Policy(smallest_patients=1000)
    page = reviewed(hospitals, policy)
    assert any(
        sentence.startswith(ALARM) and "smallest_patients" in sentence
        for section in page.sections
        for sentence in section.sentences
    )
    assert examined(hospitals, policy).obstacles and not examined(hospitals).obstacles


def test_a_table_is_called_a_table(hospitals: Hospitals) -> None:
    """Whoever reads of images that her hospital has none of trusts no other line of the page."""
    page = text_of(reviewed(hospitals))
    assert "rows and labels" in page and "No record, no row" in page
    assert "image" not in page and "picture" not in page


def test_without_data_the_page_says_what_it_does_not_know(hospitals: Hospitals) -> None:
    """Reading the data takes time, and a first look does not need it."""
    page = text_of(reviewed(hospitals, data=False))
    assert "--data NAME" in page and "It is ready" not in page


def test_no_patient_is_named(hospitals: Hospitals) -> None:
    """It is a page that may be printed and carried to a committee."""
    assert MARKER not in text_of(reviewed(hospitals))


def test_the_page_to_print_obeys_nobody(hospitals: Hospitals, tmp_path: Path) -> None:
    """Titles come from the hub: no sign of them may become markup."""
    hospitals.study = hospitals.study.revised(question={"title": "<script>alert(1)</script>", "description": "a & b"})
    write_review(reviewed(hospitals, data=False), tmp_path / "review.html")
    page = (tmp_path / "review.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &amp; b" in page
    assert "http://" not in page and "https://" not in page


def test_a_private_study_needs_a_ledger_with_room(tmp_path: Path) -> None:
    """What it costs these patients is compared with what they have left, before anybody approves."""
    hospitals = Hospitals(tmp_path / "private", private_study())
    with pytest.raises(DataError, match="no privacy ledger"):
        examined(hospitals)
    path = ledger_path(hospitals.homes[NORTH].ledgers, DATA)
    Ledger(path).set_budget(1e-6, 1e-5)
    assert any("budget" in sentence for sentence in examined(hospitals).obstacles)
    Ledger(path).set_budget(1e6, 1e-5)
    looked = examined(hospitals)
    assert looked.cost is not None and looked.cost.spent == 0 and looked.cost.after >= looked.cost.epsilon * 0.99
    assert not any("budget" in sentence for sentence in looked.obstacles)
    hospitals.close()


def test_data_that_are_not_ready_cannot_be_approved(hospitals: Hospitals) -> None:
    """The same report as `data check`."""
    (hospitals.folder / f"{NORTH}.csv").write_text("patient,a,b,c,label\np1,1,2,3,perhaps\n")
    assert any("not ready" in sentence for sentence in examined(hospitals).obstacles)
