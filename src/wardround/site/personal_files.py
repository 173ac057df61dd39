"""The files of the model that a hospital keeps, in its own folder: weights, ONNX, and a card that says what it is.

chosen.safetensors   chosen.onnx   chosen.md
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save as save_tensors

from wardround.algorithms.personal import Choice, Part, PersonalModel
from wardround.plan.plan import CHOSEN, Plan
from wardround.site.store import SiteStore
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement, statement_of
from wardround.study.sections.evaluation import Decision
from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import WardroundError
from wardround.values.tree import Tree, shapes_of, size_of

HELD = (
    "This model holds what its network made of single patients of this hospital, a row for each training record: whoever has its "
    "files has these rows. They must never leave the hospital."
)


@dataclass(frozen=True)
class ChosenFiles:
    """sha256, parameters: of the weights. holds_records: whether values of single patients stand in them. files: in the site's
    folder, by kind; without one that could not be written."""

    sha256: str
    parameters: int
    holds_records: bool
    files: dict[str, str]


def write_files(
    plan: Plan, store: SiteStore, model: PersonalModel, choice: Choice, decision: Decision, *, synthetic: bool
) -> ChosenFiles:
    """Writes all three, each whole or not at all. An ONNX file that cannot be made is a line of the site's log.

    model: with what training never changes. synthetic: whether the records are of no patient.
    """
    statement = statement_of(
        plan.study,
        decision,
        output=plan.task.words.output_of(decision),
        synthetic=synthetic,
        holds_records=model.holds_records,
        agreed_hash=plan.agreed_hash,
    )
    card = card_of(plan, choice, decision, synthetic=synthetic, holds_records=model.holds_records)
    return write_model(plan, store, model, statement, card, CHOSEN)


def write_model(
    plan: Plan, store: SiteStore, model: PersonalModel, statement: ModelStatement, card: str, name: str
) -> ChosenFiles:
    """Writes NAME.safetensors, NAME.onnx and NAME.md into the site's folder. model: with what training never changes. statement:
    of the model; card: of whoever finds it."""
    weights, onnx, page = (f"{name}.{ending}" for ending in ("safetensors", "onnx", "md"))
    data = weights_of(model, statement)
    write_atomic(store.folder / weights, data, private=True)
    names = {"safetensors": weights}
    try:
        _export(plan, model, statement, store.folder / onnx)
        names["onnx"] = onnx
    except WardroundError as error:
        store.log("personal", f"{onnx} was not written: {error}")
    write_atomic(store.folder / page, card.encode(), private=True)
    parameters = sum(size_of(shapes_of(part.tree)) for part in model.parts)
    return ChosenFiles(sha256_hex(data), parameters, model.holds_records, {**names, "card": page})


def weights_of(model: PersonalModel, statement: ModelStatement) -> bytes:
    """The weights as safetensors, with what they say of themselves. Of a mixture the arrays of each part stand under its number,
    and `weight` is a part's share; a single model is a file like the federated one."""
    if len(model.parts) == 1 and model.parts[0].weight == 1.0 and not model.holds_records:
        arrays = dict(model.parts[0].tree)
    else:
        arrays = {
            f"{number}/{name}": array for number, part in enumerate(model.parts) for name, array in _arrays_of(part).items()
        }
    return save_tensors({name: arrays[name] for name in sorted(arrays)}, {METADATA_KEY: statement.to_json()})


def _arrays_of(part: Part) -> Tree:
    """Of one part of several. `neighbours.inner` holds a row for each training record that it remembers."""
    arrays = {**part.tree, "weight": np.asarray(part.weight, np.float32)}
    if (asked := part.neighbours) is None:
        return arrays
    settings = {"nearest": asked.nearest, "scale": asked.scale, "share": asked.share}
    arrays |= {f"neighbours.{name}": np.asarray(value, np.float32) for name, value in settings.items()}
    return {**arrays, "neighbours.inner": asked.memory.inner, "neighbours.votes": asked.memory.votes}


def _export(plan: Plan, model: PersonalModel, statement: ModelStatement, path: Path) -> None:
    from wardround.training.onnx_export import export_onnx

    export_onnx(
        plan.study.learned,
        plan.records,
        model,
        path,
        flip_average=plan.study.evaluation.flip_average,
        outputs=plan.task.outputs,
        shown=plan.task.shown,
        with_votes=plan.task.with_votes_in_torch,
        names=plan.task.words.outputs,
        statement=statement,
        private=True,
    )


def card_of(plan: Plan, choice: Choice, decision: Decision, *, synthetic: bool, holds_records: bool) -> str:
    """What the model is, for whoever finds the file: where it comes from, why it was chosen, what it may be used for."""
    study = plan.study
    scores = "\n".join(
        f"| {name} | {score.loss:.3f} | {score.gain:+.3f} | {score.standard_error:.3f} |" for name, score in choice.scores.items()
    )
    few = "\nSo few patients chose that another draw of them may choose otherwise.\n" if choice.few else ""
    held = f"\n**{HELD}**\n" if holds_records else ""
    made_up = (
        "\nThe records were generated: no figure says anything of patients, and the model is for none.\n" if synthetic else ""
    )
    return f"""\
# {study.question.title}: the model that this hospital keeps

Study `{plan.study_hash}`. Kept: **{choice.name}**: {choice.reason}.
{few}{made_up}{held}
It was made for the patients of this hospital and chosen on {choice.patients} of its validation patients. At another hospital
it was never tried. {plan.task.words.output_of(decision)}

| candidate | loss on validation patients | gain over own | one standard error |
| --- | --- | --- | --- |
{scores}

What was tuned on validation patients was scored on those it was not tuned on. The figures on test patients stand in
`report.json`, under `personal` and under `evaluations`, `{CHOSEN}`. The file was trained here, without noise: it may show what
the patients of this hospital are like, so treat it as you treat their records. {study.question.intended_use}
"""
