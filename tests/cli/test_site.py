"""`wardround site ledger`, as a data manager meets it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from wardround.cli.main import app
from wardround.privacy.events import Event
from wardround.privacy.ledger.ledger import Ledger
from wardround.values.errors import RefusedError

EVENT = Event(15.45)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger without a budget, with one open study."""
    ledger = Ledger(tmp_path / "ledger")
    ledger.plan("chest", EVENT, 60)
    for release in range(12):
        ledger.charge("chest", str(release), EVENT)
    return ledger.path


def site_ledger(*words: object) -> Result:
    return CliRunner().invoke(app, ["site", "ledger", *map(str, words)], catch_exceptions=True)


def test_the_table_shows_what_was_charged_and_what_it_cost(path: Path) -> None:
    """The page that a data manager opens before agreeing to another study."""
    text = site_ledger(path).output
    assert "chest" in text and "12 of 60" in text and "noise 15.45" in text
    assert "none is set" in text and "epsilon 0.8222" in text


def test_the_json_holds_the_same_for_a_program(path: Path) -> None:
    """Ledgers of many hospitals are not read by eye."""
    found = json.loads(site_ledger(path, "--json").output)
    assert found["studies"][0]["event"] == EVENT.to_json()
    assert (found["studies"][0]["planned"], found["studies"][0]["charged"]) == (60, 12)
    assert found["units"]["patient"]["spent"] == pytest.approx(0.8222, rel=1e-3)
    assert [entry["kind"] for entry in found["entries"]] == ["opened", "planned", *["reserved"] * 12]


def test_a_budget_is_set_and_binds(path: Path) -> None:
    """Without a question, so that a script can do it; and for good."""
    text = site_ledger(path, "--epsilon", 2, "--delta", "1e-5").output
    assert "budget           epsilon 2" in text and "left" in text
    with pytest.raises(RefusedError):
        Ledger(path).plan("another", EVENT, 60)


@pytest.mark.permission
def test_a_ledger_that_was_deleted_is_not_begun_anew_without_a_word(path: Path) -> None:
    """A deleted ledger would be the way to a second budget. The two commands of the page bring a hospital on."""
    assert site_ledger(path).exit_code == 0
    for file in (path, path.with_name("ledger.receipt")):
        file.unlink()
    again = site_ledger(path, "--epsilon", 2, "--delta", "1e-5")
    assert again.exit_code == 1 and isinstance(again.exception, RefusedError) and again.exception.code == "ledger-restored"
    assert site_ledger(path, "--accept-restored").exit_code == 0
    assert "budget           epsilon 2" in site_ledger(path, "--epsilon", 2, "--delta", "1e-5").output


def test_a_study_that_will_not_come_back_gives_its_room_back(path: Path) -> None:
    """Its coordinator may be gone for good."""
    site_ledger(path, "--epsilon", 2, "--delta", "1e-5")
    assert "closed" in site_ledger(path, "--close", "chest").output
    Ledger(path).plan("another", EVENT, 40)


def test_the_first_letters_of_a_study_close_it_and_those_of_two_close_none(path: Path) -> None:
    """A study's name is 64 digits; a wrong one that is taken for another closes a study that is at work."""
    Ledger(path).plan("chest-2", EVENT, 1)
    wrong = site_ledger(path, "--close", "che")
    assert wrong.exit_code == 2 and "2 studies begin with 'che'" in " ".join(wrong.output.replace("│", "").split())
    assert site_ledger(path, "--close", "hand").exit_code == 2
    assert [study.closed for study in Ledger(path).history().values()] == [False, False]
    assert site_ledger(path, "--close", "chest-").exit_code == 0
    assert site_ledger(path, "--close", "chest").exit_code == 0
    assert all(study.closed for study in Ledger(path).history().values())


def test_a_study_is_named_as_people_know_it(tmp_path: Path) -> None:
    """A number of 64 digits says nothing to a data manager who looks at the account after a year."""
    ledger = Ledger(tmp_path / "named", run="20260302T101500-aabbccdd-000001")
    ledger.plan("ab" * 32, EVENT, 60, "Pneumonia on chest X-rays")
    text = site_ledger(ledger.path).output
    assert "Pneumonia" in text and "abababababab: entry 2, run 20260302T101500-aabbccdd-000001" in text
    row = json.loads(site_ledger(ledger.path, "--json").output)["studies"][0]
    assert (row["study"], row["title"], row["entry"]) == ("ab" * 32, "Pneumonia on chest X-rays", 2)
    assert row["run"] == "20260302T101500-aabbccdd-000001" and row["first"] == ledger.entries()[1].at[:10]


@pytest.mark.parametrize(("epsilon", "delta", "warned"), [(400, 1e-5, True), (2, 0.01, True), (2, 1e-5, False)])
def test_a_budget_that_allows_nearly_everything_is_warned_of(path: Path, epsilon: float, delta: float, warned: bool) -> None:
    """A slip of two zeros would be kept for good, and nothing would ever be refused."""
    done = site_ledger(path, "--epsilon", epsilon, "--delta", delta)
    assert done.exit_code == 0 and ("warning: " in done.stderr) == warned
    assert Ledger(path).balance().budget is not None, "the hospital decides"


def test_a_restored_ledger_is_accepted_in_two_steps(path: Path) -> None:
    """First that it goes on, then with which budget."""
    path.unlink()
    assert isinstance(site_ledger(path).exception, RefusedError)
    assert "was restored" in site_ledger(path, "--accept-restored").output
    assert "was restored" not in site_ledger(path, "--epsilon", 2, "--delta", "1e-5").output
    assert Ledger(path).spent() == {EVENT: 12}


def test_looking_makes_no_ledger(tmp_path: Path) -> None:
    """A wrong path must not answer "nothing was charged"."""
    found = site_ledger(tmp_path / "none")
    assert found.exit_code == 2 and "there is no ledger" in found.output.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_new_ledger_says_so(tmp_path: Path) -> None:
    """A wrong path with a budget makes a second ledger, which knows nothing of the first."""
    assert "is a new ledger" in site_ledger(tmp_path / "new", "--epsilon", 2, "--delta", "1e-5").output


@pytest.mark.parametrize(
    "words",
    [("--epsilon", 2), ("--delta", 1e-5), ("--epsilon", -1, "--delta", 1e-5), ("--epsilon", 2, "--delta", 1), ("--unit", "ward")],
)
def test_half_a_budget_is_none(path: Path, words: tuple[object, ...]) -> None:
    """And nothing is written."""
    before = path.read_bytes()
    assert site_ledger(path, *words).exit_code == 2
    assert path.read_bytes() == before


def test_no_noise_is_null_in_json(path: Path) -> None:
    """JSON has no infinity."""
    Ledger(path).charge("plain", "1", Event(0.0))
    assert json.loads(site_ledger(path, "--json").output)["units"]["patient"]["spent"] is None
    assert "epsilon inf" in site_ledger(path).output
