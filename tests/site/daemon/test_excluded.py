"""A patient who withdrew is in no later study of the hospital, and the models that learnt from her are known by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from wardround.cli.clinic.learning import learnt_at, learnt_from, learnt_in_own_process
from wardround.hub.coordinator import Coordinator
from wardround.hub.daemon.certificates import Authority
from wardround.registry import open_registry
from wardround.site.daemon.hub_record import HubCard, HubRecord
from wardround.sources import open_source
from wardround.sources.excluded_patients import ExcludedPatients
from wardround.values.errors import EngineError, RunError
from wardround.values.home import default_home

from ...federation.evaluations import evaluation
from ...federation.tiny_federation import NAMES, study
from .hospitals import DATA, DeskEngine, Hospitals
from .test_review import NORTH, examined, reviewed, text_of


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[Hospitals]:
    made = Hospitals(tmp_path / "hospitals")
    yield made
    made.close()


def patient_in(hospitals: Hospitals, split: str) -> str:
    """One of north's patients of a split."""
    records = open_source(hospitals.folder / f"{NORTH}.csv", hospitals.study.data).load()
    return str(records.patients[records.splits == split][0])


def test_a_review_leaves_her_out_and_says_how_many_records_are_not_used(hospitals: Hospitals) -> None:
    """The person who decides sees it; the study would train without her."""
    before = examined(hospitals)
    ExcludedPatients.of_user().add(patient_in(hospitals, "train"))
    after = examined(hospitals)
    assert after.patients == before.patients - 1 and after.fingerprint != before.fingerprint
    assert "patients who withdrew are not used" in text_of(reviewed(hospitals))


@pytest.mark.slow
def test_a_study_that_was_approved_with_her_is_refused_until_it_is_approved_anew(hospitals: Hospitals, tmp_path: Path) -> None:
    """Nothing is computed on her records from the moment on; a person decides again, on what is left."""
    for name in NAMES:
        hospitals.offered(name)
        hospitals.approve(name)
    ExcludedPatients.of_user().add(patient_in(hospitals, "train"))
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run")
    with pytest.raises(EngineError, match="north"):
        coordinator.run()
    coordinator.close()
    log = "".join(path.read_text("utf-8") for path in hospitals.homes[NORTH].path.rglob("*.ndjson"))
    assert "not those that the study was approved for" in log
    again = Hospitals(tmp_path / "again")
    for name in NAMES:
        again.offered(name)
        again.approve(name)
    coordinator = Coordinator(again.study, DeskEngine(again), tmp_path / "run-again")
    coordinator.run()
    coordinator.close()
    again.close()


def joined(hospitals: Hospitals, name: str) -> Path:
    """The site's folder, as it is when it has joined its hub."""
    home = hospitals.homes[name]
    card = HubCard(identity="a" * 64, sealing="b" * 64)
    authority = Authority.at(hospitals.folder / "authority").certificate
    HubRecord(address="hub.example.org:443", authority=authority, card=card, name=name, request="x", words="x").write(home)
    return home.path


@pytest.mark.slow
def test_a_clinic_that_is_up_asks_in_another_process_and_gets_the_same_answer(hospitals: Hospitals, tmp_path: Path) -> None:
    """Neither the identifier stands in a process's words, nor the data in the clinic's memory; what is damaged is said."""
    hospitals.offered(NORTH)
    hospitals.approve(NORTH)
    site, patient = joined(hospitals, NORTH), patient_in(hospitals, "train")
    for reads_data in (True, False):
        here = learnt_from(patient, site, default_home(), reads_data=reads_data)
        assert learnt_in_own_process(patient, site, default_home(), reads_data=reads_data) == here
        assert [one.part for one in here] == ["train" if reads_data else "unread"]
    (site / "hub.json").write_text("no record", "utf-8")
    with pytest.raises(RunError, match="could not be found out") as refusal:
        learnt_in_own_process(patient, site, default_home(), reads_data=True)
    assert "damaged" in str(refusal.value.found) and patient not in str(refusal.value)
    assert learnt_in_own_process(patient, tmp_path / "none", default_home(), reads_data=True) == ()


@pytest.mark.slow
def test_what_learnt_from_her_is_listed(tmp_path: Path) -> None:
    """By the part of the data that she is in: a model that was only tested on her has learnt nothing."""
    personal = {"candidates": ["own", "federated", "mixed"]}
    hospitals = Hospitals(tmp_path / "hospitals", study(mode="masked", rounds=2, own=True).revised(personal=personal))
    for name in NAMES:
        hospitals.offered(name)
        hospitals.approve(name)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run")
    coordinator.run()
    coordinator.personalise()
    coordinator.close()
    home, card = hospitals.homes[NORTH], hospitals.card(NORTH)
    with open_registry() as registry:
        kept = {one.sha256 for one in registry.models()}
    for split in ("train", "validation", "test"):
        (one,) = learnt_at(patient_in(hospitals, split), home, card, default_home(), reads_data=True)
        assert (one.study, one.data_set, one.part) == (hospitals.study.hash, DATA, split)
        assert set(one.models) == (set() if split == "test" else kept) and kept
    (nobody,) = learnt_at("nobody-of-them", home, card, default_home(), reads_data=True)
    assert nobody.part == "none" and not nobody.models
    (unread,) = learnt_at("nobody-of-them", home, card, default_home(), reads_data=False)
    assert unread.part == "unread" and set(unread.models) == kept
    hospitals.close()


def test_no_model_learnt_from_anybody_in_a_study_that_evaluates_only(tmp_path: Path) -> None:
    """Whether her data were read or not, there is nothing to take back."""
    hospitals = Hospitals(tmp_path / "hospitals", evaluation().revised(data={"splits": {"validation": 0.0, "test": 1.0}}))
    hospitals.offered(NORTH)
    hospitals.approve(NORTH)
    for reads_data in (True, False):
        listed = learnt_at(
            patient_in(hospitals, "test"), hospitals.homes[NORTH], hospitals.card(NORTH), default_home(), reads_data=reads_data
        )
        assert [(one.part, one.models) for one in listed] == [("evaluation", ())]
    hospitals.close()


def test_a_user_without_a_site_has_nothing_to_list(tmp_path: Path) -> None:
    """And no folder is made for her."""
    assert learnt_from("P1", tmp_path / "site", tmp_path, reads_data=True) == () and not (tmp_path / "site").exists()
