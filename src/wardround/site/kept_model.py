"""The last trunk under a hospital's own head: refitted with the trunk frozen, judged at the hospital, kept at the hospital.

    trunk of the last round + head --passes over the own records, the head alone learns--> model --> report.json, its files

How many passes is chosen on validation records, none among them. Nothing of it leaves: the answer to the order is empty.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from wardround.algorithms.personal import PersonalModel, candidate_named
from wardround.plan.plan import FEDERATED, Plan, own_label
from wardround.site.comparison import kept_outputs, outputs_file
from wardround.site.personal_files import write_model
from wardround.site.personal_models import Bench, HospitalMaterial, outputs_of, report_sums
from wardround.study.record.model_statement import statement_of
from wardround.study.sections.evaluation import Decision
from wardround.values.tree import Tree

REFITTED = "refitted"
"""The file of what learns in the model that is kept."""
AVERAGED = "averaged"
"""The label of the same before its head was refitted, in a report."""
KEPT = ("own_head", "kept")
"""Where the model with the own head stands in a site's report: section and key."""


@dataclass(frozen=True)
class Refitting:
    """Settings of a refitted head, as `algorithms.personal` reads them. passes: at most."""

    passes: int
    proximal_mu: float = 0.0


def keep_model_with_own_head(bench: Bench, averaged: Tree, own: Tree | None) -> None:
    """Refits, judges on test records once, and leaves model and figures in the site's folder.

    averaged: trunk and head as the last round left them. own: the model of the own records alone; None where there is none.
    """
    material = HospitalMaterial(bench, averaged if own is None else own, averaged)
    passes = bench.plan.study.training.head_passes
    option = candidate_named("private_head").fit(material, Refitting(passes))(np.arange(len(material.records)))
    (part,) = option.model.parts
    bench.store.write_tree(REFITTED, part.tree)
    decision = _judged(bench, FEDERATED, part.tree)
    _judged(bench, AVERAGED, averaged)
    if own is not None:
        _judged(bench, own_label(bench.name), own)
    statement = statement_of(
        bench.plan.study,
        decision,
        output=bench.plan.task.words.output_of(decision),
        synthetic=bench.synthetic,
        agreed_hash=bench.plan.agreed_hash,
    )
    card = _card(bench.plan, option.setting, decision, synthetic=bench.synthetic)
    whole = PersonalModel.single({**bench.frozen, **part.tree})
    files = write_model(bench.plan, bench.store, whole, statement, card, FEDERATED)
    bench.store.add_to_report(*KEPT, {"refitted": option.setting, "threshold": decision, **asdict(files)})


def _judged(bench: Bench, label: str, model: Tree) -> Decision:
    """A model's sums and its outputs on test records, in the folder; gives its decision."""
    single = PersonalModel.single(model)
    on_test = outputs_of(bench, single, "test")
    labels = bench.splits["test"].labels
    bench.store.write_tree(outputs_file(label), kept_outputs(on_test.astype(np.float32), labels, bench.fingerprint))
    return report_sums(bench, label, single, on_test)


def kept_in(report: Mapping[str, Mapping[str, dict[str, object]]]) -> dict[str, object] | None:
    """What a site's report says of the model with the own head; None where there is none."""
    return report.get(KEPT[0], {}).get(KEPT[1])


def _card(plan: Plan, setting: str, decision: Decision, *, synthetic: bool) -> str:
    """What the model is, for whoever finds the file."""
    study = plan.study
    made_up = (
        "\nThe records were generated: no figure says anything of patients, and the model is for none.\n" if synthetic else ""
    )
    return f"""\
# {study.question.title}: the shared network with this hospital's own last layer

Study `{plan.study_hash}`. All layers but the last were learned by the hospitals together; the last one, and the question that
it answers ({study.data.label.name}), are this hospital's alone. Refitted on its records after the last round: {setting}, chosen
on its validation records.
{made_up}
It was never tried at another hospital. {plan.task.words.output_of(decision)} Its figures stand in `report.json`, under
`evaluations`: `{FEDERATED}` is this model, `{AVERAGED}` the same before refitting.

The last layer was trained here, without noise, and its outputs are named as this hospital's task names them: treat the file as
you treat the records, and the task. {study.question.intended_use}
"""
