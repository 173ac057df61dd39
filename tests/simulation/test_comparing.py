"""Finished runs of this machine beside one another: what can be paired, and what cannot."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import wardround as wr
from tests.simulation.small_study import write_hospitals, write_study
from wardround.simulation.comparing import named_runs, paired_with_first, read_run
from wardround.site.comparison import outputs_file
from wardround.tasks.registry import task_of_record
from wardround.values.errors import RunError
from wardround.values.tensor_file import read_tensors


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    """The same hospitals with another learning rate."""
    folder = tmp_path_factory.mktemp("another")
    study = wr.load_study(write_study(folder)).revised(training={"learning_rate": 0.02})
    return wr.simulate(study, write_hospitals(folder), out=folder / "another", workers=0, register=False)


@pytest.mark.slow
def test_the_same_patients_are_compared_one_by_one(finished: wr.Run, another: wr.Run) -> None:
    """The paired difference is that of the two records' figures, for each hospital and for all together."""
    folders = [finished.folder, another.folder]
    runs = named_runs(folders)
    first, second = paired_with_first(folders, runs)
    assert all(one.difference == 0.0 for one in first.values())
    for site in finished.record.sites:
        before, after = (run.record.sites[site].federated for run in runs)
        assert before is not None and after is not None
        for figure in ("auc", "accuracy"):
            moved = (after.value(figure) or 0.0) - (before.value(figure) or 0.0)
            assert second["federated", "site", site, figure].difference == pytest.approx(moved, abs=1e-9)
    pooled = [run.record.pooled.federated.value("auc") for run in runs if run.record.pooled]
    assert second["federated", "pooled", "", "auc"].difference == pytest.approx((pooled[1] or 0) - (pooled[0] or 0), abs=1e-9)
    assert {key[0] for key in second} == {"federated", "north", "south", "west"}


def test_other_patients_are_not_paired(finished: wr.Run, tmp_path: Path) -> None:
    """A row of labels that happens to be alike is no proof: the records' fingerprint must be the same."""
    copy = tmp_path / "copy"
    shutil.copytree(finished.folder, copy)
    path = copy / "sites" / "north" / f"{outputs_file('federated')}.safetensors"
    kept = read_tensors(path)[0]
    save_file({**kept, "records": kept["records"] ^ np.uint8(1)}, path)
    folders = [finished.folder, copy]
    _, second = paired_with_first(folders, named_runs(folders))
    assert ("federated", "site", "north", "auc") not in second and ("federated", "pooled", "", "auc") not in second
    assert ("federated", "site", "south", "auc") in second


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    """The way on is in the message."""
    with pytest.raises(RunError, match="no finished run"):
        read_run(tmp_path)


def test_runs_of_one_name_are_told_by_their_paths(finished: wr.Run) -> None:
    """Two columns headed `run` would say nothing."""
    assert [run.name for run in named_runs([finished.folder, finished.folder])] == [str(finished.folder)] * 2
    assert task_of_record(named_runs([finished.folder])[0].record.study_toml).headline == "auc"
