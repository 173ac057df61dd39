"""Every kind of question keeps the same laws at the bedside; each is asked over one table of made patients."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.clinic.kinds.made_questions import KINDS, QUESTIONS, Nodes, Question, model_file, write_cases
from tests.clinic.made_models import FILMS, SIDE, film_model, record_of
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.acceptance.judging import judgements
from wardround.clinic.acceptance.operating_point import OperatingPoint
from wardround.clinic.acceptance.page import acceptance_page
from wardround.clinic.acceptance.summary import COLUMNS, summary
from wardround.clinic.answering.answer import AnswerInParts, answer_of
from wardround.clinic.answering.network import open_network
from wardround.clinic.answering.public_bins import SCORE, bin_numbers
from wardround.clinic.answering.serving import load_serving, serving_model
from wardround.clinic.intake.desk import as_json
from wardround.clinic.kinds.registry import kind_of
from wardround.clinic.place.acceptance_record import AcceptanceRecord, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.criteria import Criteria
from wardround.clinic.place.service import activate
from wardround.sources import network_input, prepare
from wardround.study.contract import DataContract, LabelContract
from wardround.tasks.registry import task_of_label
from wardround.values.errors import DataError, RunError, StudyError

Accepted = tuple[ClinicPlace, AcceptanceRecord]


def clinic_at(path: Path) -> ClinicPlace:
    return ClinicPlace.begin(path / "clinic", ClinicSettings(hospital="St Anna"))


def accepted(path: Path, question: Question, count: int = 240, *, films: int = 1, **off: float) -> Accepted:
    """The model tested on made cases. off: by which the model is off."""
    clinic = clinic_at(path)
    (path / "model.onnx").write_bytes(question.model(**off))
    source = write_cases(path / "cases.csv", question, count, films=films)
    record = accept(clinic, candidates_of(clinic, str(path / "model.onnx")), str(source), AcceptanceSettings())
    return clinic, record


@pytest.fixture(scope="module", params=KINDS)
def tested(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Accepted:
    """A model that is off by a slope and an offset."""
    off = {"slope": 1.0, "offset": 0.4} if request.param in ("count", "time") else {"slope": 1.3, "offset": 0.5}
    return accepted(tmp_path_factory.mktemp(request.param), QUESTIONS[request.param], **off)


def rows_of(record: AcceptanceRecord) -> np.ndarray:
    """Network inputs of three patients."""
    contract = record.statement.data
    raw = [{"age": age, "sex": sex, "pressure": 140} for age, sex in ((30, "f"), (55, "m"), (85, "m"))]
    return network_input(contract, np.stack([prepare(contract, row) for row in raw]))


def test_a_yes_or_no_s_record_keeps_its_name_and_its_bytes() -> None:
    """A record that was signed before there were other questions must be read as what was signed."""
    record = record_of(film_model(), FILMS)
    assert record.id == "8342318fb6d9ff4b"
    assert "tuned" not in record.model_dump(mode="json") and "counted" not in record.model_dump(mode="json")["cases"]


def test_the_local_correction_mends_what_the_model_is_off_by(tested: Accepted) -> None:
    """Judged on cases that did not make it; and better than knowing only how common each answer is."""
    _, record = tested
    assert record.tuned is not None
    losses = {form: loss for form, loss in record.tuned.losses.items() if loss is not None}
    plain = [loss for form, loss in losses.items() if form.endswith(("none", "identity"))]
    mended = [loss for form, loss in losses.items() if form.endswith(("line", "offset", "platt"))]
    assert min(mended) < min(plain)
    gain, ends = record.asked.local.value("gain"), record.asked.local.interval("gain")
    assert gain is not None and ends is not None and ends[0] > 0
    assert gain > (record.asked.raw.value("gain") or 0.0)


def test_the_promise_is_kept_on_cases_that_did_not_make_it(tested: Accepted) -> None:
    """Nine of ten, within what 240 cases can tell."""
    _, record = tested
    covered, untold = record.measured.value("coverage"), record.measured.value("cannot_tell")
    assert covered is not None and 0.83 <= covered <= 1.0
    assert untold is not None and untold < 0.7


def test_a_record_reads_back_as_it_was_signed(tested: Accepted) -> None:
    """JSON must lose nothing, or no model of another question would ever go into service."""
    clinic, record = tested
    again = read_acceptance(clinic, record.id)
    assert again == record and again.content == record.content
    with pytest.raises(RunError, match="another question"):
        _ = record.yes_or_no
    assert record.cases.positives is None and record.threshold is None


def test_an_answer_is_one_value_and_reads_back(tested: Accepted) -> None:
    """One alone and one of a batch are the same; JSON gives it back."""
    clinic, record = tested
    model = load_serving(clinic, record.id)
    many = model.answer_many(rows_of(record))
    for row, answer in zip(rows_of(record), many, strict=True):
        assert isinstance(answer, AnswerInParts) and answer.kind == record.statement.data.label.kind
        assert answer_of(json.loads(json.dumps(as_json(answer), allow_nan=False))) == answer
        alone = model.answer(row)
        assert isinstance(alone, AnswerInParts) and alone.answer == answer.answer
        assert np.allclose([one.value for one in alone.parts], [one.value for one in answer.parts], atol=1e-6)
        assert len(alone.moved) == 3
        assert 0 <= answer.score_bin < bin_numbers(model.contract)[SCORE]
        assert (answer.verdict == "cannot-tell") == bool(answer.reasons)


def test_what_moved_an_answer_adds_up(tested: Accepted) -> None:
    """The older patient with the higher pressure: both columns speak the same way."""
    clinic, record = tested
    model = load_serving(clinic, record.id)
    answer = model.answer(rows_of(record)[2])
    assert any(abs(one.share) > 0.05 for one in answer.moved)


def test_the_parts_are_what_the_task_calls_outputs(tested: Accepted) -> None:
    """A page with another name than the file's would be about something else."""
    clinic, record = tested
    label = record.statement.data.label
    answer = load_serving(clinic, record.id).answer(rows_of(record)[0])
    assert isinstance(answer, AnswerInParts)
    names = {"number": ("days",), "count": ("visits",), "time": ("2 years", "5 years")}.get(
        label.kind, task_of_label(label).words.outputs
    )
    assert tuple(part.name for part in answer.parts) == tuple(names)
    chances = [part.value for part in answer.parts]
    if label.kind in ("classes", "grades"):
        assert abs(sum(chances) - 1) < 1e-9


