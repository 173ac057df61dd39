"""A hospital's own test: what is measured, what is chosen, what is refused, and that no case judges what it made."""

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

import wardround as wr
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.acceptance.activating import activate, obstacles, start_shadow
from wardround.clinic.acceptance.card import blanks, card_file, read_card, write_card
from wardround.clinic.acceptance.cases import read_cases
from wardround.clinic.acceptance.judging import judgements
from wardround.clinic.acceptance.operating_point import OperatingPoint
from wardround.clinic.acceptance.page import acceptance_page
from wardround.clinic.acceptance.summary import COLUMNS, summary
from wardround.clinic.answering.serving import in_service, load_serving
from wardround.clinic.place.acceptance_record import AcceptanceRecord, CardItem, acceptances, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.criteria import Criteria
from wardround.clinic.place.service import roll_back, service_of
from wardround.sources import network_input, prepare
from wardround.values.errors import DataError, RunError, StudyError

from .dicom_files import NUMBER, dicom
from .made_cases import WEIGHTS, made_rows, write_rows
from .made_models import FILMS, SIDE, TABLE, film_model, linear_model


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicPlace:
    return ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))


def model_at(path: Path, weights: np.ndarray = WEIGHTS, bias: float = 0.0) -> str:
    path.write_bytes(linear_model(weights, bias))
    return str(path)


def accepted(
    clinic: ClinicPlace, rows: list[dict[str, Any]], settings: AcceptanceSettings | None = None, against: tuple[str, ...] = ()
) -> Any:
    """A record. By its types a figure may be None; a test that meets one fails."""
    folder = clinic.path.parent
    data = write_rows(folder / "cases.csv", rows)
    candidates = candidates_of(clinic, model_at(folder / "model.onnx"), against)
    return accept(clinic, candidates, str(data), settings or AcceptanceSettings())


def fill_in(clinic: ClinicPlace, record: AcceptanceRecord) -> None:
    path = card_file(clinic, record.model)
    said = re.sub(r"\[to be filled in by [a-z ]+\]", "said by a person", path.read_text("utf-8"))
    path.write_text(said.replace('= ""', '= "said by a person"'), "utf-8")


def test_a_model_that_is_too_sure_is_brought_down_here(clinic: ClinicPlace) -> None:
    """Where patients differ, the model's percentages are wrong; the local ones may not be."""
    rows, _ = made_rows(600, slope=0.5, offset=-1.0)
    record = accepted(clinic, rows)
    chosen, (raw, local) = record.calibration.chosen, (record.asked.raw, record.asked.local)
    assert chosen.name == "platt" and abs(chosen.slope - 0.5) < 0.15 and abs(chosen.offset + 1.0) < 0.3
    assert local.value("ece") < 0.06 < raw.value("ece")
    assert local.value("brier") < raw.value("brier") and local.value("auc") == raw.value("auc")
    assert abs(local.value("slope") - 1) < 0.3 and abs(local.value("offset")) < 0.15


def test_a_model_that_is_right_is_left_as_it_is(clinic: ClinicPlace) -> None:
    """A map that is not needed is a source of error."""
    rows, scores = made_rows(400)
    record = accepted(clinic, rows)
    probabilities = record.calibration.chosen.probabilities(scores)
    assert np.abs(probabilities - 1 / (1 + np.exp(-scores))).mean() < 0.05


def test_figures_are_those_of_the_cases(clinic: ClinicPlace) -> None:
    """Counted by hand: at a given threshold and with no map nothing is left to chance."""
    rows, scores = made_rows(300)
    record = accepted(clinic, rows, AcceptanceSettings(point=OperatingPoint("0.5")))
    labels = np.array([row["ill"] for row in rows])
    raw = record.asked.raw
    assert math.isclose(raw.value("sensitivity"), (scores >= 0)[labels == 1].mean(), abs_tol=0.01)
    assert math.isclose(raw.value("npv"), (labels == 0)[scores < 0].mean(), abs_tol=0.01)
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None]
    assert math.isclose(raw.value("auc"), ((pairs > 0) + (pairs == 0) / 2).mean(), abs_tol=0.005)
    assert record.cases.cases == 300 and record.cases.positives == labels.sum()
    for key in ("auc", "sensitivity", "specificity", "ppv", "npv", "ece", "brier"):
        low, high = record.asked.local.interval(key)
        assert low <= record.asked.local.value(key) <= high and low < high


