"""Drift over hospitals by commands and files: three clinics and a lead, none of whom has a line to another."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.clinic.made_models import FILMS, film_model
from tests.clinic.watch.made_weeks import accepted_record, add_cases, serve_record
from wardround.cli.main import app
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.store.database import Store, sqlite_url
from wardround.clinic.watch.drift_plan import DriftPlan, join, joined
from wardround.crypto.identity import Identity
from wardround.values.canonical import canonical_json
from wardround.values.errors import DataError, EngineError, RunError, StudyError

RUN = CliRunner()
ANSWER = ("clinic", "drift", "answer", "--exchange")
NAMES = ("north", "south", "west")


def months_ago(count: int) -> tuple[str, float]:
    """A month that is over, and a moment in it."""
    today = datetime.now(UTC)
    month = today.year * 12 + today.month - 1 - count
    return f"{month // 12}-{month % 12 + 1:02}", datetime(month // 12, month % 12 + 1, 9, tzinfo=UTC).timestamp()


LAST, BEFORE, THIS = months_ago(1), months_ago(2), months_ago(0)


class World:
    """A lead and some clinics, each with its folder, and one folder that is carried between them."""

    def __init__(self, folder: Path, names: Sequence[str] = NAMES, moved: float = 0.0) -> None:
        self.folder, self.exchange, self.names = folder, folder / "carried", tuple(names)
        self.model, self.plan = folder / "model.onnx", folder / "plan.json"
        self.model.write_bytes(film_model())
        for number, name in enumerate(names):
            clinic = ClinicPlace.begin(folder / name, ClinicSettings(hospital=name))
            record = serve_record(clinic, accepted_record(300, number))
            with Store(sqlite_url(clinic.path / "clinic.db")) as store:
                add_cases(store, record, 200, seed=number + 50, moved=moved, given=LAST[1])
                add_cases(store, record, 150, seed=number + 70, given=BEFORE[1])

    def run(self, *words: object) -> str:
        result = RUN.invoke(app, ["clinic", "drift", *map(str, words)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    def clinic(self, name: str) -> tuple[str, Path]:
        return "--clinic", self.folder / name

    def planned(self, *periods: str, names: Sequence[str] = (), out: str = "plan.json") -> str:
        """The lead writes a plan; its code."""
        hospitals = [f"--hospital={name}={self.run('key', *self.clinic(name)).strip()}" for name in names or self.names]
        wanted = [f"--period={period}" for period in periods]
        told = self.run("plan", self.model, *hospitals, *wanted, "--out", self.folder / out, *self.lead)
        return told.rpartition(": ")[2].strip()

    @property
    def lead(self) -> tuple[str, Path]:
        return "--lead", self.folder / "lead"

    def all_join(self, code: str) -> None:
        for name in self.names:
            assert "takes part" in self.run("join", self.plan, "--code", code, *self.clinic(name))

    def answer(self, *names: str) -> None:
        for name in names or self.names:
            self.run("answer", "--exchange", self.exchange, *self.clinic(name))

    def sum(self, period: str, *words: object) -> str:
        return self.run("sum", self.plan, period, "--exchange", self.exchange, *self.lead, *words)

    def until_summed(self, period: str, *names: str, words: Sequence[object] = ()) -> tuple[str, int]:
        """Turn by turn, each by a command of its own: what is printed at last, and after how many turns."""
        for turn in range(12):
            told = self.sum(period, *words)
            if "the same command" not in told:
                return told, turn
            self.answer(*names)
        raise AssertionError("the sum came to no end")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, moved=1.5)


@pytest.mark.slow
def test_a_lead_sees_that_a_model_ages_at_three_hospitals(world: World) -> None:
    """From a plan to figures, and again for another month; asked once more, the same is printed and nobody is asked."""
    world.all_join(world.planned(BEFORE[0], LAST[0]))
    told, turns = world.until_summed(LAST[0])
    assert told.startswith("600 cases of 3 hospitals") and turns == 4
    assert [line.split()[0] for line in told.splitlines() if "BEYOND" in line] == ["brightness", "score"]
    files = sorted(path for path in world.exchange.rglob("*") if path.is_file())
    assert world.sum(LAST[0]) == told and sorted(path for path in world.exchange.rglob("*") if path.is_file()) == files
    steady, turns = world.until_summed(BEFORE[0])
    assert "450 cases of 3 hospitals" in steady and "BEYOND" not in steady and turns == 2
    told_json = json.loads(world.sum(LAST[0], "--json"))
    assert told_json["cases"] == 600 and {one["name"]: one["state"] for one in told_json["figures"]}["score"] == "beyond"


@pytest.mark.slow
def test_what_is_carried_tells_of_no_hospital(world: World) -> None:
    """The true counts of a hospital stand in no file that leaves it."""
    world.all_join(world.planned(LAST[0]))
    world.until_summed(LAST[0])
    carried = b"".join(path.read_bytes() for path in world.exchange.rglob("*") if path.is_file())
    for name in NAMES:
        (counts,) = [json.loads(path.read_bytes()) for path in (world.folder / name / "shares").glob("*.json")]
        for figure in ("score", "brightness"):
            for width in ("<i8", "<u8", ">i8"):
                assert np.array(counts["now"][figure]).astype(width).tobytes()[:40] not in carried


def test_a_plan_is_joined_by_its_code_alone(world: World) -> None:
    """Without it nothing is joined; with another one neither: somebody may have changed the plan on its way."""
    code = world.planned(LAST[0])
    shown = world.run("join", world.plan, *world.clinic("north"))
    assert (
        "Nothing was joined" in shown
        and code in " ".join(shown.split())
        and not list(joined(ClinicPlace.at(world.folder / "north")))
    )
    with pytest.raises(StudyError, match="another code"):
        world.run("join", world.plan, "--code", "0" * 64, *world.clinic("north"))
    changed = json.loads(world.plan.read_bytes()) | {"lead": Identity.new().public}
    world.plan.write_bytes(canonical_json(changed))
    with pytest.raises(StudyError, match="another code"):
        world.run("join", world.plan, "--code", code, *world.clinic("north"))
    with pytest.raises(RunError, match="no plan"):
        world.answer("north")


def test_the_same_counts_go_into_one_sum(world: World, tmp_path: Path) -> None:
    """Two plans over one month, of three hospitals and of four, would give the fourth one's counts away."""
    world.all_join(world.planned(LAST[0]))
    other = World(tmp_path / "more", ("east",)) if (tmp_path / "more").mkdir() is None else None
    key = ClinicPlace.at(other.folder / "east").identity.public
    first = DriftPlan.read(world.plan)
    wider = first.changed(hospitals={**first.hospitals, "east": key})
    with pytest.raises(StudyError, match="same time"):
        join(ClinicPlace.at(world.folder / "north"), wider)
    join(ClinicPlace.at(world.folder / "north"), first)  # again is no other
    join(ClinicPlace.at(world.folder / "north"), wider.changed(periods=[BEFORE[0]]))


