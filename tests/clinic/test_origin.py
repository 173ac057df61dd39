"""Where a model comes from, and what was promised to patients: from the records of runs to the leaflet of a hospital."""

from pathlib import Path

import pytest

from tests.federation.private_studies import private_study
from tests.federation.tiny_federation import NAMES, SIZES, records, study
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.acceptance.origin import model_origin, origin_of
from wardround.clinic.answering.network import open_network
from wardround.clinic.place.acceptance_record import AcceptanceRecord, keep_acceptance, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.origin_record import OriginRecord
from wardround.clinic.place.service import activate
from wardround.clinic.web.server import opened
from wardround.clinic.web.sheets import leaflet, most_right, promised_privacy
from wardround.clinic.web.words import Words
from wardround.evidence.tripod import items
from wardround.registry import open_registry
from wardround.simulation.simulate import simulate
from wardround.site.own_record import register_own_record, write_own_record
from wardround.site.store import SiteStore
from wardround.study.declaration import Study
from wardround.study.record.model_statement import ModelStatement
from wardround.study.record.run_record import RunRecord
from wardround.values.errors import RegistryError
from wardround.values.ids import SiteId

from .made_cases import WEIGHTS, made_rows, write_rows
from .made_models import FILMS, film_model, linear_model, record_of

EN = Words("en")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def ran(of: Study, folder: Path, *, register: bool = False) -> RunRecord:
    simulate(of, {name: records(name) for name in NAMES}, out=folder, workers=0, register=register)
    return RunRecord.from_json((folder / "record.json").read_bytes())


def own_record_of(of: Study, run: Path, name: str = "north") -> RunRecord:
    """What the hospital's own site writes when the study is over: a simulated site's folder is that of a real one."""
    store = SiteStore(run / "sites" / name)
    record = write_own_record(SiteId(name), of, store, synthetic=False)
    assert record is not None
    return record


def handed_over(run: Path, folder: Path) -> tuple[str, ModelStatement]:
    """The model file alone, as the lead gives it to a hospital."""
    folder.mkdir()
    path = folder / "model.onnx"
    path.write_bytes((run / "model.onnx").read_bytes())
    return str(path), open_network(path.read_bytes()).statement


def the_leaflet(origin: OriginRecord | None) -> str:
    record = record_of(film_model(), FILMS).changed(origin=None if origin is None else origin.model_dump(mode="json"))
    return leaflet(record, EN, "", promised_privacy(record.origin)).text


@pytest.mark.slow
def test_a_real_hospitals_leaflet_has_the_number_that_its_study_promised(tmp_path: Path) -> None:
    """Its own record is all that a hospital of a network has. It holds the promise, and not one patient as the study's."""
    of = private_study("patient-local", "fedavg", rounds=1, noise=4.0).revised(sites={"names": NAMES})
    whole = ran(of, tmp_path / "run")
    own = own_record_of(of, tmp_path / "run")
    assert own.privacy is not None and whole.privacy is not None and own.privacy.epsilon == whole.privacy.epsilon
    model, statement = handed_over(tmp_path / "run", tmp_path / "given")
    assert model_origin(model, None, statement) is None and "not noted" in the_leaflet(None)
    assert not (tmp_path / "home" / "registry.db").exists()  # looking makes nothing

    register_own_record(own, tmp_path / "run" / "sites" / "north")
    origin = model_origin(model, None, statement)
    assert origin is not None and origin.unit == "patient" and origin.epsilon == whole.privacy.epsilon
    assert origin.hospitals == NAMES and origin.public_patients == 76
    assert (origin.patients, origin.records) == (None, None)
    promised = promised_privacy(origin)
    assert promised is not None and f"more than {most_right(promised)} times" in the_leaflet(origin)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["sqlite", "folder"])