def test_the_summary_and_the_page_show_every_figure(tested: Accepted) -> None:
    """In 80 columns, and without a word of a threshold that there is not."""
    _, record = tested
    judged = judgements(Criteria(), record)
    text, page = summary(record, judged), acceptance_page(record, judged)
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    for name in task_of_label(record.statement.data.label).words.names.values():
        assert name.split("(")[0].strip()[:20] in " ".join(text.split())
    assert "Threshold" not in text and "a yes is right" not in page and "held-out" not in page and "None" not in page
    assert {"cases", "gain", "coverage", "cannot_tell"} <= {one.name for one in judged}


def test_how_often_each_class_and_grade_was_held_is_shown(tested: Accepted) -> None:
    """Nine of ten of all can hide that one of two of the worst grade was left out."""
    _, record = tested
    text, kind = " ".join(summary(record, ()).split()), record.statement.data.label.kind
    for number, one in enumerate(record.statement.data.label.asked.classes, 1):
        named = f"grade {one.name}" if kind == "grades" else one.name
        assert record.measured.value(f"coverage_{number}") is not None
        assert f"Of those of {named}, the answer holds the truth" in text


def test_bins_of_the_acceptance_count_every_case(tested: Accepted) -> None:
    """What later answers are compared with."""
    _, record = tested
    assert record.watch is not None
    assert sum(record.watch.bins[SCORE]) == record.watch.cases == record.cases.cases