def test_predictive_values_follow_the_stated_prevalence(clinic: ClinicPlace) -> None:
    """Cases are often collected half and half; patients do not come so."""
    rows, _ = made_rows(300)
    here = accepted(clinic, rows).asked.local
    rare = accepted(clinic, rows, AcceptanceSettings(prevalence=0.02)).asked.local
    sensitivity, specificity = rare.value("sensitivity"), rare.value("specificity")
    expected = 0.02 * sensitivity / (0.02 * sensitivity + 0.98 * (1 - specificity))
    assert math.isclose(rare.value("ppv"), expected, rel_tol=1e-6) and rare.value("ppv") < here.value("ppv")


def test_intervals_are_wider_where_patients_have_several_cases(clinic: ClinicPlace) -> None:
    """Five films of one patient are not five patients."""
    rows, _ = made_rows(400, films=8)
    for number, row in enumerate(rows):
        row["ill"] = rows[number - number % 8]["ill"]  # films of one patient agree
        row["age"] = min(int(row["age"]) + number % 8, 100)
    alone = [{**row, "patient": f"q{number}"} for number, row in enumerate(rows)]
    together, apart = accepted(clinic, rows).asked.raw, accepted(clinic, alone).asked.raw
    for key in ("auc", "sensitivity"):
        width = [one.interval(key)[1] - one.interval(key)[0] for one in (together, apart)]
        assert width[0] > 1.3 * width[1]


@given(seed=st.integers(0, 1000), films=st.integers(1, 4))
def test_folds_keep_patients_whole(tmp_path_factory: pytest.TempPathFactory, seed: int, films: int) -> None:
    """A patient on both sides would let the map see the answer."""
    rows, _ = made_rows(60, seed=3, films=films)
    for number, row in enumerate(rows):
        row["age"] = 20 + number  # rows of one patient differ
    cases = read_cases(TABLE, str(write_rows(tmp_path_factory.mktemp("cases") / "cases.csv", rows)))
    folds = cases.folds(seed)
    for patient in np.unique(cases.patients):
        assert len(np.unique(folds[cases.patients == patient])) == 1


def test_repeated_and_unlabelled_cases_are_counted_and_not_used(clinic: ClinicPlace) -> None:
    """A case that stands twice would make a figure surer than it is."""
    rows, _ = made_rows(100)
    for number, row in enumerate(rows):
        row["age"] = 20 + number % 60
    doubled = [*rows, *rows[:7], *({**row, "ill": ""} for row in rows[:3])]
    record = accepted(clinic, doubled)
    assert (record.cases.repeated, record.cases.unlabelled) == (7, 3)
    assert record.cases.cases == 100
    again = accepted(clinic, list(reversed(rows)))
    assert again.cases.sha256 == record.cases.sha256


def test_cases_of_one_kind_are_refused(clinic: ClinicPlace) -> None:
    """Nothing can be said of a model that was shown no ill patient."""
    rows, _ = made_rows(60)
    with pytest.raises(DataError, match="both kinds"):
        accepted(clinic, [{**row, "ill": 0} for row in rows])
    with pytest.raises(DataError, match="nothing at"):
        read_cases(TABLE, "no-such-data")


@pytest.mark.parametrize("people", [1, 2, 9])
def test_cases_of_a_few_patients_are_no_test(clinic: ClinicPlace, people: int) -> None:
    """All films of a folder under one number: nobody else's cases could judge what was made from them."""
    rows, _ = made_rows(120)
    for number, row in enumerate(rows):
        row["patient"] = f"p{number % people}"
    with pytest.raises(DataError, match="more patients"):
        accepted(clinic, rows)
    assert acceptances(clinic) == ()


