"""From sums to the evaluation that a run record keeps, and back. No torch."""

from wardround.study.record.evaluation_record import Evaluation, SparseSums
from wardround.tasks.metrics import REPLICATES, measure
from wardround.tasks.score_sums import ScoreSums


def evaluation_of(sums: ScoreSums, threshold: float, *, replicates: int = REPLICATES, keep_sums: bool = True) -> Evaluation:
    """Every figure of `metrics.METRICS` at the threshold, with intervals.

    replicates=0 leaves the bootstrapped intervals out, keep_sums=False the sums: for the many evaluations of single rounds,
    of which only the curve is shown.
    """
    found = measure(sums, threshold, replicates=replicates)
    kept = SparseSums.from_counts(sums.to_counts()) if keep_sums else None
    return Evaluation(values=dict(found.values), intervals=dict(found.intervals), sums=kept)


def sums_of(evaluation: Evaluation) -> ScoreSums | None:
    """The sums an evaluation was made from; None where they were not kept. Raises WireError where they are impossible."""
    return None if evaluation.sums is None else ScoreSums.from_counts(evaluation.sums.to_counts())
