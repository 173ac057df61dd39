"""The finished model of a study that evaluates only: its hash, which the study names, and the file that it comes from.

    model.safetensors --evaluated_in--> arrays, statement --require_evaluated: hash of the arrays--> opening, evaluation

The hash is of the arrays alone, as an opening carries them (docs/spec/wire.md, 6.1): a site has nothing else to compare. The
registry names a model by the hash of its file, which also holds what the model says of itself.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from wardround.plan.networks import IN_THIS_PROCESS, NetworkFacts, Networks
from wardround.plan.plan import Plan
from wardround.study.contract import DataContract
from wardround.study.declaration import Study
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError, RunError, StudyError
from wardround.values.tree import Tree, shapes_of
from wardround.wire.envelope import pack_bundle, payload_digest
from wardround.wire.messages import Order

EVALUATED = "evaluated.safetensors"
"""The file of the model, in the folder of a run or of a submitted study, as it was given."""
_SPLIT_SETTINGS = frozenset({"splits", "dataset", "patient", "site", "label", "cohort", "header"})
"""Settings of [data] that do not change what a network reads of a record."""


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as its file holds it. sha256: of the file. content: of the arrays, as a study names it."""

    arrays: Tree = field(repr=False)
    sha256: str
    content: str
    statement: ModelStatement


def model_hash(model: Tree) -> str:
    """SHA-256 of the payload of an opening with this model.

    >>> import numpy as np
    >>> model_hash({"w": np.zeros(2, np.float32)})[:12]
    'fa3d94aae9ad'
    """
    return payload_digest(pack_bundle({"model": model})).hex()


def evaluated_in(content: bytes, name: str) -> EvaluatedModel:
    """The model in a file's bytes. name: of the file, in errors.

    Raises
    ------
    RunError
        The bytes are no model that Wardround wrote, or one that must not leave its hospital.
    """
    try:
        arrays = load_tensors(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        told = header.get("__metadata__", {}).get(METADATA_KEY)
    except (SafetensorError, ValueError, AttributeError) as error:
        raise RunError(
            f"{name} is no model", expected="a model.safetensors", hint="name a run folder, or a model of: wardround models list"
        ) from error
    if told is not None and arrays and all(array.dtype.name == "float64" for array in arrays.values()):
        raise RunError(
            f"{name} is a regression, which no study evaluates",
            expected="a model of a study with [network]",
            hint="test it at a hospital with: wardround clinic accept; ask it with: wardround predict",
        )
    if told is None or any(array.dtype.name != "float32" for array in arrays.values()):
        raise RunError(
            f"{name} does not say what it is a model of",
            expected="a model.safetensors that Wardround wrote, with its statement in the metadata",
            hint="name the run folder of a finished run",
        )
    statement = ModelStatement.from_json(told, name=name)
    if statement.holds_records:
        raise RunError(
            f"{name} holds values of single patients, and must never leave its hospital",
            expected="a model that holds no patient",
            hint="evaluate the run's shared model",
        )
    return EvaluatedModel(arrays, sha256_hex(content), model_hash(arrays), statement)


def evaluated_at(path: Path) -> EvaluatedModel:
    """The model in a file. RunError where it cannot be read, or as `evaluated_in`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read", found=error.strerror or "", hint="give the model again, with --model") from error
    return evaluated_in(content, str(path))


def require_model_of(study: Study, model: EvaluatedModel) -> None:
    """StudyError where the study is about another model, or reads records otherwise than the model did when it learned."""
    if study.evaluation.model != model.content:
        raise StudyError(
            "The study asks for the evaluation of another model",
            expected=f"a model with the hash {study.evaluation.model}",
            found=f"{model.content}, of the file {model.sha256[:12]}",
            hint="give the one that evaluation.model names; or write a study for this one: wardround study new --evaluate MODEL",
        )
    if different := _read_otherwise(study.data, model.statement.data):
        raise StudyError(
            "The study prepares records otherwise than the model learned them, so its answers would mean nothing",
            expected=f"data.{different} as in the study that the model is of",
            found="another",
            hint="take [data] from there; wardround study new --evaluate MODEL does",
        )


def _read_otherwise(ours: DataContract, theirs: DataContract) -> str:
    """The first setting of [data] by which a network reads a record, and that differs; empty where none does."""
    first, second = (one.model_dump(mode="json", exclude=set(_SPLIT_SETTINGS)) for one in (ours, theirs))
    return next((name for name in first if first[name] != second[name]), "")


def require_evaluated(study: Study, order: Order, opened: Tree) -> None:
    """RefusedError where an order of a study that evaluates only carries another model than the study names.

    opened: the model of the opening, by array; of an order that is no opening."""
    header = order.header
    if not study.evaluates_only or header.step not in ("open", "evaluate"):
        return
    carried = order.arrays if header.step == "open" else {**pack_bundle({"model": opened}), **order.arrays}
    if (carried_hash := payload_digest(carried).hex()) != study.evaluation.model:
        raise RefusedError(
            "The order carries another model than the one that the study evaluates",
            expected=f"{study.evaluation.model}"[:12],
            found=carried_hash[:12],
            hint="ask the hub's people which model was handed to it",
            code="model",
        )


def require_first_model(study: Study, model: Tree) -> None:
    """StudyError where a study that evaluates only would be opened with another model: one that was drawn, and not given."""
    if study.evaluates_only and model_hash(model) != study.evaluation.model:
        raise StudyError(
            "The study evaluates a finished model, and it was not given",
            expected=f"a model with the hash {study.evaluation.model}",
            hint="name it with --model",
        )


@dataclass(frozen=True)
class GivenModel:
    """Implements `plan.networks.Networks` for a study that evaluates only: the first model is the one in a file."""

    path: Path
    networks: Networks = IN_THIS_PROCESS

    def facts(self, plan: Plan) -> NetworkFacts:
        return self.networks.facts(plan)

    def initial_model(self, plan: Plan) -> Tree:
        """StudyError, or RunError, where the file holds none that the study is about."""
        model = evaluated_at(self.path)
        require_model_of(plan.study, model)
        return require_arrays(plan, model.arrays)


def require_arrays(plan: Plan, arrays: Tree) -> Tree:
    """The same arrays. StudyError where the study's network has others."""
    if shapes_of(arrays) != plan.model_shapes:
        names = sorted(name for name in arrays.keys() ^ plan.model_shapes.keys()) or ["arrays of other shapes"]
        raise StudyError(
            f"The model has other arrays than network.name = {plan.study.learned.name!r} with the study's settings",
            found=", ".join(names)[:200],
            hint="take [network] from the study that the model is of; wardround study new --evaluate MODEL does",
        )
    return arrays
