"""What is in service follows from a chained log: every step, every illegal step, a broken chain, a kill at any instant."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.clinic.place.acceptance_record import acceptances, keep_acceptance, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.criteria import Criteria
from wardround.clinic.place.service import Service, activate, end_shadow, roll_back, service_of, stamp, start_shadow
from wardround.values.errors import RunError, StudyError, WardroundError

from .made_models import FILMS, film_model, record_of

MODELS = {letter: letter * 64 for letter in "abc"}
NAMES = {letter: letter * 16 for letter in "abc"}


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicPlace:
    return ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))


def put(clinic: ClinicPlace, letter: str) -> Service:
    return activate(clinic, NAMES[letter], MODELS[letter], by="Dr Li")


def answering(clinic: ClinicPlace) -> str | None:
    now = service_of(clinic).answering
    return None if now is None else now.model[0]


def test_each_step_leads_where_it_says(clinic: ClinicPlace) -> None:
    """A doctor's answer must come from the model that the log names."""
    assert answering(clinic) is None
    put(clinic, "a")
    put(clinic, "b")
    assert answering(clinic) == "b"
    roll_back(clinic, by="Dr Li", reason="too many alarms")
    assert answering(clinic) == "a"
    roll_back(clinic, by="Dr Li")
    assert answering(clinic) is None
    put(clinic, "b")
    roll_back(clinic, by="Dr Li")
    assert answering(clinic) is None


def test_the_shadow_goes_its_own_way(clinic: ClinicPlace) -> None:
    """A model that is only tried may never be the one that answers."""
    put(clinic, "a")
    start_shadow(clinic, NAMES["b"], MODELS["b"], by="Dr Li")
    service = service_of(clinic)
    assert (service.answering.model[0], service.shadow.model[0]) == ("a", "b")
    put(clinic, "b")
    service = service_of(clinic)
    assert service.answering.model[0] == "b" and service.shadow is None


@pytest.mark.parametrize(
    ("before", "step"),
    [
        ("", lambda clinic: roll_back(clinic, by="x")),
        ("", lambda clinic: end_shadow(clinic, by="x")),
        ("a", lambda clinic: put(clinic, "a")),
        ("a", lambda clinic: start_shadow(clinic, NAMES["a"], MODELS["a"], by="x")),
    ],
)
def test_a_step_that_leads_nowhere_is_refused_and_leaves_no_line(
    clinic: ClinicPlace, before: str, step: Callable[[ClinicPlace], object]
) -> None:
    """A log with lines that mean nothing is one that nobody can read later."""
    for letter in before:
        put(clinic, letter)
    head = clinic.log.head
    with pytest.raises(RunError):
        step(clinic)
    assert clinic.log.head == head


