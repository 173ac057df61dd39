"""The pages as a doctor, a data manager, an auditor and an administrator meet them, in both languages."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from tests.clinic.made_clinics import CARD, film_clinic, serve_model
from tests.clinic.made_models import FILMS, film_model
from wardround.clinic.acceptance.card import write_card
from wardround.clinic.store.cases import case_of, say_opinion
from wardround.clinic.web.app import application
from wardround.clinic.web.server import opened
from wardround.clinic.web.words import catalogue

from .visitors import Clinic, hosts, secret_in, token_in

FILM = dicom(film_pixels(), BitsStored=12)


@pytest.mark.slow
def test_a_doctor_drops_a_film_and_reads_the_answer(films: Clinic) -> None:
    """The whole way without a script: every form works without one."""
    anna = films.logged_in("doctor")
    reply = anna.client.post("/cases", data={"token": anna.token}, files={"file": ("a.dcm", FILM)})
    assert reply.status_code == 303
    page = anna.get(reply.headers["location"]).text
    case = case_of(films.state.store, reply.headers["location"].rpartition("/")[2])
    assert "pneumonia" in page and "Mustermann Erika" in page and re.search("Of 100? films", page)
    assert "sensitivity" in page and "Research use only" in page and str(round(100 * case.answer["probability"])) in page
    pixels = anna.get(f"/cases/{case.id}/film").content
    assert len(pixels) == 2 * 64 * 64 and np.frombuffer(pixels, "<u2").std() > 1000
    warm = anna.get(f"/cases/{case.id}/heat").content
    assert len(warm) == 4 + 32 * 32 and np.frombuffer(warm[:4], "<u2").tolist() == [32, 32] and max(warm[4:]) > 200
    assert "Mustermann Erika" in anna.get("/").text and case.id in anna.get("/").text


@pytest.mark.slow
def test_a_heat_map_is_of_the_model_that_answered(tmp_path: Path) -> None:
    """What another model looks at, drawn over this answer, would explain an answer that it did not give; and one of another size
    cannot read what was prepared for the first."""
    clinic = film_clinic(tmp_path / "clinic")
    with opened(clinic) as state:
        films = Clinic(state, application(state, hosts()))
        anna = films.logged_in("doctor")
        case = anna.drop(FILM).json()["case"]
        assert anna.get(f"/cases/{case}/heat").status_code == 200
        serve_model(clinic, film_model(bias=-1.0), FILMS)
        newer = anna.drop(dicom(film_pixels(seed=2), BitsStored=12)).json()["case"]
        page = anna.get(f"/cases/{case}").text
        assert "not in service any more" in page and re.search('data-act="heat"[^>]* disabled', page)
        assert anna.get(f"/cases/{case}/heat").status_code == 404
        assert anna.get(f"/cases/{newer}/heat").status_code == 200


def test_an_opinion_is_kept_here(films: Clinic) -> None:
    """It may become a later study's label."""
    anna = films.logged_in("doctor")
    case = anna.drop(FILM).json()["case"]
    said = anna.post(f"/cases/{case}/feedback", token=anna.token, opinion="disagree", comment="only a <b>fold</b>")
    assert said.status_code == 303 and "only a &lt;b&gt;fold" in anna.get(said.headers["location"]).text
    assert case_of(films.state.store, case).opinions[0][1:] == ("disagree", "only a <b>fold</b>")
    assert anna.post(f"/cases/{case}/feedback", token=anna.token, opinion="perhaps").status_code == 409


def test_colleagues_opinions_stand_by_their_names(films: Clinic) -> None:
    """A doctor asks the colleague who disagrees."""
    anna = films.logged_in("doctor")
    case = anna.drop(FILM).json()["case"]
    bert = films.state.people.add("bert", "doctor", "a long enough password", actor="test")
    say_opinion(films.state.store, case, bert, "bert", "disagree", "look at the hilum")
    say_opinion(films.state.store, case, "f" * 32, "gone", "agree", "")
    anna.post(f"/cases/{case}/feedback", token=anna.token, opinion="agree", comment="")
    page = anna.get(f"/cases/{case}").text
    line = catalogue("en")["feedback.line"]
    assert line.format(person="bert", opinion="I disagree", comment="look at the hilum") in page
    assert f"{'f' * 8}: I agree" in page and "anna: I agree" in page and "–: " not in page


