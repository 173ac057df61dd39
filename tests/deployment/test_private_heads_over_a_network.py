"""Partners with tasks of their own and a hub, each a process, over Flower: the trunk of one machine, and no word of a task."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from tests.simulation.partners import ASSAYS, write_partners, write_study
from wardround.values.chained_log import verify
from wardround.values.tensor_file import read_tensors

pytest.importorskip("flwr", reason="the extra `network` is not installed")

NETWORK = Path(__file__).parents[2] / "benchmarks" / "network"
WORDS = {word for assays in ASSAYS.values() for word in assays} | {"quagga"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_partners_learn_a_trunk_over_real_processes_and_keep_their_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the commands of docs/private-heads.md. The trunk has the bits of a simulation on the same files, each partner finishes a
    model of its own, and the hub holds no word of any task, after one of them was killed in the middle as well."""
    monkeypatch.syspath_prepend(str(NETWORK))
    from federation import DATA, Federation  # type: ignore[import-not-found]

    tables, tasks = write_partners(tmp_path)
    study = write_study(tmp_path, rounds=3)
    ward = Federation(tmp_path / "ward", tuple(ASSAYS))
    try:
        ward.begin(tables)
        for name, task in tasks.items():
            added = ("site", "data", "add", DATA, str(tables[name]), "--task", str(task), "--replace")
            ward.run(*added, "--home", str(ward.home(name)), name=name)
        number = ward.submit(study)
        ward.approve(number)
        ward.kill("birch")
        ward.start("birch")
        assert ward.wait(number, 300) == "finished", ward.state(number)
    finally:
        ward.close()
    run = ward.hub / "studies" / number / "run"
    trunk = read_tensors(run / "model.safetensors")[0]
    here = wr.simulate(study, tables, tasks=tasks, out=tmp_path / "here", workers=0, register=False)
    assert sorted(trunk) == sorted(here.model) and all(np.array_equal(trunk[name], here.model[name]) for name in trunk)
    for name, assays in ASSAYS.items():
        work = ward.home(name) / "studies" / number / "work"
        model = read_tensors(work / "federated.safetensors")[0]
        simulated = read_tensors(here.folder / "sites" / name / "federated.safetensors")[0]
        assert model["head.weight"].shape == (len(assays), 12)
        assert all(np.array_equal(model[key], simulated[key]) for key in simulated)
        assert not verify(ward.home(name) / "log").problem
    ward.run("report", str(ward.home("ash") / "studies" / number / "work"), name="ash")
    report = (ward.home("ash") / "studies" / number / "work" / "report.html").read_text("utf-8")
    assert all(word in report for word in ASSAYS["ash"])
    for path in ward.hub.rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            assert not [word for word in WORDS if word.encode() in content], path.relative_to(ward.hub)
    assert json.loads((run / "record.json").read_bytes())["sites"] == {}