@pytest.mark.slow
def test_subgroups_are_found_and_small_ones_say_so(clinic: ClinicPlace) -> None:
    """A model that fails women must not hide behind its mean."""
    rows, _ = made_rows(300)
    for row in rows:
        if row["sex"] == "f":
            row["ill"] = 1 - int(row["ill"])  # here the model is wrong in all of them
    record = accepted(clinic, rows, AcceptanceSettings(columns=("pressure",)))
    groups = {(one.column, one.group): one for one in record.subgroups}
    assert groups["sex", "f"].local.value("auc") < 0.4 < 0.6 < groups["sex", "m"].local.value("auc")
    assert sum(one.cases for one in record.subgroups if one.column == "age") == 300
    assert len([one for one in record.subgroups if one.column == "pressure"]) == 3
    gap: Any = next(one for one in judgements(Criteria(subgroup_gap_at_most=0.1), record) if one.name == "subgroup_gap")
    assert not gap.met and gap.figure > 0.1
    small = accepted(clinic, rows[:60], AcceptanceSettings())
    assert any(one.few and one.local is None for one in small.subgroups)


@pytest.mark.slow
def test_groups_come_from_a_table_beside_the_cases(clinic: ClinicPlace, tmp_path: Path) -> None:
    """Images name no scanner; a hospital's own table does."""
    rows, _ = made_rows(200)
    file = tmp_path / "groups.csv"
    file.write_text("patient,scanner,dose\n" + "".join(f"p{k},{'AB'[k % 2]},{k}\n" for k in range(150)), "utf-8")
    record = accepted(clinic, rows, AcceptanceSettings(groups=file))
    scanners = {one.group: one.cases for one in record.subgroups if one.column == "scanner"}
    assert scanners == {"A": 75, "B": 75}
    assert [one.group for one in record.subgroups if one.column == "dose"] == ["0 to 49", "50 to 99", "100 to 149"]
    for text in ("scanner\nA\n", "patient,scanner\nnobody,A\n", ""):
        file.write_text(text, "utf-8")
        with pytest.raises(DataError):
            accepted(clinic, rows, AcceptanceSettings(groups=file))


def films_at(folder: Path, count: int = 120) -> list[str]:
    """PNG films in folders of their labels: a bright patch, larger and brighter in films of the ill. Their names."""
    rng = np.random.default_rng(8)
    names = []
    for number in range(count):
        ill = number % 2
        film = 60 + 15 * rng.normal(size=(SIDE, SIDE))
        row, column = rng.integers(4, SIDE - 12, 2)
        film[row : row + 8, column : column + 8] += 90 + 80 * ill + 25 * rng.normal()
        names.append(f"{ill}/film{number:03d}.png")
        (folder / str(ill)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(film, 0, 255).astype(np.uint8)).save(folder / names[-1])
    return names


@pytest.mark.slow
def test_dicom_films_are_grouped_by_their_headers(clinic: ClinicPlace, tmp_path: Path) -> None:
    """A radiologist has no table of scanners: her films say what took them, of whom, and how. --groups goes before them."""
    names = films_at(tmp_path / "png")
    for number, name in enumerate(names):
        image = np.asarray(Image.open(tmp_path / "png" / name))
        scanner = {"Manufacturer": "Acme", "ManufacturerModelName": "X1" if number % 4 < 2 else "X2"}
        told = {"PatientAge": f"{20 + number % 60:03}Y", "PatientSex": "FM"[number % 3 > 0], "ViewPosition": "PA", **scanner}
        path = tmp_path / "films" / name.replace(".png", ".dcm")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom(image, PatientID=f"{NUMBER}-{number}", **told))
    (tmp_path / "model.onnx").write_bytes(film_model(gain=60.0))
    candidates = candidates_of(clinic, str(tmp_path / "model.onnx"))
    record: Any = accept(clinic, candidates, str(tmp_path / "films"), AcceptanceSettings())
    groups = {(one.column, one.group): one.cases for one in record.subgroups}
    assert groups["scanner", "Acme X1"] == groups["scanner", "Acme X2"] == 60 and groups["sex", "F"] == 40
    assert [one.group for one in record.subgroups if one.column == "age"] == ["20 to 39", "40 to 59", "60 to 79"]
    assert not [column for column, _ in groups if column == "view"]  # one view alone divides nobody
    assert NUMBER not in record.model_dump_json() and "Mustermann" not in record.model_dump_json()
    table = tmp_path / "groups.csv"
    table.write_text(
        "record,scanner\n" + "".join(f"{name.replace('.png', '.dcm')},{'AB'[k % 2]}\n" for k, name in enumerate(names))
    )
    record = accept(clinic, candidates, str(tmp_path / "films"), AcceptanceSettings(groups=table))
    assert {one.group for one in record.subgroups if one.column == "scanner"} == {"A", "B"}


