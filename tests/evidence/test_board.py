"""The page for a hospital's board: its own figures, candid, printable, and nobody else's."""

from collections.abc import Callable

import pytest

from wardround.evidence.board import in_form, models_at, render_board
from wardround.study.record.left_out_record import LeftOutRecord
from wardround.study.record.personal_record import CandidateRecord, PersonalRecord
from wardround.study.record.run_record import PairedRecord, RunRecord, SiteRecord
from wardround.values.errors import RunError

from .conftest import SITES, at
from .test_report import EVIL, Page

Make = Callable[..., RunRecord]
BETTER = PairedRecord(difference=0.041, interval=(0.010, 0.072), p_value=0.009, n=60, discordant=20)


def with_pairs(make_record: Make) -> RunRecord:
    record = make_record()
    sites = {name: _paired(entry) for name, entry in record.sites.items()}
    return make_record(sites=sites)


def _paired(entry: SiteRecord, **changes: object) -> SiteRecord:
    kept = {name: getattr(entry, name) for name in SiteRecord.model_fields} | entry.label_counts
    return SiteRecord(**(kept | {"paired": {"auc": BETTER}} | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page(make_record: Make) -> str:
    turn = LeftOutRecord(hospitals=("harbour", "west"), model="c5" * 32, evaluation=at(7, "north", 2.0), paired={"auc": BETTER})
    return render_board(with_pairs(make_record), "north", turn)


def test_the_page_says_what_a_board_asks(page: str) -> None:
    """Who gains, by how much, for how many patients, with what percentages, and what if it joins late."""
    text = Page(page).text
    for part in (
        "What north gains",
        "The federated model is better at home (AUC +0.041, +0.010 to +0.072)",
        "Patient by patient",
        "If it joined late",
        "The other 2 hospitals",
        "Of 1 000 patients like these",
        "with opacity, missed",
        "a yes is right, federated",
        "1 %",
        "slope: 1 is right",
        "Brier score",
        "When the model says 70 %",
        "What this page cannot say",
        "not a medical device",
    ):
        assert part in text, part


def test_no_other_hospital_stands_on_the_page(page: str, make_record: Make) -> None:
    """A board page is handed round in one hospital; the others did not agree to that."""
    assert not any(name in page for name in SITES if name != "north")
    record = with_pairs(make_record)
    others = {name: _paired(entry, images=1, patients=1, federated=None, own=None) for name, entry in record.sites.items()}
    changed = make_record(sites={**others, "north": record.sites["north"]}, cross={})
    assert render_board(changed, "north") == render_board(with_pairs(make_record), "north")


def test_the_page_loads_nothing_and_no_text_becomes_markup(page: str, make_record: Make) -> None:
    """It is mailed and printed; a study's title is somebody else's text."""
    record = with_pairs(make_record)
    hostile = render_board(make_record(study_title=EVIL, sites={EVIL: record.sites["north"]}), EVIL)
    for text in (page, hostile):
        parsed = Page(text)
        assert not {"script", "img", "iframe", "link", "a", "form"} & set(parsed.tags)
        assert not any(name.startswith("on") or name == "src" for name, _ in parsed.attributes)
        names = [value for name, value in parsed.attributes if name == "id"]
        assert len(names) == len(set(names))


LOWER = PairedRecord(difference=-0.06, interval=(-0.1, -0.02), p_value=0.01, n=60, discordant=60)
CHOICE = PersonalRecord(
    chosen="fine_tuned",
    reason="lower loss than own by more than one standard error",
    few=False,
    patients=60,
    candidates=(
        CandidateRecord(name="own", loss=0.41, interval=(0.35, 0.47), gain=0.0),
        CandidateRecord(name="fine_tuned", setting="3 passes", loss=0.33, interval=(0.28, 0.38), gain=0.08, standard_error=0.02),
    ),
    over_own={"auc": BETTER, "log_loss": LOWER},
)


def choice(**changes: object) -> PersonalRecord:
    return PersonalRecord(**({name: getattr(CHOICE, name) for name in PersonalRecord.model_fields} | changes))


def test_the_chosen_model_stands_beside_the_others_with_its_reason(make_record: Make) -> None:
    """Which model a hospital keeps, why, and what it gained by it, is the answer that the page is for."""
    home = make_record().sites["north"]
    chosen = _paired(home, personal=choice(test=at(7, "north", 2.6)))
    text = Page(render_board(make_record(sites={"north": chosen}), "north")).text
    for part in ("Chosen: fine tuned; lower loss than own", "chosen less own", "Log-loss", "-0.060", "3 passes", "right, chosen"):
        assert part in text, part
    assert list(models_at(_paired(home, personal=choice(chosen="own")))) == ["own (chosen)", "federated"]


def test_few_patients_are_called_few_at_the_top(make_record: Make) -> None:
    """Nine patients prove nothing, whatever the figure."""
    record = with_pairs(make_record)
    small = _paired(record.sites["west"], federated=at(3, "west", 2.4), own=at(3, "west", 1.0))
    assert "Too few to say." in render_board(make_record(sites={"west": small}), "west")
    assert "Too few to say." not in render_board(record, "north")


def test_without_an_own_model_the_page_says_that_nothing_was_compared(make_record: Make) -> None:
    """A page that praises the federated model alone would be advertising."""
    alone = _paired(make_record().sites["north"], own=None, paired={})
    page = Page(render_board(make_record(sites={"north": alone}), "north")).text
    assert "were not compared" in page and "Patient by patient" not in page and list(models_at(alone)) == ["federated"]


def test_a_hospital_that_is_not_there_is_named_with_those_that_are(make_record: Make) -> None:
    """And a record without single hospitals says why."""
    with pytest.raises(RunError, match="no hospital nowhere") as caught:
        render_board(make_record(), "nowhere")
    assert "harbour, north, west" in caught.value.expected
    with pytest.raises(RunError, match="no figures of single hospitals"):
        render_board(make_record(sites={}), "north")


def test_synthetic_and_private_runs_are_called_so(make_record: Make) -> None:
    """A printed page travels without its report."""
    assert "synthetic data" in Page(render_board(make_record(), "north")).text
    assert "ynthetic" not in Page(render_board(make_record(synthetic=False), "north")).text


def test_percentages_never_round_to_certainty() -> None:
    """99.96 % is not 100 %."""
    nothing = (float("nan"), float("nan"))
    assert in_form((0.9996, nothing), "percent") == ("99.9 %", "")
    assert in_form((1.0, (0.9, 1.0)), "percent") == ("100 %", "90 to 100")
    assert in_form((float("nan"), nothing), "number") == ("–", "")
    assert in_form((0.85, (0.5, 1.2)), "number") == ("0.85", "0.50 to 1.20")


def test_what_nobody_tried_is_said_with_the_way_to_try_it(make_record: Make) -> None:
    """A board that decides on joining asks what comes of joining later: the page must not leave the question out."""
    text = Page(render_board(with_pairs(make_record), "north")).text
    assert "If it joined late Nobody tried." in " ".join(text.split()) and "--left-out all" in text
