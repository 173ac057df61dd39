"""One door for every case: decoded, answered by the model in service, on the disk before anybody is told."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from tests.clinic.dicom_files import NUMBER, dicom, film_pixels
from tests.clinic.made_clinics import film_clinic, serve_model, table_clinic
from tests.clinic.made_models import FILMS, film_model
from wardround.clinic.answering.serving import in_service
from wardround.clinic.intake.desk import Desk, Sender, submit
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import roll_back, service_of, start_shadow
from wardround.clinic.store.cases import case_of
from wardround.clinic.store.database import Store, first_broken_line, sqlite_url
from wardround.clinic.store.tables import answers, cases
from wardround.sources import network_input, prepare
from wardround.values.errors import DataError, RunError, WardroundError

FILM = dicom(film_pixels(), BitsStored=12)
REST, PAGE = Sender("rest", "pacs"), Sender("page", "anna", "1" * 32, shown=True)


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicPlace:
    return film_clinic(tmp_path / "clinic")


@pytest.fixture
def desk(clinic: ClinicPlace) -> Iterator[Desk]:
    with Store(sqlite_url(clinic.path / "clinic.db")) as store, Desk(clinic, store, processes=1, workers=2) as opened:
        yield opened


def test_a_case_is_answered_as_the_model_in_service_answers(desk: Desk, clinic: ClinicPlace) -> None:
    """The door adds nothing and takes nothing away; what is stored is what was said."""
    case = desk.submit(FILM, PAGE)
    model = in_service(clinic)
    expected = model.answer(network_input(model.contract, prepare(model.contract, FILM)[None]))
    assert case.answer == expected and case.patient == desk.pseudonym(NUMBER)
    stored = case_of(desk.store, case.id)
    assert stored.answer["probability"] == expected.probability and stored.model == expected.model
    assert desk.film(case.id).shown.pixels.shape == (64, 64) and desk.film(case.id).identity["PatientID"] == NUMBER
    content = [path.read_bytes() for path in clinic.path.rglob("*") if path.is_file()]
    assert not any(word in one for one in content for word in (NUMBER.encode(), b"Mustermann"))


def test_a_machines_film_is_not_held_in_memory(desk: Desk) -> None:
    """A day has thousands of them."""
    assert desk.film(desk.submit(FILM, REST).id) is None


def test_many_at_once_are_answered_together_and_each_gets_its_own(desk: Desk) -> None:
    """A batch that mixes up its rows would give one patient another's answer."""
    films = [dicom(np.full((32, 32), 100 * number, np.uint16), BitsStored=12, PatientID=f"P{number}") for number in range(1, 31)]
    futures = [desk.later(film, REST) for film in films]
    for number, (film, future) in enumerate(zip(films, futures, strict=True), 1):
        case = future.result(timeout=60)
        record = network_input(desk.model.contract, prepare(desk.model.contract, film)[None])
        assert case.answer.probability == pytest.approx(desk.model.answer(record).probability, abs=1e-6)
        assert case.patient == desk.pseudonym(f"P{number}")
    with desk.store.reading() as connection:
        assert len(connection.execute(select(cases.c.id)).all()) == 30
    assert first_broken_line(desk.store) is None


def test_a_file_that_is_refused_leaves_nothing(desk: Desk) -> None:
    """Half a case would stand in the register without an answer."""
    with pytest.raises(DataError):
        desk.submit(b"no film", PAGE)
    with desk.store.reading() as connection:
        assert not connection.execute(select(cases.c.id)).all() and not connection.execute(select(answers.c.id)).all()


def test_the_model_that_is_taken_back_answers_nobody_from_then_on(desk: Desk, clinic: ClinicPlace) -> None:
    """Another process takes it back while the clinic runs."""
    first = desk.submit(FILM, REST)
    serve_model(clinic, film_model(bias=3.0), FILMS)
    second = desk.submit(FILM, REST)
    assert second.answer.model != first.answer.model
    roll_back(clinic, by="Dr Li")
    assert desk.submit(FILM, REST).answer.model == first.answer.model
    roll_back(clinic, by="Dr Li")
    with pytest.raises(RunError, match="No model is in service"):
        desk.submit(FILM, REST)


