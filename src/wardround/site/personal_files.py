"""The files of the model that a hospital keeps, in its own folder: weights, ONNX, and a card that says what it is.

chosen.safetensors   chosen.onnx   chosen.md
"""

from dataclasses import dataclass

import numpy as np
from safetensors.numpy import save as save_tensors

from wardround.algorithms.personal import Choice, PersonalModel
from wardround.plan.plan import CHOSEN, Plan
from wardround.site.store import SiteStore
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement, statement_of
from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import WardroundError
from wardround.values.tree import shapes_of, size_of

WEIGHTS, ONNX, CARD = f"{CHOSEN}.safetensors", f"{CHOSEN}.onnx", f"{CHOSEN}.md"


@dataclass(frozen=True)
class ChosenFiles:
    """sha256, parameters: of the weights. files: in the site's folder, by kind; without one that could not be written."""

    sha256: str
    parameters: int
    files: dict[str, str]


def write_files(
    plan: Plan, store: SiteStore, model: PersonalModel, choice: Choice, decision: float | None, *, synthetic: bool
) -> ChosenFiles:
    """Writes all three, each whole or not at all. An ONNX file that cannot be made is a line of the site's log.

    model: with what training never changes. synthetic: whether the records are of no patient.
    """
    statement = statement_of(plan.study, decision, output=plan.task.words.output_of(decision), synthetic=synthetic)
    data = weights_of(model, statement)
    write_atomic(store.folder / WEIGHTS, data, private=True)
    names = {"safetensors": WEIGHTS}
    try:
        _export(plan, model, statement, store)
        names["onnx"] = ONNX
    except WardroundError as error:
        store.log("personal", f"{ONNX} was not written: {error}")
    write_atomic(store.folder / CARD, card_of(plan, choice, decision, synthetic=synthetic).encode(), private=True)
    parameters = sum(size_of(shapes_of(tree)) for _, tree in model.parts)
    return ChosenFiles(sha256_hex(data), parameters, {**names, "card": CARD})


def weights_of(model: PersonalModel, statement: ModelStatement) -> bytes:
    """The weights as safetensors, with what they say of themselves. Of a mixture the arrays of each part stand under its number,
    and `weight` is a part's share; a single model is a file like the federated one."""
    if len(model.parts) == 1 and model.parts[0][0] == 1.0:
        arrays = dict(model.parts[0][1])
    else:
        arrays = {f"{number}/{name}": array for number, (_, tree) in enumerate(model.parts) for name, array in tree.items()}
        arrays |= {f"{number}/weight": np.asarray(weight, np.float32) for number, (weight, _) in enumerate(model.parts)}
    return save_tensors({name: arrays[name] for name in sorted(arrays)}, {METADATA_KEY: statement.to_json()})


def _export(plan: Plan, model: PersonalModel, statement: ModelStatement, store: SiteStore) -> None:
    from wardround.training.onnx_export import export_onnx

    export_onnx(
        plan.study.network,
        plan.records,
        model,
        store.folder / ONNX,
        flip_average=plan.study.evaluation.flip_average,
        outputs=plan.task.outputs,
        shown=plan.task.shown,
        output=plan.task.words.output,
        statement=statement,
        private=True,
    )


def card_of(plan: Plan, choice: Choice, decision: float | None, *, synthetic: bool) -> str:
    """What the model is, for whoever finds the file: where it comes from, why it was chosen, what it may be used for."""
    study = plan.study
    scores = "\n".join(
        f"| {name} | {score.loss:.3f} | {score.gain:+.3f} | {score.standard_error:.3f} |" for name, score in choice.scores.items()
    )
    few = "\nSo few patients chose that another draw of them may choose otherwise.\n" if choice.few else ""
    made_up = (
        "\nThe records were generated: no figure says anything of patients, and the model is for none.\n" if synthetic else ""
    )
    return f"""\
# {study.question.title}: the model that this hospital keeps

Study `{study.hash}`. Kept: **{choice.name}**: {choice.reason}.
{few}{made_up}
It was made for the patients of this hospital and chosen on {choice.patients} of its validation patients. At another hospital
it was never tried. {plan.task.words.output_of(decision)}

| candidate | loss on validation patients | gain over own | one standard error |
| --- | --- | --- | --- |
{scores}

What was tuned on validation patients was scored on those it was not tuned on. The figures on test patients stand in
`report.json`, under `personal` and under `evaluations`, `{CHOSEN}`. The file was trained here, without noise: it may show what
the patients of this hospital are like, so treat it as you treat their records. {study.question.intended_use}
"""
