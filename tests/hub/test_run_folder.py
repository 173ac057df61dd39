"""The folder of a run: one process at a time, and no second run over a first."""

from pathlib import Path

import pytest

from wardround.crypto.identity import Identity
from wardround.hub.run_folder import RunFolder
from wardround.hub.sum_coordinator import SumCoordinator
from wardround.plan.sum_plan import Quantity, SumPlan
from wardround.study.reading import load_study
from wardround.study.run_settings import RunSettings
from wardround.values.errors import RunError

from ..federation.tiny_federation import study


def test_what_a_run_began_with_comes_back(tmp_path: Path) -> None:
    """A resumed run must be the run that was stopped: its study, its name, whether its patients are drawn."""
    folder = RunFolder(tmp_path / "runs" / "one")
    assert folder.plan is None
    plan = folder.begin(study(), RunSettings(), synthetic=True)
    assert folder.plan == plan and plan.synthetic and plan.study == study().hash
    assert load_study(folder.path / "study.toml").hash == study().hash


def test_two_runs_of_one_study_have_different_names(tmp_path: Path) -> None:
    """The registry keeps both."""
    names = {RunFolder(tmp_path / str(number)).begin(study(), RunSettings(), synthetic=False).run_id for number in range(5)}
    assert len(names) == 5


def test_a_folder_in_use_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    """Two coordinators in one folder would mix their checkpoints."""
    first = RunFolder(tmp_path)
    with pytest.raises(RunError, match="Another run") as error:
        RunFolder(tmp_path)
    assert error.value.hint
    first.close()
    RunFolder(tmp_path).close()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    """A person chose a path that is a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be used") as error:
        RunFolder(tmp_path / "file")
    assert str(tmp_path / "file") in str(error.value) and "--out" in error.value.hint


@pytest.mark.parametrize(
    ("text", "word"), [("", "damaged"), ("{", "damaged"), ("[]", "another release"), ('{"run_id": "a"}', "another release")]
)
def test_a_plan_that_cannot_be_read_is_refused_in_words(tmp_path: Path, text: str, word: str) -> None:
    """Never a traceback, and never a run with another plan. A whole file of an earlier release is not called damaged: its mend is
    another one."""
    folder = RunFolder(tmp_path)
    folder.begin(study(), RunSettings(), synthetic=False)
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(RunError, match=word) as error:
        _ = folder.plan
    assert "--out" in error.value.hint


def test_an_attempt_that_stopped_before_its_opening_leaves_nothing_of_its_hospitals(tmp_path: Path) -> None:
    """The same folder is used again, also with other hospitals: records of the first must not lie beside theirs."""
    folder = RunFolder(tmp_path)
    folder.begin(study(), RunSettings(), synthetic=False)
    for name in ("sites/east/state.safetensors", "data/east.npz", "external.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"records")
    folder.require_unused()
    assert not any((tmp_path / name).exists() for name in ("sites", "data", "external.npz"))


def test_a_folder_without_a_run_is_left_as_it_is(tmp_path: Path) -> None:
    """A person's own files in it are not ours to remove."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.npz").write_bytes(b"mine")
    RunFolder(tmp_path).require_unused()
    assert (tmp_path / "data" / "mine.npz").exists()


@pytest.mark.permission
def test_what_killed_writes_left_is_gone_when_the_coordinator_starts_again(tmp_path: Path) -> None:
    """A checkpoint half written holds masked totals and sealed shares; prepared records half written hold patients."""
    parts = [tmp_path / ".checkpoint.safetensors.abcdefgh.part", tmp_path / "data" / ".north.npz.abcdefgh.part"]
    keys = tmp_path / "sums" / ".keys.json.abcdefgh.part"
    for part in (*parts, keys):
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(b"half")
    RunFolder(tmp_path).close()
    assert [part.exists() for part in (*parts, keys)] == [False, False, True]
    plan = SumPlan("t", {name: Identity.new().public for name in ("a", "b", "c")}, {"x": Quantity((1,))})
    SumCoordinator(plan, lambda _: {}, tmp_path / "sums")
    assert not keys.exists()