@pytest.mark.slow
def test_films_from_a_folder_to_an_answer_with_its_map(clinic: ClinicPlace, tmp_path: Path) -> None:
    """What a radiologist's folder of labelled films becomes: groups by scanner, what is unusual, where the film speaks."""
    names = films_at(tmp_path / "films")
    groups = tmp_path / "groups.csv"
    groups.write_text("record,scanner\n" + "".join(f"{name},{'AB'[k % 4 > 1]}\n" for k, name in enumerate(names)), "utf-8")
    (tmp_path / "model.onnx").write_bytes(film_model(gain=60.0))
    candidates = candidates_of(clinic, str(tmp_path / "model.onnx"))
    record: Any = accept(clinic, candidates, str(tmp_path / "films"), AcceptanceSettings(groups=groups))
    assert record.asked.local.value("auc") > 0.9 and record.cases.cases == 120 and record.cases.patients == 120
    assert {(one.column, one.group, one.cases) for one in record.subgroups} == {("scanner", "A", 60), ("scanner", "B", 60)}
    fill_in(clinic, record)
    activate(clinic, record.id, by="Dr Li")
    model: Any = in_service(clinic)
    one = network_input(FILMS, prepare(FILMS, tmp_path / "films" / names[1])[None])[0]
    answer = model.answer(one)
    assert answer.verdict == "positive" and not answer.unusual.beyond and answer.moved == ()
    top = np.unravel_index(model.heat_map(one).argmax(), (SIDE, SIDE))
    bright = np.unravel_index(gaussian_filter(one[0], 3).argmax(), (SIDE, SIDE))
    assert np.hypot(top[0] - bright[0], top[1] - bright[1]) < 6
    turned = model.answer(np.ascontiguousarray(1 - one))
    assert turned.verdict == "cannot-tell" and "unusual" in turned.reasons


@pytest.mark.slow
def test_models_are_compared_on_the_same_cases(clinic: ClinicPlace, tmp_path: Path) -> None:
    """The hospital's own model may be the better one here."""
    rows, _ = made_rows(400)
    worse = model_at(tmp_path / "worse.onnx", np.array([1.5, 0.8, -0.8, -0.5]))
    record = accepted(clinic, rows, against=(worse, worse))
    assert [one.role for one in record.candidates] == ["asked", "against"]
    paired = record.candidates[1].less_asked["auc"]
    assert paired.difference < 0 and paired.p_value < 0.01 and paired.interval[1] < 0
    other = tmp_path / "films.onnx"
    other.write_bytes(film_model())
    with pytest.raises((DataError, RunError)):
        accepted(clinic, rows, against=(str(other),))