def test_a_film_that_cannot_be_read_says_why_in_the_readers_language(films: Clinic) -> None:
    """With what to do; and nothing is kept."""
    anna = films.logged_in("doctor")
    told = anna.drop(dicom(film_pixels(), BitsStored=12, PixelData=None))
    assert told.status_code == 422 and "hold no pixels" in told.json()["error"] and "What to do" in told.json()["error"]
    assert anna.post("/language", token=anna.token, language="zh", back="/").status_code == 303
    told = anna.drop(dicom(film_pixels(), BitsStored=12, PixelData=None))
    assert re.search("[一-鿿]", told.json()["error"]) and "DICOM files" not in told.json()["error"]
    anna.post("/language", token=anna.token, language="en", back="/")


def test_the_page_is_whole_in_chinese(films: Clinic) -> None:
    """No English sentence of ours is left on it."""
    anna = films.logged_in("doctor")
    case = anna.drop(FILM).json()["case"]
    anna.post("/language", token=anna.token, language="zh", back="/")
    for path in ("/", f"/cases/{case}", "/facts", "/leaflet", f"/cases/{case}/sheet"):
        page = anna.get(path).text
        assert '<html lang="zh">' in page and "仅供研究" in page
        text = re.sub(r"<[^>]*>", " ", page)
        english = re.findall(r"[A-Za-z]+(?: [a-z]+){3,}", text)
        assert not english, (path, english)
    anna.post("/language", token=anna.token, language="en", back="/")


def test_the_sheet_is_on_paper_in_both_languages(films: Clinic) -> None:
    """A patient takes it home."""
    anna = films.logged_in("doctor")
    case = anna.drop(FILM).json()["case"]
    for language in ("zh", "en"):
        anna.post("/language", token=anna.token, language=language, back="/")
        for path in (f"/cases/{case}/sheet.pdf", "/leaflet.pdf"):
            printed = anna.get(path)
            assert printed.headers["content-type"] == "application/pdf" and printed.content.startswith(b"%PDF")
            assert (b"STSong-Light" in printed.content) == (language == "zh")
        assert NUMBER not in anna.get(f"/cases/{case}/sheet").text


def test_a_table_is_asked_by_a_form_made_from_its_contract(tables: Clinic) -> None:
    """Units, ranges, unknown; what moved the answer; what if, kept nowhere."""
    anna = tables.logged_in("doctor")
    form = anna.get("/ask").text
    assert "age (years)" in form and "from 60 to 220" in form and "unknown" in form and "mmHg" in form
    values = {"c0": "70", "c1": "m", "c2": "1", "c3": ""}
    before = len(re.findall("/cases/", anna.get("/").text))
    asked = {"token": token_in(form), **values}
    tried = anna.client.post("/ask/try", data=asked, headers={"accept": "application/json"}).json()
    assert "heart disease" in tried["said"] and len(re.findall("/cases/", anna.get("/").text)) == before
    kept = anna.post("/ask", patient=NUMBER, **asked)
    page = anna.get(kept.headers["location"]).text
    assert kept.status_code == 303 and "heart disease" in page and NUMBER not in page
    assert "What moved this answer" in page and page.count("<meter") == 4
    case = case_of(tables.state.store, kept.headers["location"].rpartition("/")[2])
    assert case.answer["probability"] == tried["probability"] and case.patient == tables.state.desk.pseudonym(NUMBER)
    wrong = anna.post("/ask", **{**asked, "c0": "700"})
    assert wrong.status_code == 422 and "age" in wrong.text and "700" not in wrong.text


