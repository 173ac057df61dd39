"""Studies that evaluate a finished model of the tiny federation. Not a test."""

from pathlib import Path

from wardround.hub.artifacts import model_bytes
from wardround.plan.evaluated_model import EvaluatedModel, evaluated_in
from wardround.plan.plan import Plan
from wardround.study.declaration import Study
from wardround.study.evaluation_study import evaluation_study
from wardround.study.record.model_statement import statement_of
from wardround.values.tree import Tree

from .tiny_federation import study

THRESHOLD = 0.4375


def finished_tree(seed: int = 7) -> Tree:
    """A model of the tiny federation's network. It need not be a good one."""
    return Plan(study().revised(training={"seed": seed})).initial_model()


def finished_bytes(tree: Tree, of: Study | None = None) -> bytes:
    """The file of such a model, as a run writes it."""
    return model_bytes(tree, statement_of(of or study(), THRESHOLD, output="a probability", synthetic=False))


def finished(seed: int = 7) -> EvaluatedModel:
    return evaluated_in(finished_bytes(finished_tree(seed)), "a model")


def write_finished(path: Path, seed: int = 7) -> Path:
    path.write_bytes(finished_bytes(finished_tree(seed)))
    return path


def evaluation(seed: int = 7, *, mode: str = "masked", collusion: int = 1, minimum: int = 3) -> Study:
    """The study about the finished model of that seed."""
    asked = evaluation_study(study(), finished(seed).content, THRESHOLD)
    return asked.revised(summation={"mode": mode, "collusion": collusion}, sites={"minimum": minimum})
