"""What a yes or a no is worth: predictive values, and the same as counts of people.

Both depend on how common the finding is. On the study's own test patients that is their share of positive records; elsewhere it
is another, and so are these figures.
"""

from dataclasses import dataclass

from wardround.tasks.binary.figures import ConfusionCounts
from wardround.tasks.intervals import UNDEFINED, wilson
from wardround.tasks.protocol import Interval


@dataclass(frozen=True)
class PredictiveValue:
    """value: the share of right answers among the model's answers of one kind; NaN where it gave none. interval: Wilson, 95 %."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class NaturalFrequencies:
    """Whole people out of `people`: those with the finding, found or missed, and those without it, alarmed or cleared."""

    people: int
    found: int
    missed: int
    false_alarms: int
    cleared: int

    @property
    def with_the_finding(self) -> int:
        return self.found + self.missed


def positive_predictive_value(counts: ConfusionCounts) -> PredictiveValue:
    """Of those called positive, the share that has the finding.

    >>> positive_predictive_value(ConfusionCounts(8, 2, 85, 5)).value
    0.8
    """
    return _predictive_value(counts.true_positive, counts.true_positive + counts.false_positive)


def negative_predictive_value(counts: ConfusionCounts) -> PredictiveValue:
    """Of those called negative, the share that is free of the finding."""
    return _predictive_value(counts.true_negative, counts.true_negative + counts.false_negative)


def natural_frequencies(counts: ConfusionCounts, people: int = 100, prevalence: float | None = None) -> NaturalFrequencies | None:
    """The same shares among `people`; None where a class has no record.

    prevalence: the share with the finding, 0 to 1; unless said, that of the records. Rounding keeps the sums: found and missed
    are those with the finding, and all four are `people`.

    >>> natural_frequencies(ConfusionCounts(90, 20, 80, 10), 1000, prevalence=0.01)
    NaturalFrequencies(people=1000, found=9, missed=1, false_alarms=198, cleared=792)
    """
    positives, negatives = counts.true_positive + counts.false_negative, counts.false_positive + counts.true_negative
    if not positives or not negatives:
        return None
    share = positives / (positives + negatives) if prevalence is None else prevalence
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a prevalence is a share from 0 to 1, not {share}")
    ill = round(people * share)
    detected = round(ill * counts.true_positive / positives)
    alarms = round((people - ill) * counts.false_positive / negatives)
    return NaturalFrequencies(people, detected, ill - detected, alarms, people - ill - alarms)


def _predictive_value(right: int, answers: int) -> PredictiveValue:
    return PredictiveValue(right / answers if answers else UNDEFINED[0], wilson(right, answers))