@pytest.mark.slow
def test_from_a_model_to_service_and_back(clinic: ClinicPlace) -> None:
    """The whole way, with each reason for which it is barred."""
    rows, _ = made_rows(400, slope=2.0)
    record = accepted(clinic, rows)
    with pytest.raises(RunError, match="model card says nothing of"):
        activate(clinic, record.id, by="Dr Li")
    assert service_of(clinic).answering is None
    start_shadow(clinic, record.id, by="Dr Li")
    fill_in(clinic, record)
    clinic.set_criteria(auc_at_least=0.999)
    with pytest.raises(RunError, match="AUC at least"):
        activate(clinic, record.id, by="Dr Li")
    clinic.set_criteria(auc_at_least=0.7)
    assert obstacles(clinic, record) == ()
    activate(clinic, record.id, by="Dr Li")
    model = in_service(clinic)
    answer = model.answer(network_input(TABLE, prepare(TABLE, {"age": 85, "sex": "m", "pressure": 195})[None])[0])
    assert answer.verdict == "positive" and answer.probability > 0.9 and answer.acceptance == record.id
    assert [one.column for one in answer.moved] == ["age", "sex", "pressure"]
    again = accepted(clinic, rows[:300], against=())
    assert [one.role for one in again.candidates] == ["asked"]  # the one in service is the same file
    roll_back(clinic, by="Dr Li")
    assert in_service(clinic) is None


@pytest.mark.slow
def test_what_is_in_service_is_always_compared(clinic: ClinicPlace, tmp_path: Path) -> None:
    """A new model has to be better than the one that doctors use."""
    rows, _ = made_rows(300)
    record = accepted(clinic, rows)
    fill_in(clinic, record)
    clinic.set_criteria(auc_at_least=None, sensitivity_at_least=None)
    activate(clinic, record.id, by="Dr Li")
    newer = candidates_of(clinic, model_at(tmp_path / "newer.onnx", WEIGHTS * 0.9))
    assert [one.role for one in newer] == ["asked", "in service"]
    second: Any = accept(clinic, newer, str(tmp_path / "cases.csv"), AcceptanceSettings())
    assert second.candidates[1].less_asked["auc"].n == 300


@pytest.mark.slow
def test_a_lost_model_is_mended_by_accepting_it_again_and_blocks_no_other_silently(clinic: ClinicPlace, tmp_path: Path) -> None:
    """The hint of an error has to work."""
    rows, _ = made_rows(200)
    record = accepted(clinic, rows)
    fill_in(clinic, record)
    clinic.set_criteria(auc_at_least=None, sensitivity_at_least=None)
    activate(clinic, record.id, by="Dr Li")
    clinic.model_file(record.model).unlink()
    with pytest.raises(RunError, match="gone"):
        in_service(clinic)
    with pytest.raises(RunError, match="clinic rollback"):
        candidates_of(clinic, model_at(tmp_path / "newer.onnx", WEIGHTS * 0.9))
    accepted(clinic, rows)
    assert in_service(clinic).acceptance == record