def test_a_case_under_way_is_answered_anew_when_the_model_changes(
    desk: Desk, clinic: ClinicPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the network and the disk somebody activates another model: the old answer is neither kept nor shown."""
    kind = type(desk.model)
    answer = kind.answer

    def slow(self, network_input):
        monkeypatch.setattr(kind, "answer", answer)
        told = answer(self, network_input)
        serve_model(clinic, film_model(bias=3.0), FILMS)
        return told

    monkeypatch.setattr(kind, "answer", slow)
    case = desk.submit(FILM, REST)
    assert case.answer.model == service_of(clinic).answering.model
    with desk.store.reading() as connection:
        assert len(connection.execute(select(answers.c.id)).all()) == 1


def test_the_shadow_answers_beside_and_is_shown_to_nobody(desk: Desk, clinic: ClinicPlace) -> None:
    """It is tried on the same cases; the register keeps both."""
    content = film_model(bias=1.0)
    shadow = serve_model(clinic, content, FILMS)
    roll_back(clinic, by="Dr Li")
    start_shadow(clinic, shadow, clinic.keep_model(content), by="Dr Li")
    case = desk.submit(FILM, REST)
    desk.store.note("test", "waits")
    with desk.store.reading() as connection:
        rows = connection.execute(select(answers.c.shadow, answers.c.probability).order_by(answers.c.shadow)).all()
    assert [row.shadow for row in rows] == [False, True] and rows[0].probability != rows[1].probability
    assert case_of(desk.store, case.id).answer["probability"] == rows[0].probability == case.answer.probability


def test_a_row_of_a_table_goes_the_same_way(tmp_path: Path) -> None:
    """With what moved it; and a record of another kind is refused by its kind."""
    clinic = table_clinic(tmp_path / "clinic")
    row = {"age": 70, "sex": "m", "smoker": 1, "pressure": None, "patient": "P1"}
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        case = submit(clinic, store, row, REST)
        assert case.film is None and case.patient and 0 < case.answer.probability < 1
        with pytest.raises(DataError, match="age"):
            submit(clinic, store, {**row, "age": 700}, REST)
        with pytest.raises(RunError, match="a table's row"):
            submit(clinic, store, FILM, REST)


def test_films_are_kept_only_where_the_settings_say_so(clinic: ClinicPlace) -> None:
    """Then without a header, for this user alone; and cases that look like one are found."""
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        with Desk(clinic, store, processes=1, keep=True) as desk:
            ids = [desk.submit(dicom(film_pixels(seed=seed), BitsStored=12), PAGE).id for seed in (1, 2, 3)]
            other = desk.submit(dicom(film_pixels()[:, ::-1].T.copy(), BitsStored=12), PAGE).id
        with Desk(clinic, store, processes=1, keep=True) as desk:
            film = desk.film(ids[0])
            assert film is not None and not film.identity and film.shown.pixels.shape == (64, 64)
            assert set(desk.kept.nearest(film, 2, besides=ids[0])) == set(ids[1:]) and other not in ids
        with Desk(clinic, store, processes=1) as desk:
            assert desk.film(ids[0]) is None
    kept = list((clinic.path / "films").iterdir())
    assert len(kept) == 4 and all(path.stat().st_mode & 0o077 == 0 for path in kept)


def test_a_desk_under_way_can_be_closed(desk: Desk) -> None:
    """Every case gets an answer or a reason; nobody waits forever."""
    futures = [desk.later(FILM, REST) for _ in range(40)]
    threading.Timer(0.05, desk.close).start()
    told = 0
    for future in futures:
        try:
            future.result(timeout=60)
        except WardroundError:
            told += 1
    assert told < 40 or all(future.done() for future in futures)


SENDING = """
import sys
from pathlib import Path
from tests.clinic.intake.test_desk import FILM, REST
from wardround.clinic.intake.desk import Desk
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.store.database import Store, sqlite_url
clinic = ClinicPlace.at(Path(sys.argv[1]))
store = Store(sqlite_url(clinic.path / "clinic.db"))
desk = Desk(clinic, store, processes=1, workers=2)
while True:
    for future in [desk.later(FILM, REST) for _ in range(5)]:
        case = future.result()
        print(case.id, case.answer.model, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [7, pytest.param(100, marks=pytest.mark.many)])
def test_killed_at_any_instant_no_case_is_lost_or_of_a_model_that_was_not_active(clinic: ClinicPlace, kills: int) -> None:
    """The service is killed while somebody changes what is in service, spread over the way of a case."""
    acknowledged: dict[str, str] = {}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for kill in range(kills):
        command = [sys.executable, "-c", SENDING, str(clinic.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            lines = [child.stdout.readline() for _ in range(1 + kill % 7)]
            serve_model(clinic, film_model(bias=kill / 10), FILMS)
            lines += [child.stdout.readline() for _ in range(kill % 5)]
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.readlines()
        acknowledged |= dict(line.split() for line in lines if line.endswith("\n"))
    times = {entry.facts["model"]: entry.time for entry in clinic.log.entries()}
    with Store(sqlite_url(clinic.path / "clinic.db")) as store:
        assert len(acknowledged) > 3 * kills and first_broken_line(store) is None
        for case_id, model in acknowledged.items():
            assert case_of(store, case_id).model == model and model in times
