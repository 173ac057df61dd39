"""From sums to the evaluation that a run record keeps, and back. No torch."""

from wardround.study.record.evaluation_record import Evaluation
from wardround.study.sections.evaluation import Decision
from wardround.tasks.protocol import REPLICATES, Task, read_sums
from wardround.tasks.sums import Sums


def evaluation_of(
    task: Task, sums: Sums, decision: Decision, *, replicates: int = REPLICATES, keep_sums: bool = True
) -> Evaluation:
    """Every figure of the task at the decision, with intervals.

    replicates=0 leaves the bootstrapped intervals out, keep_sums=False the sums: for the many evaluations of single rounds,
    of which only the curve is shown.
    """
    figures = task.figures(sums, decision, replicates=replicates)
    kept = task.pack(sums) if keep_sums else None
    return Evaluation(values=dict(figures.values), intervals=dict(figures.intervals), sums=kept)


def sums_of(task: Task, evaluation: Evaluation) -> Sums | None:
    """The sums an evaluation was made from; None where they were not kept. Raises WireError where they are impossible."""
    return None if evaluation.sums is None else read_sums(task, task.unpack(evaluation.sums))
