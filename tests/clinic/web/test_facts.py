"""The page of a model's facts: who taught it, on how many, under which promise, and nothing that is not known."""

import html
import re
import time
from pathlib import Path
from typing import get_args

import pytest

from tests.clinic.made_clinics import serve_model
from tests.clinic.made_models import FILMS, film_model, record_of, statement_of
from tests.federation.tiny_federation import NAMES, records, study
from wardround.clinic.acceptance.card import card_items, write_card
from wardround.clinic.kinds.limits import CorrectionName
from wardround.clinic.place.acceptance_record import CardItem, SubgroupRecord, keep_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.origin_record import OriginRecord
from wardround.clinic.place.service import activate
from wardround.clinic.web.app import application
from wardround.clinic.web.fact_words import told
from wardround.clinic.web.record_pages import origin_lines
from wardround.clinic.web.server import opened
from wardround.clinic.web.words import LANGUAGES, Words, catalogue
from wardround.evidence.tripod import checklist, items
from wardround.simulation.simulate import simulate
from wardround.sources.dicom.film_groups import GROUPS
from wardround.study.record.run_record import RunRecord
from wardround.tasks.binary.local_map import LocalMap
from wardround.tasks.binary.recalibrating import MAPS
from wardround.tasks.binary.words import WORDS

from .visitors import Clinic, hosts

NORTH_SOUTH = OriginRecord(
    hospitals=("north", "south"), patients=4120, records=5200, privacy_mode="none", summation_mode="masked"
)


def test_the_page_says_who_taught_the_model_on_how_many_and_what_was_promised(tmp_path: Path) -> None:
    """A doctor judges an answer by whose patients it was learnt from; a patient asks what was promised."""
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    serve_model(clinic, film_model(), FILMS, origin=NORTH_SOUTH)
    with opened(clinic) as state:
        page = Clinic(state, application(state, hosts())).logged_in("doctor").get("/facts").text
    assert "2: north, south" in page and "4,120 patients with 5,200 records" in page
    assert "No noise was added" in page and "Sums were masked" in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_not_released_is_said_and_not_replaced(language: str) -> None:
    """Neither a hospital's own count nor a zero stands for what nobody told."""
    words = Words(language)
    unknown = [text for _, text in origin_lines(None, words)]
    assert set(unknown) == {words("facts.not_noted")}
    withheld = dict(origin_lines(NORTH_SOUTH.changed(patients=None, records=None), words))
    assert withheld["facts.sample"] == words("facts.withheld")
    private = OriginRecord(
        hospitals=("a", "b"), public_patients=2000, privacy_mode="site", summation_mode="plain", unit="site", epsilon=1.99612,
        delta=1e-5,
    )  # fmt: skip
    said = dict(origin_lines(private, words))
    assert "2,000" in said["facts.sample"] and words("facts.plain") in said["facts.privacy"]
    assert re.search(r"epsilon 2\b(?!\.)", said["facts.privacy"]) and "1e-05" in said["facts.privacy"]


@pytest.mark.parametrize(("epsilon", "shown"), [(2.0, "2"), (2.001, "2.01"), (0.5004, "0.501"), (12.31, "12.4"), (7.999, "8")])
def test_epsilon_is_never_shown_smaller_than_it_is(epsilon: float, shown: str) -> None:
    """A promise rounded down is one that was not made."""
    origin = NORTH_SOUTH.changed(privacy_mode="patient-local", unit="patient", epsilon=epsilon, delta=1e-6)
    assert f"epsilon {shown} at delta 1e-06" in dict(origin_lines(origin, Words("en")))["facts.privacy"]


def test_every_name_of_an_item_and_of_a_map_is_in_the_catalogues() -> None:
    """A new item of the checklist, or a new map, would stand in English on a Chinese page."""
    english = catalogue("en")
    assert {name: text for name, text in english.items() if name.startswith("item.")} == {
        f"item.{number}": name for number, name, _ in checklist()
    }
    assert {f"calibration.{name}" for name in (*MAPS, *get_args(CorrectionName))} == {
        name for name in english if name.startswith("calibration.")
    }
    assert {f"group.{name}" for name in GROUPS} <= set(english)


def a_real_run(folder: Path) -> tuple[CardItem, ...]:
    """The items as a run's own record fills them in, of a study that hospitals really ran; and those of a model of films."""
    of = study(rounds=1, mode="masked", own=True)
    simulate(of, {name: records(name) for name in NAMES}, out=folder, workers=0, register=False)
    record = RunRecord.from_json((folder / "record.json").read_bytes())
    said = dict.fromkeys((number for number, _, _ in checklist()), "")
    said |= {number: text for number, _, text in items(record, of) if not text.startswith("[to be filled in by ")}
    assert len([text for text in said.values() if text]) > 12 and "filled in" in said["8"]
    said["9"] = next(item.text for item in card_items("none.onnx", None, statement_of(FILMS)) if item.number == "9")
    return tuple(CardItem(number=number, name=name, text=said[number], required=False) for number, name, _ in checklist())


@pytest.mark.slow
def test_the_page_of_a_real_models_facts_is_whole_in_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items as a run's record fills them in, groups as film headers divide them, a calibration, an output: none of it in English.
    What a person wrote stays as she wrote it."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    clinic = ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))
    groups = [("sex", "F"), ("age", "3 to 17"), ("view", "PA"), ("ward", "A")]
    content, card = film_model(), a_real_run(tmp_path / "run")
    record = record_of(content, FILMS, local=LocalMap(name="platt", slope=0.9, offset=0.1), origin=NORTH_SOUTH)
    record = record.changed(
        statement=record.statement.changed(output=WORDS.output_of(0.4917)).model_dump(mode="json"),
        card=[item.model_dump() for item in card],
        subgroups=[SubgroupRecord(column=one, group=two, cases=9, positives=4, few=True).model_dump() for one, two in groups],
    )
    clinic.keep_model(content)
    activate(clinic, keep_acceptance(clinic, record), record.model, by="Dr Li")
    path = write_card(clinic, record.model, record.card)
    path.write_text(path.read_text("utf-8").replace('27 = ""', '27 = "Only where a doctor looks too."'), "utf-8")
    with opened(clinic) as state:
        anna = Clinic(state, application(state, hosts())).logged_in("doctor")
        english = anna.get("/facts").text
        anna.post("/language", token=anna.token, language="zh", back="/")
        page = anna.get("/facts").text
    text = html.unescape(re.sub(r"<[^>]*>", "\n", page)).replace("Only where a doctor looks too.", "")
    assert re.findall(r"[A-Za-z]+(?: [A-Za-z]+){1,}", text.replace("St Anna", "").replace("A made question", "")) == []
    for shown in (
        "目标人群与预期使用者",
        "性别：女",
        "年龄：3 至 17",
        "普拉特直线",
        "达到 0.492 及以上称为阳性",
        "［由作者填写］",
    ):
        assert shown in page, shown
    assert "114 名患者，114 条记录。是否足够：" in page and "一张图像的像素。" in page
    assert (
        "Target population and intended users" in english and "sex: female" in english and "114 patients, 114 records." in english
    )


def test_a_text_that_only_looks_like_the_programs_is_not_half_translated() -> None:
    """A person's long text is shown as it is, and looking it up takes no time."""
    began = time.perf_counter()
    hard = "a (b trained numbers), c, d: e " * 9
    for text in ("x: " * 200_000, "a (b) to (c) " * 300, hard, "; ".join([hard] * 12), "Not for newborns. Not for adults."):
        assert told(text, Words("zh")) == text
    assert time.perf_counter() - began < 10.0
