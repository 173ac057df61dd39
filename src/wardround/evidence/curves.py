"""What a report shows beside figures: drawings as data, the table at the decision, and evaluations by model and place."""

from collections.abc import Mapping

from wardround.study.record.run_record import Evaluation, RunRecord
from wardround.tasks.evaluation import sums_of
from wardround.tasks.protocol import Chart, DecisionTable, Task

FEDERATED, EVALUATED = "federated", "evaluated"


def whose_model(record: RunRecord) -> str:
    """What the pages call the model that all hospitals' figures are of: one that they trained together, or one that was there."""
    return FEDERATED if record.evaluated is None else EVALUATED


def charts_of(task: Task, evaluations: Mapping[str, Evaluation]) -> tuple[Chart, ...]:
    """The task's drawings of models by name, the federated one first; none of models whose sums were not kept."""
    kept = {name: sums for name, evaluation in evaluations.items() if (sums := sums_of(task, evaluation)) is not None}
    return task.charts(kept)


def decision_table(task: Task, evaluation: Evaluation) -> DecisionTable | None:
    """Counts at the evaluation's own decision; None without sums, or where the task has no such table."""
    sums = sums_of(task, evaluation)
    return None if sums is None else task.decision_table(sums, task.words.decision_in(evaluation.values))


def by_model_and_site(record: RunRecord) -> dict[str, dict[str, Evaluation]]:
    """Every model on every site's test patients: the record's cross table, completed by what it says site by site.

    The federated model comes first, then the models in the order of the record.
    """
    table: dict[str, dict[str, Evaluation]] = {FEDERATED: {}}
    for site, entry in record.sites.items():
        if entry.federated is not None:
            table[FEDERATED][site] = entry.federated
        if entry.own is not None:
            table.setdefault(site, {})[site] = entry.own
    for model, places in record.cross.items():
        table.setdefault(model, {}).update(places)
    return {model: places for model, places in table.items() if places}