def test_an_administrator_lets_people_in_and_out(films: Clinic) -> None:
    """The drawn password is shown once, and never again."""
    root = films.logged_in("administrator")
    page = root.post("/people", token=root.token, name="carla", role="doctor").text
    drawn = secret_in(page)
    assert drawn not in root.get("/people").text
    carla = films.visitor()
    assert carla.post("/login", name="carla", password=drawn).headers.get("location") == "/second"
    assert root.post("/people/change", token=root.token, name="carla", act="off").status_code == 200
    assert films.visitor().post("/login", name="carla", password=drawn).status_code == 403
    assert root.post("/people", token=root.token, name="carla", role="doctor").status_code == 409
    page = root.post("/keys", token=root.token, name="scanner").text
    key = secret_in(page)
    assert films.machine(key).get("/v1/model").status_code == 200
    root.post("/keys/revoke", token=root.token, name="scanner")
    films.state.keys._names.clear()
    assert films.machine(key).get("/v1/model").status_code == 401


def test_the_auditor_sees_every_access_and_whether_the_chain_is_whole(films: Clinic) -> None:
    """Who looked at whom is the question that an audit is for."""
    case = films.logged_in("doctor").drop(FILM).json()["case"]
    films.logged_in("doctor").get(f"/cases/{case}/film")
    olga = films.logged_in("auditor")
    page = olga.get(f"/audit?words={case}").text
    assert "The chain is whole" in page and "film-seen" in page and "case-answered" in page and "anna" in page
    assert NUMBER not in olga.get("/audit").text


def test_facts_are_one_click_away(films: Clinic) -> None:
    """What the hospital measured, which file answers, and that it learned from made-up data."""
    page = films.logged_in("doctor").get("/facts").text
    assert films.state.model.acceptance.model in page and "0.90 (0.8" in page
    assert "synthetic data: not for use on people" in page


def test_the_card_is_shown_as_people_filled_it_in_and_blanks_are_marked(films: Clinic) -> None:
    """What nobody filled in must not look as if there were nothing to say."""
    model, anna = films.state.model.acceptance.model, films.logged_in("doctor")
    before = anna.get("/facts").text
    assert "Of the run" in before and before.count(">blank<") == 1
    path = write_card(films.state.place, model, CARD)
    path.write_text(path.read_text("utf-8").replace("Of the run", "Not for newborns"), "utf-8")
    after = anna.get("/facts").text
    assert "Not for newborns" in after and "Of the run" not in after and after.count(">blank<") == 1


@pytest.mark.slow
def test_machines_get_the_same_answer_as_the_page(films: Clinic) -> None:
    """One place makes answers."""
    case = films.logged_in("doctor").drop(FILM).json()["case"]
    shown = case_of(films.state.store, case).answer
    machine = films.machine()
    told = machine.post("/v1/predict", content=FILM).json()
    assert {name: told[name] for name in shown} == json.loads(json.dumps(shown))
    assert told["finding"] == "pneumonia" and told["research_only"] and "pneumonia" in told["sentence"]
    assert machine.get(f"/v1/cases/{told['case']}").json() == told
    batch = {"records": [{"content": base64.b64encode(one).decode()} for one in (FILM, b"no film", FILM)]}
    answers = machine.post("/v1/predict/batch", json=batch).json()["answers"]
    assert [answers[turn]["probability"] for turn in (0, 2)] == pytest.approx([told["probability"]] * 2)
    assert set(answers[1]) == {"error"}


def test_machines_ask_about_a_row(tables: Clinic) -> None:
    """As JSON, by the contract's names."""
    machine = tables.machine()
    row = {"age": 70, "sex": "m", "smoker": 1, "pressure": None}
    told = machine.post("/v1/predict", json={"record": row}).json()
    assert told["finding"] == "heart disease" and {moved["column"] for moved in told["moved"]} <= set(row)
    wrong = machine.post("/v1/predict", json={"record": {**row, "sex": "x"}})
    assert wrong.status_code == 422 and "sex" in wrong.json()["error"]
    assert machine.get("/v1/model").json()["contract"]["columns"][0]["unit"] == "years"
