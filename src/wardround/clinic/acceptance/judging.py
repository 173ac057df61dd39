"""Does a model keep the hospital's own minimums? Each is judged by the end of an interval or by the figure, and said which."""

from collections.abc import Iterator
from dataclasses import dataclass

from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.place.criteria import Criteria
from wardround.study.record.evaluation_record import Evaluation
from wardround.tasks.binary.case_numbers import cases_for_estimate, cases_for_share


@dataclass(frozen=True)
class Judgement:
    """One minimum. figure: what was measured. judged: the number that had to keep the limit, the figure or an end of its
    interval. by: "the figure" or "the interval". cases: how many cases in all would decide where it is not met; None where no
    number would, or it is met."""

    name: str
    words: str
    limit: float
    figure: float | None
    judged: float | None
    by: str
    met: bool
    cases: int | None = None

    @property
    def sentence(self) -> str:
        """As a person reads it."""
        shown = "cannot be told" if self.judged is None else f"is {self.judged:.3g}"
        which = " (the lower end of its interval)" if self.by == "the interval" else ""
        if self.met:
            return f"{self.words} {self.limit:g}: {shown}{which}"
        if self.cases is not None:
            return f"{self.words} {self.limit:g}: {shown}{which}; {self.cases} cases would decide, if the figure stays as it is"
        more = "" if self.figure is None or self.by != "the interval" else f"; the figure itself is {self.figure:.3g}"
        return f"{self.words} {self.limit:g}: {shown}{which}{more}"


def judgements(criteria: Criteria, record: AcceptanceRecord) -> tuple[Judgement, ...]:
    """Every minimum that is asked for, met or not."""
    return tuple(_judgements(criteria, record))


def _judgements(criteria: Criteria, record: AcceptanceRecord) -> Iterator[Judgement]:
    local, cases = record.asked.local, record.cases
    share_of = {
        "sensitivity": cases.positives / max(cases.cases, 1),
        "specificity": 1 - cases.positives / max(cases.cases, 1),
    }
    yield _count("cases", "labelled cases, at least", criteria.cases_at_least, cases.cases)
    fewest = min(cases.positives, cases.cases - cases.positives)
    yield _count("each_class", "cases of each kind, at least", criteria.each_class_at_least, fewest)
    for name, words, limit in (
        ("auc", "AUC at least", criteria.auc_at_least),
        ("sensitivity", "sensitivity at least", criteria.sensitivity_at_least),
        ("specificity", "specificity at least", criteria.specificity_at_least),
        ("ppv", "share of right yes at least", criteria.ppv_at_least),
        ("npv", "share of right no at least", criteria.npv_at_least),
    ):
        if limit is not None:
            yield _at_least(name, words, limit, local, criteria.judged_by, cases.cases, share_of.get(name))
    if criteria.ece_at_most is not None:
        yield _at_most("ece", "calibration error at most", criteria.ece_at_most, local.value("ece"))
    measured = record.conformal.measured
    if criteria.coverage_at_least is not None:
        coverage = [measured.value(name) for name in ("coverage_positive", "coverage_negative")]
        least = None if None in coverage else min(value for value in coverage if value is not None)
        words = "share of either class whose answer holds the truth, at least"
        met = least is not None and least >= criteria.coverage_at_least
        yield Judgement("coverage", words, criteria.coverage_at_least, least, least, "the figure", met)
    if criteria.cannot_tell_at_most is not None:
        words = "share of `cannot tell` at most"
        yield _at_most("cannot_tell", words, criteria.cannot_tell_at_most, measured.value("cannot_tell"))
    if criteria.subgroup_gap_at_most is not None:
        yield _at_most(
            "subgroup_gap", "AUC of a subgroup below that of all by at most", criteria.subgroup_gap_at_most, _gap(record)
        )


def _count(name: str, words: str, limit: int, count: int) -> Judgement:
    met = count >= limit
    return Judgement(name, words, limit, count, count, "the figure", met)


def _at_most(name: str, words: str, limit: float, figure: float | None) -> Judgement:
    return Judgement(name, words, limit, figure, figure, "the figure", figure is not None and figure <= limit)


def _at_least(
    name: str, words: str, limit: float, local: Evaluation, judged_by: str, cases: int, share: float | None
) -> Judgement:
    figure, interval = local.value(name), local.interval(name)
    if judged_by == "figure":
        return Judgement(name, words, limit, figure, figure, "the figure", figure is not None and figure >= limit)
    low = None if interval is None else interval[0]
    if low is not None and low >= limit:
        return Judgement(name, words, limit, figure, low, "the interval", True)
    return Judgement(name, words, limit, figure, low, "the interval", False, _needed(figure, low, limit, cases, share))


def _needed(figure: float | None, low: float | None, limit: float, cases: int, share: float | None) -> int | None:
    """share: of the cases that the figure is a share of; None where it is none of such a class."""
    if figure is None:
        return None
    if share:
        needed = cases_for_share(figure, limit)
        return None if needed is None else max(cases + 1, round(needed / share + 0.5))
    return None if low is None else cases_for_estimate(cases, figure - low, figure - limit)


def _gap(record: AcceptanceRecord) -> float | None:
    """The largest; 0 where no group is large enough."""
    whole = record.asked.local.value("auc")
    areas = [group.local.value("auc") for group in record.subgroups if group.local is not None]
    if whole is None:
        return None
    return max([0.0, *(whole - area for area in areas if area is not None)])