@pytest.mark.parametrize("name", KINDS)
def test_ten_patients_are_enough_to_begin_and_promise_nothing_false(name: str, tmp_path: Path) -> None:
    """The smallest hospital that can be tested: nothing fails, and what cannot be promised is not."""
    _, record = accepted(tmp_path, QUESTIONS[name], 14)
    assert record.tuned is not None and record.cases.patients >= 10
    assert not all(one.met for one in judgements(Criteria(), record))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("far", [0.0, 1.0, 1e-30, 1e9, -1e9])
def test_whatever_a_file_shows_an_answer_is_made_of_numbers(name: str, far: float) -> None:
    """A chance of 0, a count beyond the range: a float of 32 bits can be any of them."""
    question = QUESTIONS[name]
    kind = kind_of(question.label)
    assert kind is not None
    outputs = kind.outputs(np.full((1, len(question.outputs)), far))
    labels = kind.judged(kind.task.drawn(np.random.default_rng(0), 60))
    labels = labels[kind.known(labels)]
    several = np.repeat(outputs, len(labels), axis=0)
    limits = kind.limits(several, several, labels, 0.9)
    (said,) = kind.said(outputs, outputs, limits, 0.5)
    assert np.isfinite(outputs).all()
    assert all(np.isfinite(part.value) and np.isfinite(part.raw) for part in said.parts)
    assert 0 <= int(kind.score_bins(outputs)[0]) < kind.bins


@pytest.mark.parametrize("name", KINDS)
def test_what_a_file_shows_comes_back_from_the_outputs(name: str) -> None:
    """Outputs that stood for another answer would be corrected and judged as that."""
    question = QUESTIONS[name]
    kind, rows = kind_of(question.label), np.random.default_rng(1).normal(0, 1, (50, 4)).astype(np.float32)
    assert kind is not None
    shown = open_network(question.model()).outputs(rows).shown
    outputs = kind.outputs(shown)
    labels = kind.judged(np.zeros(len(outputs), question.label.dtype))
    said = kind.said(outputs, outputs, kind.limits(outputs, outputs, labels, 0.9), 0.5)
    values = np.array([[part.value for part in one.parts] for one in said])
    assert np.allclose(values, shown[:, : values.shape[1]], atol=2e-5 * max(1.0, np.abs(shown).max()))


def test_a_hospital_without_a_class_is_tested_and_never_rules_it_out(tmp_path: Path) -> None:
    """No case of it says where its chance would lie."""
    question, clinic = QUESTIONS["classes"], clinic_at(tmp_path)
    source = write_cases(tmp_path / "cases.csv", question, 150)
    lines = [line for line in source.read_text("utf-8").splitlines() if not line.endswith(",c")]
    source.write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "model.onnx").write_bytes(question.model())
    record = accept(clinic, candidates_of(clinic, str(tmp_path / "model.onnx")), str(source), AcceptanceSettings())
    assert record.tuned is not None and record.tuned.limits.kind == "classes"
    assert record.tuned.limits.floors[2] is None and record.cases.counted["c"] == 0
    assert "class 3" in summary(record, ())


def test_blank_and_odd_labels(tmp_path: Path) -> None:
    """A blank is counted as without a label; so is a value that the contract does not know: a guess
    would judge the model by it."""
    question, clinic = QUESTIONS["grades"], clinic_at(tmp_path)
    source = write_cases(tmp_path / "cases.csv", question, 100)
    blanks = source.read_text("utf-8").count("?")
    (tmp_path / "model.onnx").write_bytes(question.model())
    candidates = candidates_of(clinic, str(tmp_path / "model.onnx"))
    record = accept(clinic, candidates, str(source), AcceptanceSettings())
    assert blanks and record.cases.unlabelled == blanks and record.cases.cases == 100 - blanks
    text = source.read_text("utf-8")
    source.write_text(text.replace(",3\n", ",seven\n"), "utf-8")
    odd = accept(clinic, candidates, str(source), AcceptanceSettings())
    assert odd.cases.unlabelled == blanks + text.count(",3\n") and odd.cases.counted["3"] == 0


