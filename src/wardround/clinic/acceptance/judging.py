"""Does a model keep the hospital's own minimums? Each is judged by the end of an interval or by the figure, and said which."""

from collections.abc import Iterator
from dataclasses import dataclass

from wardround.clinic.acceptance.question_words import coverage_words
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.place.criteria import Criteria
from wardround.study.record.evaluation_record import Evaluation
from wardround.tasks.binary.case_numbers import cases_for_estimate, cases_for_share
from wardround.tasks.registry import task_of_label


@dataclass(frozen=True)
class Judgement:
    """One minimum. figure: what was measured. judged: the number that had to keep the limit, the figure or an end of its
    interval. by: "the figure", "the interval" (its lower end) or "the upper end". cases: how many cases in all would decide where
    it is not met; None where no number would, or it is met."""

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
        number = f"{self.judged}" if isinstance(self.judged, int) else f"{self.judged:.3g}"
        shown = "cannot be told" if self.judged is None else f"is {number}"
        end = "upper" if self.by == "the upper end" else "lower"
        which = "" if self.by == "the figure" else f" (the {end} end of its interval)"
        if self.met:
            return f"{self.words} {self.limit:g}: {shown}{which}"
        if self.cases is not None:
            return f"{self.words} {self.limit:g}: {shown}{which}; {self.cases} cases would decide, if the figure stays as it is"
        more = "" if self.figure is None or self.by == "the figure" else f"; the figure itself is {self.figure:.3g}"
        return f"{self.words} {self.limit:g}: {shown}{which}{more}"


def judgements(criteria: Criteria, record: AcceptanceRecord) -> tuple[Judgement, ...]:
    """Every minimum that is asked for, met or not."""
    return tuple(_judgements(criteria, record))


def _judgements(criteria: Criteria, record: AcceptanceRecord) -> Iterator[Judgement]:
    yield _count("cases", "labelled cases, at least", criteria.cases_at_least, record.cases.cases)
    yield from _of_yes_or_no(criteria, record) if record.tuned is None else _of_another_question(criteria, record)


def _of_yes_or_no(criteria: Criteria, record: AcceptanceRecord) -> Iterator[Judgement]:
    local, cases = record.asked.local, record.cases
    positives = cases.positives or 0
    share_of = {
        "sensitivity": positives / max(cases.cases, 1),
        "specificity": 1 - positives / max(cases.cases, 1),
    }
    fewest = min(positives, cases.cases - positives)
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
    measured = record.measured
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
            "subgroup_gap", "AUC of a subgroup below that of all by at most", criteria.subgroup_gap_at_most, _gap(record, "auc")
        )


def _of_another_question(criteria: Criteria, record: AcceptanceRecord) -> Iterator[Judgement]:
    task, local, cases = task_of_label(record.statement.data.label), record.asked.local, record.cases.cases
    headline, name = task.headline, task.words.names[task.headline]
    if task.bigger_is_better and criteria.headline_at_least is not None:
        limit = criteria.headline_at_least
        yield _at_least(headline, f"{name} at least", limit, local, criteria.judged_by, cases, None)
    if not task.bigger_is_better and criteria.headline_at_most is not None:
        yield _below(headline, f"{name} at most", criteria.headline_at_most, local, criteria.judged_by)
    if criteria.gain_at_least is not None:
        words = "loss below that of knowing only how common each answer is, by at least"
        yield _at_least("gain", words, criteria.gain_at_least, local, criteria.judged_by, cases, None)
    if criteria.ece_at_most is not None and "ece" in local.values:
        yield _at_most("ece", "calibration error at most", criteria.ece_at_most, local.value("ece"))
    if criteria.coverage_at_least is not None:
        covered = record.measured.value("coverage")
        words = f"share of {coverage_words(record)}, at least"
        met = covered is not None and covered >= criteria.coverage_at_least
        yield Judgement("coverage", words, criteria.coverage_at_least, covered, covered, "the figure", met)
    if criteria.cannot_tell_at_most is not None:
        words = "share of `cannot tell` at most"
        yield _at_most("cannot_tell", words, criteria.cannot_tell_at_most, record.measured.value("cannot_tell"))
    if criteria.subgroup_gap_at_most is not None:
        words = f"{name} of a subgroup worse than that of all by at most"
        gap = _gap(record, headline, bigger_is_better=task.bigger_is_better)
        yield _at_most("subgroup_gap", words, criteria.subgroup_gap_at_most, gap)


def _count(name: str, words: str, limit: int, count: int) -> Judgement:
    met = count >= limit
    return Judgement(name, words, limit, count, count, "the figure", met)


def _at_most(name: str, words: str, limit: float, figure: float | None) -> Judgement:
    return Judgement(name, words, limit, figure, figure, "the figure", figure is not None and figure <= limit)


def _below(name: str, words: str, limit: float, local: Evaluation, judged_by: str) -> Judgement:
    figure, interval = local.value(name), local.interval(name)
    if judged_by == "figure":
        return _at_most(name, words, limit, figure)
    high = None if interval is None else interval[1]
    return Judgement(name, words, limit, figure, high, "the upper end", high is not None and high <= limit)


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


def _gap(record: AcceptanceRecord, figure: str, *, bigger_is_better: bool = True) -> float | None:
    """The largest; 0 where no group is large enough."""
    whole = record.asked.local.value(figure)
    groups = [group.local.value(figure) for group in record.subgroups if group.local is not None]
    if whole is None:
        return None
    sign = 1 if bigger_is_better else -1
    return max([0.0, *(sign * (whole - one) for one in groups if one is not None)])
