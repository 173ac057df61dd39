"""What docs/security.md says of a model that is only evaluated: a crafted one reads a single patient off the masked total."""

from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from wardround.hub.checkpoint import load
from wardround.plan.evaluated_model import evaluated_in
from wardround.study.evaluation_study import evaluation_study
from wardround.values.records import Records
from wardround.values.tree import Tree

from ..federation.evaluations import finished_bytes, finished_tree
from ..federation.tiny_federation import NAMES, records, study

pytestmark = pytest.mark.permission
NARROW, LOUD = 1e-4, 8.0


def looking_for(value: float) -> Tree:
    """A network whose score is high where the first column has this value, and low for everybody else."""
    tree = {name: np.zeros_like(array) for name, array in finished_tree().items()}
    tree["hidden.0.weight"][:3, 0] = 1.0
    tree["hidden.0.bias"][:3] = [NARROW - value, -value, -NARROW - value]
    tree["head.weight"][0, :3] = np.array([1.0, -2.0, 1.0]) * (2 * LOUD / NARROW)
    tree["head.bias"][:] = -LOUD
    return tree


def told(tree: Tree, hospitals: dict[str, Records], folder: Path) -> tuple[int, int]:
    """How many test patients of all hospitals have a high score: without the outcome, and with it."""
    content = finished_bytes(tree)
    of = evaluation_study(study(), evaluated_in(content, "a model").content, 0.5).revised(sites={"minimum": 3})
    (model := folder.with_suffix(".safetensors")).write_bytes(content)
    found = wr.simulate(of, hospitals, out=folder, workers=0, register=False, model=model)
    progress = load(found.folder)
    assert progress is not None and found.record.pooled is not None and found.record.summation_mode == "masked"
    values = {name: float(value or 0.0) for name, value in found.record.pooled.federated.values.items()}
    negatives, positives = values["n"] - values["positives"], values["positives"]
    return round((1 - values["specificity"]) * negatives), round(values["sensitivity"] * positives)


@pytest.mark.slow
def test_one_evaluation_says_whether_she_is_there_and_her_outcome(tmp_path: Path) -> None:
    """The page says so: a promise that the sum hides one patient from a crafted model would be untrue."""
    hospitals = {name: records(name) for name in NAMES}
    tested = np.flatnonzero(hospitals["north"].splits == "test")
    for row in tested[:2]:
        value, outcome = float(hospitals["north"].inputs[row, 0]), int(hospitals["north"].labels[row])
        with_her = told(looking_for(value), hospitals, tmp_path / f"with-{row}")
        others = {**hospitals, "north": hospitals["north"].select(np.delete(np.arange(len(hospitals["north"])), row))}
        without = told(looking_for(value), others, tmp_path / f"without-{row}")
        assert with_her == ((0, 1) if outcome else (1, 0)) and without == (0, 0)