def test_a_clinic_joins_what_it_accepted_and_is_listed_in(world: World) -> None:
    """Another model, another contract, another's key."""
    world.planned(LAST[0])
    plan, north = DriftPlan.read(world.plan), ClinicPlace.at(world.folder / "north")
    with pytest.raises(RunError, match="No accepted model"):
        join(north, plan.changed(model="0" * 64))
    fewer = {**FILMS.model_dump(mode="json", by_alias=True)}
    fewer["image"] = fewer["image"] | {"accepted_bits": [16]}
    with pytest.raises(StudyError, match="another contract"):
        join(north, plan.changed(data=fewer))
    with pytest.raises(StudyError, match="does not list"):
        join(north, plan.changed(hospitals={name: Identity.new().public for name in NAMES}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"hospitals": {}},
        {"periods": []},
        {"periods": ["2026-10", "2026-Q4"]},
        {"periods": ["October"]},
        {"lead": "0" * 64},
        {"collusion": 3},
        {"model": "x"},
        {"more": 1},
    ],
)
def test_a_plan_that_cannot_be_is_refused(world: World, change: dict[str, object]) -> None:
    """Where it is read, with a word on what is wrong."""
    world.planned(LAST[0])
    world.plan.write_bytes(json.dumps(json.loads(world.plan.read_bytes()) | change).encode())
    with pytest.raises(DataError, match="no plan of drift"):
        world.run("join", world.plan, *world.clinic("north"))


def test_a_question_of_a_stranger_is_answered_by_nobody(world: World) -> None:
    """Whoever can write into the folder could else use up the sum, or ask one hospital alone."""
    world.all_join(world.planned(LAST[0]))
    world.sum(LAST[0])
    (ask,) = (world.exchange / DriftPlan.read(world.plan).code[:16] / "north").glob("*.ask")
    true = ask.read_bytes()
    for forged in (
        true[:-1] + bytes([true[-1] ^ 1]),
        b"0" * 128 + true[128:],
        b"",
        Identity.new().sign(true[129:]).encode() + true[128:],
    ):
        ask.write_bytes(forged)
        with pytest.raises(DataError, match="not from the plan's lead"):
            world.answer("north")
    ask.write_bytes(true)
    south = ask.parents[1] / "south"
    (south / ask.name).write_bytes(true)  # north's question, laid before south
    with pytest.raises(DataError, match="not from the plan's lead"):
        world.answer("south")
    (south / ask.name).write_bytes((ask.parents[1] / "west" / ask.name).read_bytes())
    with pytest.raises(DataError, match="not from the plan's lead"):
        world.answer("south")