@given(steps=st.lists(st.sampled_from(["a", "b", "c", "back", "shadow b", "end"]), max_size=12))
def test_the_state_is_a_stack_whatever_the_order_of_steps(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """Rollback must find what answered before, after any history."""
    clinic = ClinicPlace.begin(tmp_path_factory.mktemp("place") / "clinic", ClinicSettings(hospital="St Anna"))
    stack: list[str] = []
    shadow = None
    for step in steps:
        try:
            if step == "back":
                roll_back(clinic, by="x")
                stack.pop()
            elif step == "end":
                end_shadow(clinic, by="x")
                shadow = None
            elif step.startswith("shadow"):
                start_shadow(clinic, NAMES["b"], MODELS["b"], by="x")
                shadow = "b"
            else:
                put(clinic, step)
                stack.append(step)
                shadow = None if shadow == step else shadow
        except RunError:
            allowed = {"back": bool(stack), "end": shadow is not None, "shadow b": stack[-1:] != ["b"] and shadow is None}
            assert not allowed.get(step, stack[-1:] != [step])
        service = service_of(clinic)
        assert (service.answering.model[0] if service.answering else None) == (stack[-1] if stack else None)
        assert (service.shadow.model[0] if service.shadow else None) == shadow


@pytest.mark.parametrize(
    "harm",
    [
        lambda lines: [lines[0].replace(b"bbbb", b"cccc", 1), *lines[1:]],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0]],
        lambda lines: [lines[0].replace(b"Dr Li", b"Dr No"), *lines[1:]],
    ],
)
def test_a_changed_log_puts_no_model_in_service(clinic: ClinicPlace, harm: Callable[[list[bytes]], list[bytes]]) -> None:
    """Who can edit a file of the clinic may not choose the model."""
    put(clinic, "b")
    put(clinic, "a")
    path = clinic.path / "service" / "current.ndjson"
    path.write_bytes(b"".join(harm(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(RunError, match="cannot be trusted"):
        service_of(clinic)
    with pytest.raises(RunError):
        put(clinic, "c")


def test_the_stamp_changes_with_every_line(clinic: ClinicPlace) -> None:
    """A running service looks at nothing else between two questions."""
    stamps = {stamp(clinic)}
    for letter in "ab":
        put(clinic, letter)
        stamps.add(stamp(clinic))
    assert len(stamps) == 3


def test_a_clinic_of_another_hospital_is_not_taken_over(clinic: ClinicPlace) -> None:
    """The name stands in every signed record."""
    ClinicPlace.begin(clinic.path, ClinicSettings(hospital="St Anna"))
    with pytest.raises(StudyError, match="another hospital"):
        ClinicPlace.begin(clinic.path, ClinicSettings(hospital="County"))
    with pytest.raises(RunError, match="no clinic"):
        ClinicPlace.at(clinic.path / "elsewhere")


def test_a_record_is_what_was_signed(clinic: ClinicPlace) -> None:
    """Figures that were edited after the test would put a bad model in service."""
    record = record_of(film_model(), FILMS)
    name = keep_acceptance(clinic, record)
    assert read_acceptance(clinic, name[:6]) == record
    assert keep_acceptance(clinic, record) == name and acceptances(clinic) == (record,)
    path = clinic.acceptances / f"{name}.json"
    original = path.read_bytes()
    for harm in (b'"auc":0.9', b'"threshold":0.5', b"St Anna"):
        assert harm in original
        path.write_bytes(original.replace(harm, harm[:-1] + b"1", 1))
        with pytest.raises(RunError, match="cannot be trusted"):
            read_acceptance(clinic, name)
    path.write_bytes(original[: len(original) // 2])
    with pytest.raises(RunError, match="cannot be trusted"):
        read_acceptance(clinic, name)


def test_a_record_that_another_clinic_signed_is_refused(clinic: ClinicPlace, tmp_path: Path) -> None:
    """Another hospital's test says nothing of these patients."""
    other = ClinicPlace.begin(tmp_path / "other", ClinicSettings(hospital="County"))
    name = keep_acceptance(other, record_of(film_model(), FILMS))
    clinic.acceptances.mkdir(mode=0o700)
    copy = clinic.acceptances / f"{name}.json"
    copy.write_bytes((other.acceptances / f"{name}.json").read_bytes())
    copy.chmod(0o600)
    with pytest.raises(RunError, match="signature"):
        read_acceptance(clinic, name)


def test_a_model_is_proved_each_time_it_is_loaded(clinic: ClinicPlace) -> None:
    """The copy must still be what was accepted."""
    sha256 = clinic.keep_model(film_model())
    assert clinic.read_model(sha256) == film_model()
    path = clinic.model_file(sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="changed"):
        clinic.read_model(sha256)
    with pytest.raises(RunError, match="no name"):
        clinic.model_file("../../etc/passwd")


def test_criteria_are_kept_and_checked(clinic: ClinicPlace) -> None:
    """A limit of 90 in place of 0.9 would refuse every model, or none."""
    assert clinic.set_criteria(auc_at_least=0.9, npv_at_least=None).auc_at_least == 0.9
    assert ClinicPlace.at(clinic.path).criteria.auc_at_least == 0.9
    assert clinic.set_criteria(sensitivity_at_least=None).sensitivity_at_least is None
    assert clinic.criteria == Criteria(auc_at_least=0.9, sensitivity_at_least=None)  # not the default again
    for wrong in ({"auc_at_least": 90.0}, {"auc": 0.9}, {"judged_by": "luck"}):
        with pytest.raises(StudyError):
            clinic.set_criteria(**wrong)
    assert clinic.criteria.auc_at_least == 0.9


WRITER = """
import sys
from pathlib import Path
from tests.clinic.made_models import FILMS, film_model, record_of
from wardround.clinic.place.acceptance_record import keep_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import activate
clinic = ClinicPlace(Path(sys.argv[1]))
print("up", flush=True)
for number in range(100000):
    content = film_model(bias=-2.0 - number / 1000)
    model = clinic.keep_model(content)
    name = keep_acceptance(clinic, record_of(content, FILMS, name=f"{sys.argv[2]}-{number}"))
    activate(clinic, name, model, by="x")
"""


@pytest.mark.slow
def test_killed_at_any_instant_there_is_never_half_a_record_nor_half_a_line(clinic: ClinicPlace) -> None:
    """What answers after a power cut must be a whole model, with a whole record, that was activated."""
    seen = 0
    for attempt in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(clinic.path), str(attempt)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout.readline() == b"up\n"
        time.sleep(0.005 + 0.0175 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        records = acceptances(clinic)  # each whole, each signed
        now = service_of(clinic).answering
        if now is not None:
            assert read_acceptance(clinic, now.acceptance).model == now.model
            clinic.read_model(now.model)
        assert len(records) >= seen
        seen = len(records)
    assert seen > 8


def test_many_that_decide_at_once_leave_one_chain(clinic: ClinicPlace) -> None:
    """Two administrators and ten readers: each sees a whole log, and no step is lost or done twice."""
    from concurrent.futures import ThreadPoolExecutor

    def step(number: int) -> str:
        letter = "abc"[number % 3]
        try:
            if number % 4 == 3:
                roll_back(clinic, by="x")
                return "rollback"
            if number % 2:
                put(clinic, letter)
                return "activate"
        except RunError as error:
            assert "trusted" not in str(error)
            return ""
        service_of(clinic)
        return ""

    with ThreadPoolExecutor(8) as pool:
        done = [code for code in pool.map(step, range(60)) if code]
    assert sorted(line.code for line in clinic.log.entries()) == sorted(done)
    service_of(clinic)


def test_a_folder_that_others_may_write_to_is_no_clinic(tmp_path: Path) -> None:
    """Whoever could write there could have put a model in it."""
    (tmp_path / "clinic").mkdir()
    (tmp_path / "clinic").chmod(0o777)
    with pytest.raises(WardroundError, match="Other users"):
        ClinicPlace.begin(tmp_path / "clinic", ClinicSettings(hospital="St Anna"))


def test_the_latest_acceptance_goes_by_that_name(clinic: ClinicPlace) -> None:
    """Whoever has just tested a model need not copy a name; where two could be meant, none is taken."""
    with pytest.raises(RunError, match="No model was accepted"):
        read_acceptance(clinic, "latest")
    days = ("2026-11-02T08:00:00+00:00", "2026-11-01T08:00:00+00:00")
    names = [keep_acceptance(clinic, record_of(film_model(), FILMS, created=day)) for day in days]
    assert read_acceptance(clinic, "latest").id == names[0]
    keep_acceptance(clinic, record_of(film_model(bias=-1.0), FILMS, created=days[0]))
    with pytest.raises(RunError, match="same moment"):
        read_acceptance(clinic, "latest")