def test_the_registry_that_is_named_is_asked(tmp_path: Path, where: str) -> None:
    """A hospital keeps its registry in a database; and one that cannot be read is said, not passed over."""
    of = private_study("site", "fedavg", rounds=1)
    ran(of, tmp_path / "run")
    model, statement = handed_over(tmp_path / "run", tmp_path / "given")
    (tmp_path / "kept").mkdir()
    named = str(tmp_path / "kept") if where == "folder" else f"sqlite:///{tmp_path / 'kept' / 'registry.db'}"
    with open_registry(named) as registry:
        record = RunRecord.from_json((tmp_path / "run" / "record.json").read_bytes())
        registry.register_run(record, {"safetensors": tmp_path / "run" / "model.safetensors"})
    assert model_origin(model, None, statement) is None
    origin = model_origin(model, named, statement)
    assert origin is not None and origin.unit == "site" and origin.epsilon is not None
    assert "whole hospital" in the_leaflet(origin) and "times out of 100" not in the_leaflet(origin)
    (tmp_path / "kept" / "registry.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(RegistryError):
        model_origin(model, named, statement)


@pytest.mark.slow
def test_only_sums_that_were_locked_are_called_so(tmp_path: Path) -> None:
    """A study without noise says which of the two it was; counts are of all hospitals, where a record has them."""
    plain = ran(study(rounds=1), tmp_path / "plain")
    masked = ran(study(rounds=1, mode="masked"), tmp_path / "masked")
    told = {name: origin_of(record, counts=True) for name, record in (("plain", plain), ("masked", masked))}
    assert "were locked" in the_leaflet(told["masked"]) and "not locked" not in the_leaflet(told["masked"])
    assert "not locked" in the_leaflet(told["plain"])
    assert {(one.patients, one.records) for one in told.values()} == {(sum(SIZES.values()),) * 2}
    assert all(one.epsilon is None and one.unit is None for one in told.values())
    without_noise = private_study("patient-local", "fedavg", rounds=1, noise=0.0)
    bare = origin_of(ran(without_noise, tmp_path / "bare"), counts=True)
    assert bare.epsilon is None and bare.patients is None and "No proof" in the_leaflet(bare)


def test_a_hospitals_own_patients_are_never_the_studys(tmp_path: Path) -> None:
    """A card that says that a model learned from 48 patients, where 114 taught it, is false."""
    of = study(rounds=1, mode="masked").revised(sites={"names": NAMES})
    whole = ran(study(rounds=1, mode="masked"), tmp_path / "run")
    own = own_record_of(of, tmp_path / "run")
    origin = origin_of(own, counts=True)
    assert origin.hospitals == NAMES and (origin.patients, origin.records) == (None, None)
    assert origin_of(whole, counts=True).patients == sum(SIZES.values())
    card = {number: text for number, _, text in items(own, of)}
    assert "48" not in card["10"] and "north, 1 of 3 hospitals" in card["10"] and "filled in" in card["10"]
    assert "filled in" in card["12a"] and "48" not in card["12a"]
    assert card["21"].startswith("north: 48 patients") and "other hospitals: [to be filled in" in card["21"]
    assert {number: text for number, _, text in items(whole, of)}["10"].startswith(f"{sum(SIZES.values())} patients")


def test_what_was_noted_at_the_acceptance_is_what_the_pages_say(tmp_path: Path) -> None:
    """Signed with the record; a record of before, without it, keeps its name and is believed as it was."""
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    content = film_model()
    clinic.keep_model(content)
    before = record_of(content, FILMS)
    assert b"origin" not in before.content
    keep_acceptance(clinic, before)
    assert read_acceptance(clinic, before.id) == before
    promised = OriginRecord(privacy_mode="patient-local", summation_mode="plain", unit="patient", epsilon=2.0, delta=1e-5)
    record: AcceptanceRecord = before.changed(origin=promised.model_dump(mode="json"))
    assert record.id != before.id
    activate(clinic, keep_acceptance(clinic, record), record.model, by="Dr Li")
    with opened(clinic) as state:
        privacy = state.privacy_of_model
        assert privacy is not None and (privacy.epsilon, privacy.unit, privacy.masked) == (2.0, "patient", False)


@pytest.mark.slow
def test_an_acceptance_notes_the_origin_of_its_model(tmp_path: Path) -> None:
    """Of a bare file of which nobody knows the study, nothing is noted and nothing is claimed."""
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    (tmp_path / "model.onnx").write_bytes(linear_model(WEIGHTS, 0.0))
    data = write_rows(tmp_path / "cases.csv", made_rows(60)[0])
    model = str(tmp_path / "model.onnx")
    assert accept(clinic, candidates_of(clinic, model), str(data), AcceptanceSettings()).origin is None
    record = ran(study(rounds=1, mode="masked"), tmp_path / "run")
    same = open_network(linear_model(WEIGHTS, 0.0)).statement.study_hash
    beside = record.changed(study_hash=same)
    (tmp_path / "record.json").write_bytes(beside.to_json())
    accepted = accept(clinic, candidates_of(clinic, model), str(data), AcceptanceSettings())
    assert accepted.origin == origin_of(beside, counts=True) and accepted.origin is not None
    assert read_acceptance(clinic, accepted.id).origin == accepted.origin