def test_cases_that_can_test_nothing_are_refused() -> None:
    """One class, no event, one number: figures would be of nothing."""
    for name in KINDS:
        kind = kind_of(QUESTIONS[name].label)
        assert kind is not None
        one = kind.task.drawn(np.random.default_rng(0), 200)
        one = one[kind.known(one)]
        same = np.zeros(20, one.dtype)
        with pytest.raises(DataError, match="A model is tested"):
            kind.require(kind.judged(same))


def test_patients_with_several_cases_are_drawn_whole(tmp_path: Path) -> None:
    """Copies of a patient say nothing new: the interval stays as wide as that of the patients."""
    _, record = accepted(tmp_path, QUESTIONS["grades"], 240, films=4)
    ends = record.asked.local.interval("log_loss")
    assert record.cases.patients <= 60 and ends is not None
    assert ends[1] - ends[0] > 0.1


@pytest.mark.parametrize(
    ("name", "settings", "option"),
    [
        ("classes", {"widest": 0.3}, "--widest"),
        ("grades", {"prevalence": 0.1}, "--prevalence"),
        ("number", {"point": OperatingPoint("0.4")}, "--operating-point"),
        ("time", {"promise": 0.8}, "--coverage"),
    ],
)
def test_a_choice_that_a_question_does_not_read_is_refused(
    name: str, settings: dict[str, Any], option: str, tmp_path: Path
) -> None:
    """Whoever names a threshold for a number believes that something follows from it."""
    clinic, question = clinic_at(tmp_path), QUESTIONS[name]
    (tmp_path / "model.onnx").write_bytes(question.model())
    source = write_cases(tmp_path / "cases.csv", question, 30)
    with pytest.raises(StudyError, match=f"{option} does nothing"):
        accept(clinic, candidates_of(clinic, str(tmp_path / "model.onnx")), str(source), AcceptanceSettings(**settings))


def test_a_model_in_service_that_answers_another_question_is_no_rival(tmp_path: Path) -> None:
    """A hospital goes on from classes to a number; and who names such a model is told that nothing can be compared."""
    clinic, record = accepted(tmp_path, QUESTIONS["number"], 40)
    activate(clinic, record.id, record.model, by="Dr Li")
    (tmp_path / "count.onnx").write_bytes(QUESTIONS["count"].model())
    source, asked = write_cases(tmp_path / "count.csv", QUESTIONS["count"], 40), str(tmp_path / "count.onnx")
    second = accept(clinic, candidates_of(clinic, asked), str(source), AcceptanceSettings())
    assert [one.role for one in second.candidates] == ["asked"]
    (tmp_path / "days.onnx").write_bytes(QUESTIONS["number"].model(offset=0.5))
    with pytest.raises(DataError, match="another question"):
        accept(clinic, candidates_of(clinic, asked, (str(tmp_path / "days.onnx"),)), str(source), AcceptanceSettings())
    (tmp_path / "better.onnx").write_bytes(QUESTIONS["count"].model(offset=0.5))
    both = accept(clinic, candidates_of(clinic, asked, (str(tmp_path / "better.onnx"),)), str(source), AcceptanceSettings())
    assert both.candidates[1].less_asked["deviance"].n == both.cases.cases
    assert "less the asked" in summary(both, ()) and "better.onnx" in acceptance_page(both, ())


def test_a_heat_map_is_of_the_class_that_is_answered() -> None:
    """Two films, two classes: each map is warm where its own class speaks, by the places of the last maps."""
    contract = FILMS.changed(label=QUESTIONS["classes"].label.model_dump(mode="json"))
    content = film_classes(contract)
    record = record_of(content, contract).model_dump(mode="json")
    tuned = {"correction": {}, "losses": {}, "limits": LIMITS, "measured": {"values": {}}, "widest": 0.5}
    nothing = dict.fromkeys(("calibration", "threshold", "threshold_rule", "conformal"))
    model = serving_model(content, AcceptanceRecord.model_validate_json(json.dumps({**record, **nothing, "tuned": tuned})))
    bright, dark = np.full((1, SIDE, SIDE), 0.5, np.float32), np.full((1, SIDE, SIDE), 0.5, np.float32)
    bright[:, 4:12, 4:12], dark[:, 20:28, 20:28] = 1.0, 0.0
    for film, answer, place in ((bright, "a", (8, 8)), (dark, "b", (24, 24))):
        told, warm = model.answer(film), model.heat_map(film)
        assert isinstance(told, AnswerInParts) and told.answer == answer
        assert warm.shape == (SIDE, SIDE) and warm[place] > 0.9 and np.median(warm) < 0.1