def test_an_answer_of_a_stranger_is_believed_by_nobody(world: World) -> None:
    """Also that of another hospital in its place."""
    world.all_join(world.planned(LAST[0]))
    world.sum(LAST[0])
    world.answer()
    place = world.exchange / DriftPlan.read(world.plan).code[:16]
    (north,), (south,) = ((place / name).glob("*.answer") for name in ("north", "south"))
    true = north.read_bytes()
    for forged in (south.read_bytes(), true[:-1], b""):
        north.write_bytes(forged)
        with pytest.raises(DataError, match="is not from north"):
            world.sum(LAST[0])
    north.write_bytes(true)
    assert "questions to" in world.sum(LAST[0])


def test_only_the_plans_lead_may_ask_and_only_for_what_is_over(world: World, tmp_path: Path) -> None:
    """Another lead's folder, a month that goes on, a month of no plan."""
    world.planned(LAST[0], THIS[0])
    with pytest.raises(StudyError, match="another lead"):
        world.run("sum", world.plan, LAST[0], "--exchange", world.exchange, "--lead", tmp_path / "other")
    with pytest.raises(RunError, match="not over"):
        world.sum(THIS[0])
    with pytest.raises(Exception, match="not one that the sites agreed on"):
        world.sum("2001-01")


@pytest.mark.slow
def test_a_hospital_that_is_lost_opens_no_sum_of_three(world: World) -> None:
    """The sum of two would be nearly one's own; with it back, the same sum goes on."""
    world.all_join(world.planned(LAST[0]))
    with pytest.raises(EngineError, match="Too few sites"):
        world.until_summed(LAST[0], "north", "south", words=("--without", "west"))
    told, _ = world.until_summed(LAST[0])
    assert told.startswith("600 cases of 3 hospitals")


@pytest.mark.slow
def test_a_hospitals_own_fault_is_told_to_its_people_and_spends_no_question(world: World) -> None:
    """Its counts are damaged: nobody else hears of it, and once they are back the sum goes on."""
    world.all_join(world.planned(LAST[0]))
    world.sum(LAST[0])
    world.answer()
    (counts,) = (world.folder / "west" / "shares").glob("*.json")
    true = counts.read_bytes()
    counts.write_bytes(b"{")
    world.sum(LAST[0])
    with pytest.raises(DataError, match="not what this clinic wrote"):
        world.answer("west")
    counts.write_bytes(true)
    assert world.until_summed(LAST[0])[0].startswith("600 cases of 3 hospitals")


@pytest.mark.slow
def test_a_lead_who_lost_its_folder_gets_the_same_sum_and_no_other(world: World) -> None:
    """All are asked anew, and the same words come."""
    world.all_join(world.planned(LAST[0]))
    told, _ = world.until_summed(LAST[0])
    key = (world.folder / "lead" / "lead.key").read_bytes()
    shutil.rmtree(world.folder / "lead")
    shutil.rmtree(world.exchange)
    (world.folder / "lead").mkdir(mode=0o700)
    (world.folder / "lead" / "lead.key").write_bytes(key)
    (world.folder / "lead" / "lead.key").chmod(0o600)
    assert world.until_summed(LAST[0])[0] == told


@pytest.mark.slow
def test_a_lead_who_goes_back_in_time_gets_no_sum_over_fewer(tmp_path: Path) -> None:
    """The difference of a sum of four and of the same without one is that one's counts. What is refused stays in the hospital,
    and is looked at again when a person says so."""
    world = World(tmp_path, (*NAMES, "east"))
    world.all_join(world.planned(LAST[0], BEFORE[0]))
    world.until_summed(LAST[0])
    shutil.copytree(tmp_path / "lead", tmp_path / "kept")
    assert world.until_summed(BEFORE[0])[0].startswith("600 cases of 4 hospitals")
    shutil.rmtree(tmp_path / "lead")
    shutil.copytree(tmp_path / "kept", tmp_path / "lead")
    shutil.rmtree(world.exchange)
    said = []
    for _ in range(6):
        assert "450 cases" not in world.sum(BEFORE[0], "--without", "east")
        said += [RUN.invoke(app, [*ANSWER, str(world.exchange), *map(str, world.clinic(name))]).output for name in NAMES]
    assert sum("was refused" in words for words in said) == 3
    again = RUN.invoke(app, [*ANSWER, str(world.exchange), "--again", *map(str, world.clinic("west"))]).output
    assert "was refused" in again
