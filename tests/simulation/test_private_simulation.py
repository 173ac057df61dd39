"""A private study on one machine: what it reports, and ledgers that several studies share."""

import json
from pathlib import Path

import pytest

import wardround as wr
from tests.federation.private_studies import private_study
from tests.federation.tiny_federation import NAMES, records
from wardround.hub.notices import Notice, RoundFinished
from wardround.privacy.ledger.ledger import Ledger
from wardround.study.declaration import Study
from wardround.values.errors import EngineError, RefusedError, StudyError


@pytest.fixture
def ledgers(tmp_path: Path) -> Path:
    for name in NAMES:
        Ledger(tmp_path / "ledgers" / f"{name}.sqlite").set_budget(3.0, 1e-3)
    return tmp_path / "ledgers"


def run(of: Study, folder: Path, ledgers: Path | None = None) -> wr.Run:
    return wr.simulate(of, {name: records(name) for name in NAMES}, out=folder, workers=0, register=False, ledgers=ledgers)


@pytest.mark.slow
def test_the_record_says_what_was_promised_and_what_each_ledger_holds(tmp_path: Path) -> None:
    """The figures in the report are these; a budget of the study's own epsilon is what each hospital grants."""
    done = run(private_study(noise=3.0, epsilon=2.0), tmp_path / "run")
    cost = done.record.privacy
    assert cost is not None and cost.epsilon is not None
    assert (cost.unit, cost.events, cost.collusion) == ("patient", 3, 1)
    assert cost.epsilon <= 2.0
    assert cost.spent == pytest.approx(dict.fromkeys(NAMES, cost.epsilon))
    assert done.record.pooled is not None and done.record.rounds[0].train_loss is None
    assert "differentially private with epsilon" in (done.folder / "model_card.md").read_text()


@pytest.mark.slow
def test_a_hospitals_own_threshold_is_in_its_own_report(tmp_path: Path) -> None:
    """Between hospitals nobody else can say it; the record of a simulation shows the very number that the hospital has."""
    declared = private_study(rounds=1).revised(evaluation={"threshold": "local"})
    done = run(declared, tmp_path / "run")
    for name, site in done.record.sites.items():
        kept = json.loads((done.folder / "sites" / name / "report.json").read_text())["thresholds"]["federated"]
        assert site.federated is not None and site.federated.value("threshold") == kept
    assert done.record.model is not None and done.record.model.threshold == 0.5
    for page in ("report.html", "model_card.md"):
        assert "threshold of its own" in (done.folder / page).read_text(), page


@pytest.mark.slow
def test_record_report_and_card_name_the_entry_that_each_ledger_has(tmp_path: Path) -> None:
    """Who holds the card must find the charge at the hospital, and who holds the ledger must find the run."""
    done = run(private_study(noise=3.0, rounds=1), tmp_path / "run")
    cost = done.record.privacy
    assert cost is not None and set(cost.ledger_entries) == set(NAMES)
    for name in NAMES:
        ledger = Ledger(done.folder / "sites" / name / "ledger.sqlite")
        ((study, history),) = ledger.history().items()
        assert (study, history.entry) == (cost.ledger_study, cost.ledger_entries[name])
        assert (history.title, history.run) == (done.record.study_title, done.record.run_id)
        assert ledger.entries()[history.entry - 1].content["study"] == study
    words = f"the study {cost.ledger_study[:12]} of the run {done.record.run_id}: entry {cost.ledger_entries['east']} at east"
    for page in ("report.html", "model_card.md"):
        assert words in " ".join((done.folder / page).read_text().replace("\\", "").split()), page


@pytest.mark.slow
def test_two_studies_over_the_same_ledgers_add_up_until_one_is_refused(tmp_path: Path, ledgers: Path) -> None:
    """The bill of a field that forgets between studies: the second costs on top, the third is refused before it begins."""
    of = private_study(noise=3.5, minimum=3)
    first = run(of, tmp_path / "one", ledgers).record.privacy
    second = run(of, tmp_path / "two", ledgers).record.privacy
    assert first is not None and second is not None
    for name in NAMES:
        once, twice = first.spent[name], second.spent[name]
        assert once is not None and twice is not None and once < twice <= 3.0
    with pytest.raises(EngineError, match="budget"):
        for number in range(5):
            run(of, tmp_path / f"more-{number}", ledgers)


def _stop_after_round_1(notice: Notice) -> None:
    if isinstance(notice, RoundFinished):
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.permission
@pytest.mark.parametrize("receipt_too", [True, False])
def test_a_hospital_at_work_is_given_no_new_ledger(tmp_path: Path, receipt_too: bool) -> None:
    """A new one would know of no release: the study would be paid for again, or by nobody."""
    declared, folder = private_study(noise=3.0, epsilon=2.0), tmp_path / "run"
    hospitals = {name: records(name) for name in NAMES}
    with pytest.raises(KeyboardInterrupt):
        wr.simulate(declared, hospitals, out=folder, workers=0, register=False, listener=_stop_after_round_1)
    ledger = folder / "sites" / "north" / "ledger.sqlite"
    ledger.unlink()
    if receipt_too:
        ledger.with_name("ledger.sqlite.receipt").unlink()
    for _ in range(2):  # the refusal itself must not leave a file that passes for a ledger
        with pytest.raises(RefusedError) as refusal:
            wr.simulate(declared, hospitals, out=folder, workers=0, register=False, resume=True)
        assert refusal.value.code == ("ledger" if receipt_too else "ledger-restored")


def test_a_kept_ledger_must_have_a_budget(tmp_path: Path) -> None:
    """A mistyped folder would be three hospitals without one, and nothing would ever be refused."""
    with pytest.raises(StudyError, match=r"no budget.*no file.*wardround site ledger"):
        run(private_study(), tmp_path / "run", tmp_path / "elsewhere")
    Ledger(tmp_path / "bare" / "east.sqlite")
    with pytest.raises(StudyError, match=r"no budget.*a ledger without one"):
        run(private_study(), tmp_path / "run", tmp_path / "bare")
