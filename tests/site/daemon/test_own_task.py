"""A partner's own task between hospitals: on its own page, bound to its own approval, in its own log, and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from wardround.hub.coordinator import Coordinator
from wardround.registry import open_registry
from wardround.site.daemon.approvals import Facts
from wardround.site.daemon.data_sets import DataSets
from wardround.site.daemon.desk import WORK
from wardround.site.daemon.examination import examine
from wardround.site.daemon.offers import Offers
from wardround.site.daemon.policy import Policy
from wardround.site.daemon.review import review_of
from wardround.site.own_record import FILE
from wardround.study.own_task import load_own_task
from wardround.study.record.run_record import RunRecord
from wardround.values.errors import StudyError

from ...federation.tiny_federation import NAMES, study
from .hospitals import DATA, DeskEngine, Hospitals

NORTH = "north"
TASK = '[label]\nname = "zebrafish"\ncolumn = "label"\n'
ALLOWING = Policy(smallest_patients=10)


@pytest.fixture
def hospitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hospitals]:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    shared = study(mode="masked", rounds=2, own=True).revised(
        network={"private": "head"}, data={"label": {"kind": "undisclosed"}}, training={"head_passes": 2}
    )
    made = Hospitals(tmp_path / "hospitals", shared)
    for name in NAMES:
        path = tmp_path / f"{name}.task.toml"
        path.write_text(TASK, "utf-8")
        sets = DataSets(made.homes[name].data_file)
        sets.add(DATA, sets.get(DATA).data, mapping=None, ledger=None, replace=True, task=path)
    yield made
    made.close()


def page_of(hospitals: Hospitals, *, data: bool) -> str:
    hospitals.offered(NORTH)
    home = hospitals.homes[NORTH]
    offered = Offers(home, hospitals.card(NORTH)).get(hospitals.study.hash)
    examined = examine(hospitals.study, DATA, DataSets(home.data_file).get(DATA), ALLOWING, home.ledgers) if data else None
    page = review_of(offered, "nobody here has decided", ALLOWING, examined)
    return "\n".join(sentence for section in page.sections for sentence in section.sentences)


def test_the_page_says_what_is_asked_and_that_no_task_is_named(hospitals: Hospitals) -> None:
    """What leaves, of whose size; and with the data set the partner's own columns, for its own eyes."""
    page = page_of(hospitals, data=False)
    assert "the study names no task" in page and "neither loss nor score" in page and "no count of labels" in page
    assert "evaluation" not in page.split("At most")[1].split("Besides")[0]
    assert "zebrafish" not in page
    with_data = page_of(hospitals, data=True)
    hash_of = load_own_task(DataSets(hospitals.homes[NORTH].data_file).get(DATA).task or "").hash
    assert f"own task {hash_of[:12]}: label (a question of the kind binary)" in with_data
    assert "bound to the approval" in with_data


@pytest.mark.slow
def test_a_study_goes_its_whole_way_and_each_partner_keeps_its_model(hospitals: Hospitals, tmp_path: Path) -> None:
    """From the approvals to the record, the model in the registry and the log: and the hub's folder has none of the words."""
    for name in NAMES:
        hospitals.offered(name)
        hospitals.approve(name)
    coordinator = Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run")
    coordinator.run()
    coordinator.close()
    assert sorted(coordinator.model) == ["hidden.0.bias", "hidden.0.weight"]
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or b"zebrafish" not in path.read_bytes()
    work = hospitals.homes[NORTH].study(hospitals.study.hash) / WORK
    record = RunRecord.from_json((work / FILE).read_bytes())
    assert record.study_hash == hospitals.study.hash and "zebrafish" in record.study_toml
    entry = record.sites[NORTH]
    assert entry.own is not None and entry.federated is not None and set(entry.paired)
    assert record.model is not None
    with open_registry() as registry:
        assert registry.read_model(record.model.sha256, "onnx") == (work / "federated.onnx").read_bytes()
    assert (work / FILE).stat().st_mode & 0o77 == 0 and (work / "federated.onnx").stat().st_mode & 0o77 == 0


@pytest.mark.slow
def test_another_task_is_answered_after_another_approval_alone(hospitals: Hospitals, tmp_path: Path) -> None:
    """The approval binds what the partner asks: whoever changes the file changes what is learned of its records."""
    for name in NAMES:
        hospitals.offered(name)
        decision = hospitals.approve(name)
    assert decision.facts.task
    task = Path(DataSets(hospitals.homes[NORTH].data_file).get(DATA).task or "")
    task.write_text(TASK.replace("zebrafish", "guppy"), "utf-8")
    with pytest.raises(Exception, match="Too few"):
        Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run", every_site_must_open=True).run()
    assert any("task file has changed" in entry.text for entry in hospitals.homes[NORTH].log.entries())
    hospitals.approve(NORTH)
    Coordinator(hospitals.study, DeskEngine(hospitals), tmp_path / "run", every_site_must_open=True).run()


def test_a_data_set_without_a_task_is_refused_with_the_mend(hospitals: Hospitals) -> None:
    """A study that leaves the question to the hospital cannot be approved before it has one."""
    sets = DataSets(hospitals.homes[NORTH].data_file)
    sets.add(DATA, sets.get(DATA).data, mapping=None, ledger=None, replace=True)
    with pytest.raises(StudyError, match="--task FILE of `wardround data check` and of `wardround site data add"):
        page_of(hospitals, data=True)


def test_an_approval_of_before_there_were_tasks_holds_on() -> None:
    """Its signature is of a hash of the facts: one without a task has the hash that it had."""
    facts = Facts(data_set="a", salt="0" * 64)
    assert facts.hash != facts.revised(task="1" * 64).hash
    from wardround.wire.offers import subject_hash

    assert facts.hash == subject_hash({name: one for name, one in facts.model_dump(mode="json").items() if name != "task"})