@pytest.mark.slow
def test_how_many_cases_would_decide_is_said_and_true(clinic: ClinicPlace) -> None:
    """A hospital with too few cases must know how many to collect, and a bad model that none will do."""
    few, _ = made_rows(80)
    record = accepted(clinic, few)
    limit = record.asked.local.value("auc") - 0.03
    judged: dict[str, Any] = {one.name: one for one in judgements(Criteria(auc_at_least=limit), record)}
    assert not judged["auc"].met and 80 < judged["auc"].cases < 4000
    copies = [{**row, "patient": f"{row['patient']}-{k}"} for k in range(math.ceil(judged["auc"].cases / 80)) for row in few]
    full = accepted(clinic, copies)  # the same figure, on as many cases as were asked for
    assert {one.name: one for one in judgements(Criteria(auc_at_least=limit), full)}["auc"].met
    fewer = accepted(clinic, copies[: len(copies) // 2])
    assert not {one.name: one for one in judgements(Criteria(auc_at_least=limit), fewer)}["auc"].met
    hopeless = {one.name: one for one in judgements(Criteria(auc_at_least=0.99, sensitivity_at_least=0.999), record)}
    assert hopeless["auc"].cases is None and hopeless["sensitivity"].cases is None
    assert "cases would decide" in judged["auc"].sentence and "the figure itself" in hopeless["auc"].sentence
    by_figure = Criteria(auc_at_least=limit, judged_by="figure")
    assert {one.name: one for one in judgements(by_figure, full)}["auc"].by == "the figure"


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["near-half", "balanced", "sensitivity=0.95", "specificity=0.9", "0.3"])
def test_the_operating_point_is_where_the_hospital_asks(clinic: ClinicPlace, rule: str) -> None:
    """Who must not miss anybody chooses otherwise than who must not alarm."""
    rows, _ = made_rows(500)
    record = accepted(clinic, rows, AcceptanceSettings(point=OperatingPoint(rule)))
    local = record.asked.local
    assert record.threshold_rule == rule
    if rule == "0.3":
        assert record.threshold == 0.3
    elif "=" in rule:
        name, aim = rule.split("=")
        assert abs(local.value(name) - float(aim)) < 0.03
    else:
        assert local.value("sensitivity") + local.value("specificity") > 1.4


@pytest.mark.parametrize("rule", ["", "best", "sensitivity=2", "1.5", "sensitivity", "recall=0.9", "nan"])
def test_no_other_word_is_an_operating_point(rule: str) -> None:
    """A word that is not understood may not become 0.5 in silence."""
    with pytest.raises(StudyError, match="no operating point"):
        OperatingPoint(rule)


@pytest.mark.parametrize("settings", [{"promise": 1.0}, {"promise": 90.0}, {"prevalence": 0.0}, {"unusual_share": 0.9}])
def test_shares_that_cannot_be_are_refused(settings: dict[str, float]) -> None:
    """90 is no share."""
    with pytest.raises(StudyError):
        AcceptanceSettings(**settings)


def test_the_summary_fits_a_terminal_and_says_what_counts(clinic: ClinicPlace, tmp_path: Path) -> None:
    """It is the first thing that a data manager reads, over a telephone line if need be."""
    rows, _ = made_rows(200)
    record = accepted(clinic, rows, against=(model_at(tmp_path / "other.onnx", WEIGHTS[::-1]),))
    text = summary(record, judgements(clinic.criteria, record))
    assert max(map(len, text.splitlines())) <= COLUMNS
    for word in ("AUC", "sensitivity", "cannot tell", "sex: f", "other.onnx", "heart disease", record.id):
        assert word in text


def test_the_page_stands_alone_and_escapes(clinic: ClinicPlace) -> None:
    """It is passed on by mail; a hospital's or a model's name may not become a script."""
    rows, _ = made_rows(120)
    record = accepted(clinic, rows).changed(hospital="<script>alert(1)</script>")
    page = acceptance_page(record, judgements(clinic.criteria, record))
    assert page.count("<svg") == 3  # one of the models, two of calibration
    page = page.replace("http://www.w3.org/", "").replace("https://matplotlib.org/", "")
    assert "<script" not in page and "&lt;script&gt;" in page and "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page and record.id in page


def test_equal_tests_give_equal_records_but_for_the_time(clinic: ClinicPlace) -> None:
    """A figure that changes with each look is no evidence."""
    rows, _ = made_rows(150)
    first, second = accepted(clinic, rows), accepted(clinic, rows)
    assert first.changed(created=second.created) == second
    assert read_acceptance(clinic, first.id) == first


def test_no_patient_stands_in_the_record(clinic: ClinicPlace) -> None:
    """Records are shown to auditors and printed."""
    rows, _ = made_rows(150)
    for number, row in enumerate(rows):
        row["patient"] = f"SECRET-{number}"
    record = accepted(clinic, rows)
    kept = b"".join(path.read_bytes() for path in clinic.path.rglob("*") if path.is_file())
    assert b"SECRET" not in kept and json.loads(record.content)["cases"]["patients"] == 150


ACCEPTING = """
import sys
from pathlib import Path
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.place.clinic_place import ClinicPlace
folder, start = Path(sys.argv[1]), int(sys.argv[2])
clinic = ClinicPlace(folder / "clinic")
for number in range(1000):
    print("again", flush=True)
    settings = AcceptanceSettings(seed=start + number)
    accept(clinic, candidates_of(clinic, str(folder / "model.onnx")), str(folder / "cases.csv"), settings)
"""


@pytest.mark.slow
def test_killed_while_it_accepts_it_leaves_whole_records_or_none(clinic: ClinicPlace) -> None:
    """What a record names is there, whatever the instant: it is written last."""
    folder = clinic.path.parent
    model_at(folder / "model.onnx")
    write_rows(folder / "cases.csv", made_rows(60)[0])
    for attempt in range(4):
        words = [sys.executable, "-c", ACCEPTING, str(folder), str(1000 * attempt)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert [process.stdout.readline() for _ in range(2)] == [b"again\n"] * 2  # one is kept, and the next begun
        time.sleep(0.2 * attempt)
        process.kill()
        process.wait()
        process.stdout.close()
        for record in acceptances(clinic):
            assert load_serving(clinic, record.id).acceptance == record
            assert card_file(clinic, record.model).is_file()
    assert len(acceptances(clinic)) >= 4


HEART = Path(os.environ.get("WARDROUND_DATA", "")) / "uci_heart_disease"


@pytest.mark.slow
@pytest.mark.skipif(not HEART.is_dir(), reason="set WARDROUND_DATA to a folder with uci_heart_disease")
def test_a_real_federated_model_comes_back_to_a_hospital(clinic: ClinicPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a study over four hospitals to answers in one of them, which are those of `predict` before calibration."""
    folder = clinic.path.parent
    monkeypatch.setenv("WARDROUND_HOME", str(folder / "home"))
    run = wr.simulate(Path(__file__).parents[2] / "examples/heart_disease.toml", out=folder / "run", own=False)
    data = HEART / "processed.cleveland.data"
    record: Any = accept(clinic, candidates_of(clinic, str(run.folder)), str(data), AcceptanceSettings())
    assert record.cases.cases > 250 and record.asked.local.value("auc") > 0.8
    assert {one.column for one in record.subgroups} >= {"age", "sex"}
    assert {item.number for item in record.card if item.text} >= {"4", "6a", "9", "12c", "23b"}
    clinic.set_criteria(auc_at_least=0.7, sensitivity_at_least=0.5, ece_at_most=0.2)
    fill_in(clinic, record)
    activate(clinic, record.id, by="Dr Li")
    prediction = wr.predict(run.folder, data)
    model = in_service(clinic)
    answers = model.answer_many(network_input(model.contract, prediction.records.inputs))
    assert np.allclose([one.raw_probability for one in answers], prediction.probabilities, atol=1e-5)
    one = model.answer(network_input(model.contract, prediction.records.inputs[:1])[0])
    total = sum(share.share for share in one.moved)
    both = model.network.scores(
        np.stack([network_input(model.contract, prediction.records.inputs[:1])[0], model.reference.mean_input])
    )
    assert abs(total - (both[0] - both[1])) < 0.05


def test_a_card_is_a_persons_and_its_blanks_bar_the_way(clinic: ClinicPlace) -> None:
    """What a person wrote may not be written over by the next test."""
    items = (
        CardItem(number="3b", name="Target population", text="Children: [to be filled in by the clinical lead]", required=True),
        CardItem(number="15", name="Output", text="A probability."),
    )
    path = write_card(clinic, "a" * 64, items)
    assert [item.number for item in blanks(read_card(clinic, "a" * 64, items))] == ["3b"]  # half filled in
    path.write_text('"3b" = "Children with cough."\n', "utf-8")
    write_card(clinic, "a" * 64, items)
    assert read_card(clinic, "a" * 64, items)[0].text == "Children with cough."
    assert blanks(read_card(clinic, "a" * 64, items)) == ()
    for wrong in ('"99" = "x"\n', '"3b" = 5\n', "3b"):
        path.write_text(wrong, "utf-8")
        with pytest.raises(StudyError):
            read_card(clinic, "a" * 64, items)