LIMITS = {"kind": "classes", "promise": 0.9, "floors": [-0.7, -0.7, -0.7], "cases": [40, 40, 40]}


def film_classes(contract: DataContract) -> bytes:
    """Class a by brightness above the middle, class b by what is below, class c by neither: two maps, pooled, weighed."""
    tensors = {
        "blur": np.stack([np.full((1, 3, 3), 1 / 9), np.full((1, 3, 3), -1 / 9)]).astype(np.float32),
        "shift": np.array([-0.5, 0.5], np.float32),
        "weight": np.array([[200, 0], [0, 200], [0, 0]], np.float32),
        "bias": np.array([-1, -1, 0], np.float32),
    }
    nodes: Nodes = [
        ("Conv", ["pixels", "blur", "shift"], "conv", {"pads": [1, 1, 1, 1]}),
        ("Relu", ["conv"], "maps", {}),
        ("GlobalAveragePool", ["maps"], "pooled", {}),
        ("Flatten", ["pooled"], "flat", {}),
        ("Gemm", ["flat", "weight", "bias"], "head", {"transB": 1}),
        ("Softmax", ["head"], "shown", {"axis": 1}),
    ]
    return model_file(nodes, tensors, contract, ("a", "b", "c"), "pixels")


def test_a_class_may_be_called_as_what_the_clinic_calls_its_numbers() -> None:
    """Names of classes are a study's, and stand among the graph's own."""
    question = replace(QUESTIONS["classes"], outputs=("scores", "features of it", "shown of it"))
    shown = open_network(question.model()).outputs(np.zeros((2, 4), np.float32)).shown
    assert np.allclose(shown, 1 / 3, atol=1e-6)


def test_a_file_of_other_outputs_than_its_question_is_refused(tmp_path: Path) -> None:
    """And one that gives no numbers: a hospital must not accept what a sort of NaN would call best."""
    with pytest.raises(RunError, match="another number of outputs"):
        open_network(replace(QUESTIONS["classes"], outputs=("a", "b")).model())
    clinic, question = clinic_at(tmp_path), QUESTIONS["number"]
    (tmp_path / "model.onnx").write_bytes(question.model(slope=float("nan")))
    source = write_cases(tmp_path / "cases.csv", question, 30)
    with pytest.raises(RunError, match="not numbers"):
        accept(clinic, candidates_of(clinic, str(tmp_path / "model.onnx")), str(source), AcceptanceSettings())


def test_limits_of_another_kind_are_no_record_of_this_model(tmp_path: Path) -> None:
    """Floors of classes on log-odds of grades would tell anything."""
    _, record = accepted(tmp_path, QUESTIONS["grades"], 40)
    whole = record.model_dump(mode="json")
    whole["tuned"]["limits"] = LIMITS
    with pytest.raises(ValidationError, match="another kind of question"):
        AcceptanceRecord.model_validate_json(json.dumps(whole))
    whole["tuned"] = None
    with pytest.raises(ValidationError, match="not both"):
        AcceptanceRecord.model_validate_json(json.dumps(whole))


def test_an_acceptance_of_another_question_serves_no_model() -> None:
    """Limits on logits of a yes or no say nothing of classes."""
    content = QUESTIONS["classes"].model()
    with pytest.raises(RunError, match="another question"):
        serving_model(content, record_of(content, QUESTIONS["classes"].contract))
    with pytest.raises(RunError, match="does not answer"):
        kind_of(LabelContract(kind="undisclosed"))
