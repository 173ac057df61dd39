"""What a study that asks for an analysis may hold: an analysis, the data that it reads, and how the sums are made."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wardround.study.cell_values import spelled
from wardround.study.contract import ColumnContract, DataContract
from wardround.study.rules.private_analysis import broken_private_rules
from wardround.study.sections.analysis.describe import DescribeSection
from wardround.study.sections.analysis.effect import EffectSection
from wardround.study.sections.analysis.regression import RegressionSection
from wardround.study.sections.analysis.survival import SurvivalSection
from wardround.study.sections.analysis.term import TermSection

if TYPE_CHECKING:
    from wardround.study.declaration import Study

OF_LEARNING = ("training", "algorithm", "evaluation", "personal")
"""Sections that only a study with a network reads."""
OF_EVERY_SUM = frozenset({"mode", "threshold", "collusion", "max_set_changes"})
"""Settings of [summation] that an analysis reads; the others are of models."""


def broken_analysis_rules(study: "Study") -> Iterator[str]:
    """One sentence for each thing that does not fit; nothing for a sound study."""
    assert study.analysis is not None
    for name in OF_LEARNING:
        section = getattr(study, name)
        if section != type(study).model_fields[name].get_default(call_default_factory=True):
            yield f"[{name}] does nothing in a study with [analysis]: leave it out"
    for name in type(study.summation).model_fields.keys() - OF_EVERY_SUM:
        if getattr(study.summation, name) != type(study.summation).model_fields[name].default:
            yield f"summation.{name} does nothing in a study with [analysis]: leave it out"
    yield from broken_private_rules(study)
    if study.data.kind != "table":
        yield 'an analysis reads columns: write data.kind = "table"'
        return
    if study.analysis.describe is not None:
        yield from _of_description(study.analysis.describe, study.data)
    if study.analysis.regression is not None:
        yield from _of_regression(study.analysis.regression, study.data)
    if study.analysis.effect is not None:
        yield from _of_effect(study.analysis.effect, study.data)
    if study.analysis.survival is not None:
        yield from _of_survival(study.analysis.survival, study.data)


def of_columns(names: tuple[str, ...], data: DataContract, setting: str) -> Iterator[str]:
    """One sentence for each name that is no column of the contract. setting: where the names stand."""
    there = (*(column.name for column in data.columns), data.label.column)
    for name in names:
        if name not in there:
            yield f"{setting} names the column {name!r}; [[data.columns]] has {', '.join(there)}"


def column_of(data: DataContract, name: str) -> ColumnContract | None:
    """The contract of a column; None where there is none, as of the label."""
    return next((column for column in data.columns if column.name == name), None)


def of_terms(terms: tuple[TermSection, ...], data: DataContract, setting: str) -> Iterator[str]:
    """One sentence for each setting of a term that its column cannot have."""
    alone = {term.column for term in terms if term.times is None}
    for term in terms:
        yield from of_columns(tuple(name for name in (term.column, term.times) if name is not None), data, setting)
        column = column_of(data, term.column)
        if column is None:
            continue
        if column.kind == "number" and column.range is None:
            yield f"{setting}: {term.column} needs a range in its contract, from which the bounds of the sums follow"
        if term.per != 1.0 and column.kind != "number":
            yield f"{setting}: {term.column} is no number, so per means nothing: leave it out"
        if term.reference is not None and (column.kind != "category" or str(term.reference) not in column.codes):
            yield f"{setting}: reference is one of the categories of {term.column} ({', '.join(column.codes)})"
        if term.missing == "indicator" and column.max_missing == 0:
            yield f'{setting}: {term.column} has no missing values (max_missing = 0), so missing = "indicator" means nothing'
        if term.times is not None and not {term.column, term.times} <= alone:
            yield f"{setting}: the product of {term.column} and {term.times} needs a term of each of them as well"


def _of_description(section: DescribeSection, data: DataContract) -> Iterator[str]:
    setting = "analysis.describe"
    yield from of_columns(section.columns, data, f"{setting}.columns")
    others = [name for name in (section.group, section.value_for) if name is not None]
    crossed = [name for pair in section.cross_tables for name in pair]
    yield from of_columns((*others, *crossed), data, setting)
    for name in (*others, *crossed):
        column = column_of(data, name)
        if column is not None and column.kind == "number":
            yield f"{setting}: {name} is a number; groups and cross-tables are of categories and binaries"
    value = None if section.value_for is None else column_of(data, section.value_for)
    if value is not None and len(value.codes) != 2:
        yield f"{setting}.value_for: {value.name} has {len(value.codes)} values; it must be a yes or no"
    for name in section.columns or tuple(column.name for column in data.columns):
        column = column_of(data, name)
        if column is not None and column.kind == "number" and column.range is None:
            yield f"{setting}: {name} needs a range in its contract, over which its values are counted"


def _of_regression(section: RegressionSection, data: DataContract) -> Iterator[str]:
    setting = "analysis.regression"
    yield from of_columns((section.outcome,), data, f"{setting}.outcome")
    yield from of_terms(section.terms, data, f"{setting}.terms")
    outcome = column_of(data, section.outcome)
    if outcome is not None and (outcome.kind == "binary") != (section.family == "binomial"):
        yield (
            f'{setting}.family = "{section.family}": {section.outcome} is a {outcome.kind}; binomial explains a yes or no, the '
            "others a number"
        )
    if outcome is None and section.outcome == data.label.column and section.family != "binomial":
        yield f'{setting}.outcome: the label is a yes or no: set family = "binomial", or explain one of [[data.columns]]'
    numbers = {"outcome": section.outcome} if section.family != "binomial" else {}
    numbers |= {name: column for name in ("offset", "weights") if (column := getattr(section, name)) is not None}
    for name, column_name in numbers.items():
        column = column_of(data, column_name)
        if column is None or column.kind != "number" or column.range is None:
            yield f"{setting}.{name}: {column_name} must be a number of [[data.columns]] with a range"
        elif column.range[0] < 0 and (name != "outcome" or section.family != "gaussian"):
            yield f"{setting}.{name}: {column_name} may not be below 0, and its range begins at {column.range[0]:g}"
        elif column.range[0] <= 0 and (name == "offset" or (name == "outcome" and section.family == "gamma")):
            yield f"{setting}.{name}: {column_name} must be above 0, and its range begins at {column.range[0]:g}"


def _of_effect(section: EffectSection, data: DataContract) -> Iterator[str]:
    setting = "analysis.effect"
    yield from of_columns((section.outcome,), data, f"{setting}.outcome")
    yield from of_terms(section.covariates, data, f"{setting}.covariates")
    for name in section.curves:
        curved = column_of(data, name)
        if curved is not None and curved.kind != "number":
            yield f"{setting}.curves: {name} is no number, and has no curve"
    outcome, treatment = column_of(data, section.outcome), column_of(data, section.treatment)
    if outcome is not None and (
        outcome.kind == "category" or outcome.log or (outcome.kind == "number" and outcome.range is None)
    ):
        yield f"{setting}.outcome: {section.outcome} must be a yes or no, or a number with a range and without log"
    if "log" in section.links and outcome is not None and outcome.range is not None and outcome.range[1] <= 0:
        yield f'{setting}.links: "log" is for outcomes above 0, and the range of {section.outcome} ends at {outcome.range[1]:g}'
    if treatment is None or treatment.kind == "number":
        yield f"{setting}.treatment: {section.treatment} must be a category, or a yes or no, of [[data.columns]]"
        return
    if unknown := [str(arm) for arm in section.arms if str(arm) not in treatment.codes]:
        yield f"{setting}.arms: {', '.join(unknown)} is none of the treatments of {treatment.name} ({', '.join(treatment.codes)})"
    arms = len(section.arms) or len(treatment.codes)
    if arms < 2:
        yield f"{setting}.arms: an effect compares two treatments or more"
    if section.probabilities and len(section.probabilities) != arms:
        yield f"{setting}.probabilities: {len(section.probabilities)} probabilities for {arms} arms; give one for each"
    if not section.probabilities and section.smallest_probability * arms >= 1:
        yield f"{setting}.smallest_probability: {arms} arms cannot all be as probable as {section.smallest_probability:g}"


def _of_survival(section: SurvivalSection, data: DataContract) -> Iterator[str]:
    setting = "analysis.survival"
    yield from of_columns((section.event,), data, f"{setting}.event")
    yield from of_terms(section.terms, data, f"{setting}.terms")
    time, event = column_of(data, section.time), column_of(data, section.event)
    if time is None or time.kind != "number" or time.range is None or time.range[0] < 0 or time.log:
        yield f"{setting}.time: {section.time} must be a number of [[data.columns]] with a range from 0 on, and no logarithm"
    elif section.until > time.range[1]:
        yield f"{setting}.until: the range of {section.time} ends at {time.range[1]:g}"
    if event is not None and event.kind == "number":
        yield f"{setting}.event: {section.event} is a number; a binary column, a category or the label says it"
    elif event is not None and (event.kind == "category") != bool(section.causes):
        yield f"{setting}.causes: the codes of a category that are events; of a binary column or the label there are none to name"
    elif event is not None and (strangers := {spelled(cause) for cause in section.causes} - set(event.codes)):
        yield f"{setting}.causes: {min(strangers)!r} is no code of {section.event} ({', '.join(event.codes)})"
    elif event is None and section.causes:
        yield f"{setting}.causes are of a category, and {section.event} is the label: leave them out"
    for name in ("groups", "strata"):
        chosen = getattr(section, name)
        if chosen is None:
            continue
        column = column_of(data, chosen)
        if column is None or column.kind == "number":
            yield f"{setting}.{name}: {chosen} must be a category or binary of [[data.columns]]"
