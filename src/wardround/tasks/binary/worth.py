"""What the answers of models are worth to whoever acts on them, as tables: calibration, people, and other shares of ill people.

    sums, threshold of each model --> FigureTable ...

A yes is worth less where the finding is rarer. So predictive values are given for the hospital's own share, from its counts, and
for other shares by Bayes' rule from sensitivity and specificity, as if these held there too.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from wardround.tasks.binary.calibration import recalibration
from wardround.tasks.binary.figures import ConfusionCounts, confusion_at
from wardround.tasks.binary.predictive import (
    PredictiveValue,
    natural_frequencies,
    negative_predictive_value,
    positive_predictive_value,
)
from wardround.tasks.binary.score_sums import ONE, ScoreSums
from wardround.tasks.intervals import UNDEFINED, of_difference, wilson
from wardround.tasks.protocol import Estimate, FigureTable

PREVALENCES = (0.01, 0.05, 0.10, 0.20, 0.50)
PEOPLE = 1000
Models = Mapping[str, tuple[ScoreSums, float]]
"""By the model's name: its sums and its threshold."""


def worth_of(models: Models, finding: str) -> tuple[FigureTable, ...]:
    """Tables of the models side by side; none without records of both classes. finding: what a yes means."""
    counts = {name: confusion_at(sums, threshold) for name, (sums, threshold) in models.items()}
    if not counts or any(natural_frequencies(one) is None for one in counts.values()):
        return ()
    return (_people(counts, finding), _prevalences(counts, finding), _calibration(models, finding))


def predictive_values(counts: ConfusionCounts, prevalence: float) -> tuple[PredictiveValue, PredictiveValue]:
    """Of a yes and of a no, where a share `prevalence`, above 0 and below 1, has the finding; counts hold both classes.

    Intervals: the logarithm of the odds of a right answer is a difference of two independent logarithms, whose Wilson intervals
    are joined (MOVER: G. Y. Zou and A. Donner, Statist. Med. 27 (2008) 1693). Where nobody was answered wrongly, the far ends are
    taken together. The adjusted logit interval of Mercaldo, Lau and Zhou (2007) held the truth in 44 to 91 of 100 trials where
    this one holds it in 95 to 97.

    >>> yes, no = predictive_values(ConfusionCounts(90, 20, 180, 10), 0.01)
    >>> round(yes.value, 3), round(no.value, 4)
    (0.083, 0.9989)
    """
    ill, well = counts.true_positive + counts.false_negative, counts.true_negative + counts.false_positive
    odds = math.log(prevalence) - math.log1p(-prevalence)
    yes = _by_bayes((counts.true_positive, ill), (counts.false_positive, well), odds)
    no = _by_bayes((counts.true_negative, well), (counts.false_negative, ill), -odds)
    return yes, no


def _by_bayes(right: tuple[int, int], wrong: tuple[int, int], odds: float) -> PredictiveValue:
    """right, wrong: of how many such people, and how many get this answer; odds: the logarithm of those of the first kind."""
    hits, misses = right[0] / right[1], wrong[0] / wrong[1]
    value = _share(hits * math.exp(odds), misses)
    if math.isnan(value):
        return PredictiveValue(value, UNDEFINED)
    (low_hits, high_hits), (low_misses, high_misses) = wilson(*right), wilson(*wrong)
    if 0.0 in (hits, misses):
        low, high = _share(low_hits * math.exp(odds), high_misses), _share(high_hits * math.exp(odds), low_misses)
        return PredictiveValue(value, (low, high))
    low, high = of_difference(
        math.log(misses), (math.log(low_misses), math.log(high_misses)), math.log(hits), (math.log(low_hits), math.log(high_hits))
    )
    return PredictiveValue(value, (_of_log_odds(odds + low), _of_log_odds(odds + high)))


def _of_log_odds(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _share(part: float, other: float) -> float:
    return part / (part + other) if part + other else math.nan


def _people(counts: Mapping[str, ConfusionCounts], finding: str) -> FigureTable:
    people = [natural_frequencies(one, PEOPLE) for one in counts.values()]
    rows = {
        f"with {finding}, found": [one.found for one in people if one],
        f"with {finding}, missed": [one.missed for one in people if one],
        f"without {finding}, alarmed for nothing": [one.false_alarms for one in people if one],
        f"without {finding}, rightly cleared": [one.cleared for one in people if one],
    }
    return FigureTable(
        key="people",
        title=f"Of {PEOPLE:,} patients like these".replace(",", " "),
        form="count",
        columns=tuple(counts),
        rows=tuple((name, tuple((float(value), UNDEFINED) for value in values)) for name, values in rows.items()),
        notes=(f"As many have {finding} as among this hospital's test patients. Counts are rounded to whole people.",),
    )


def _prevalences(counts: Mapping[str, ConfusionCounts], finding: str) -> FigureTable:
    here = next(iter(counts.values()))
    ill = here.true_positive + here.false_negative
    share = ill / (ill + here.true_negative + here.false_positive)
    counted = ((positive_predictive_value(one), negative_predictive_value(one)) for one in counts.values())
    own = f"{100 * share:.0f} %, as here", tuple(_flat(counted))
    others = tuple(
        (f"{100 * prevalence:.0f} %", tuple(_flat(predictive_values(one, prevalence) for one in counts.values())))
        for prevalence in PREVALENCES
    )
    return FigureTable(
        key="prevalence",
        title=f"How often a yes and a no are right, by how common {finding} is",
        form="percent",
        columns=tuple(f"{answer}, {name}" for name in counts for answer in ("a yes is right", "a no is right")),
        rows=(own, *others),
        notes=(
            "First row: counted here (Wilson's intervals). The others follow from sensitivity and specificity, as if these were "
            "the same there.",
        ),
    )


def _flat(pairs: Iterable[tuple[PredictiveValue, PredictiveValue]]) -> Iterator[Estimate]:
    for pair in pairs:
        yield from ((one.value, one.interval) for one in pair)


def _calibration(models: Models, finding: str) -> FigureTable:
    fits = [recalibration(sums) for sums, _ in models.values()]
    said = [float(sums.calibration[:, 1].sum()) / ONE / sums.n for sums, _ in models.values()]
    seen = [(sums.positives / sums.n, wilson(sums.positives, sums.n)) for sums, _ in models.values()]
    return FigureTable(
        key="calibration",
        title="Can its percentages be taken at their word?",
        form="number",
        columns=tuple(models),
        rows=(
            (f"mean probability of {finding} that it says", tuple((value, UNDEFINED) for value in said)),
            (f"share that has {finding}", tuple(seen)),
            ("offset: 0 is right, above 0 it says too little", tuple(fit.offset for fit in fits)),
            ("slope: 1 is right, below 1 it is too sure of itself", tuple(fit.slope for fit in fits)),
        ),
        notes=("Offset and slope in logits (Cox 1958); the offset with the slope held at 1.",),
    )
