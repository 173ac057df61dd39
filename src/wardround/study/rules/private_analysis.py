"""What an analysis with [privacy] may ask for: sums of which one patient moves each by a bound that everybody knows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wardround.study.rules.private import broken_delta
from wardround.study.sections.analysis.describe import DescribeSection
from wardround.study.sections.analysis.effect import EffectSection
from wardround.study.sections.analysis.regression import RegressionSection
from wardround.study.sections.analysis.survival import SurvivalSection

if TYPE_CHECKING:
    from wardround.study.declaration import Study

_UNREAD = ("sampling_rate", "steps", "images_per_patient", "views")
MOST_BINS = 128
"""Of a histogram with noise: each bin has noise of its own, and a median adds half of them up."""
MOST_CELLS = 120
"""Of a grid of times, for the same reason."""


def broken_private_rules(study: "Study") -> Iterator[str]:
    """One sentence for each thing that does not fit, with its mend; nothing for a sound study, or one without privacy."""
    assert study.analysis is not None
    privacy, kind = study.privacy, study.analysis.kind
    if not privacy.private:
        return
    if privacy.mode != "patient-distributed":
        yield (
            f'privacy.mode = "{privacy.mode}" is of a study with [network]: an analysis adds its noise in shares, under the '
            'masked sum: set privacy.mode = "patient-distributed"'
        )
        return
    for name in _UNREAD:
        if getattr(privacy, name) != type(privacy).model_fields[name].default:
            yield f"privacy.{name} does nothing in a study with [analysis], which counts every patient once: leave it out"
    if kind in ("describe", "survival") and privacy.clip_norm != 1.0:
        yield f"privacy.clip_norm does nothing in [analysis.{kind}], whose bounds follow from the ranges: leave it out"
    if study.summation.mode == "plain":
        yield 'noise is added in shares, which the masked sum hides: set summation.mode = "masked"'
    yield from broken_delta(study)
    if study.analysis.describe is not None:
        yield from _of_description(study.analysis.describe)
    if study.analysis.survival is not None:
        yield from _of_survival(study.analysis.survival)
    if study.analysis.regression is not None:
        yield from _of_regression(study.analysis.regression, study.privacy.clip_norm, study.analysis.exchanges)
    if study.analysis.effect is not None:
        outcome = study.analysis.effect.outcome
        number = any(column.name == outcome and column.kind == "number" for column in study.data.columns)
        yield from _of_effect(study.analysis.effect, privacy.clip_norm, number=number)


def _of_description(section: DescribeSection) -> Iterator[str]:
    setting = "analysis.describe"
    if section.bins > MOST_BINS:
        yield (
            f"{setting}.bins = {section.bins}: every bin has noise of its own, and a median adds half of them up: set it to "
            f"{MOST_BINS} or less; 32 is a good number"
        )
    if section.correlation:
        yield f"{setting}.correlation: a sum for each pair of columns, all of them paid for, says little of each: leave it out"
    if section.value_for is not None:
        yield f"{setting}.value_for: weights of evidence are ratios of small counts, which noise drowns: leave it out"


def _of_regression(section: RegressionSection, clip_norm: float, exchanges: int) -> Iterator[str]:
    setting = "analysis.regression"
    if section.family != "binomial":
        yield (
            f'{setting}.family = "{section.family}": one patient\'s part in its sums has no bound that is not far above what '
            'patients have: explain a yes or no with family = "binomial", such as whether the number is above a limit'
        )
    if section.intercepts != "common":
        yield (
            f'{setting}.intercepts = "{section.intercepts}": an intercept for each hospital is of its patients alone, with the '
            'noise of all: set it to "common"'
        )
    for name in ("term_tests", "reach"):
        if getattr(section, name) != type(section).model_fields[name].default:
            yield f"{setting}.{name} is not read with noise, which bounds each patient at every point: leave it out"
    if section.variance != "model":
        yield f"{setting}.variance takes a sum more that would have to be paid for: leave it out"
    if section.weights is not None:
        yield f"{setting}.weights: a row of large weight is a patient beyond the bound: leave it out"
    if section.ridge <= 0:
        yield (
            f"{setting}.ridge = 0: under noise no interval has an end where patients say little: set it to 1, which says that a "
            "coefficient of a scaled column is seldom beyond 2 either way"
        )
    if clip_norm <= 1:
        yield (
            f"privacy.clip_norm = {clip_norm:g} is the longest row of scaled columns that counts in full, and the intercept "
            "alone is 1 long: set it to 2 or 3"
        )
    if exchanges < 10:
        yield f"analysis.exchanges = {exchanges}: the steps of a private fit are all but one of these: set it to 25"


def _of_effect(section: EffectSection, clip_norm: float, *, number: bool) -> Iterator[str]:
    setting = "analysis.effect"
    if not section.probabilities:
        yield (
            f"{setting}.probabilities: who chose a treatment has a weight of 1 / probability, which has no bound that leaves "
            'anything of the average: give the probabilities of a lottery, or set privacy.mode = "none"'
        )
    if section.individual:
        yield f"{setting}.individual: effects of single patients take sums that noise would drown: set it to false"
    for name in ("curves", "links", "penalties", "folds", "smallest_probability", "reach"):
        if getattr(section, name) != type(section).model_fields[name].default:
            yield f"{setting}.{name} is not read with noise, where one line predicts for all: leave it out"
    if number and clip_norm < 2:
        yield (
            f"privacy.clip_norm = {clip_norm:g}: outcomes further from what is predicted than so many scales of the contract are "
            "cut: set it to 3"
        )
    if not number and clip_norm != 1.0:
        yield "privacy.clip_norm is 1 for a yes or no: leave it out"


def _of_survival(section: SurvivalSection) -> Iterator[str]:
    setting = "analysis.survival"
    if section.terms:
        yield (
            f"{setting}.terms: in a Cox regression a patient changes the terms of all who leave before, so that nobody's part "
            "has a bound: leave them out; or ask in [analysis.regression], binomial, for the event within a time"
        )
    if section.strata is not None:
        yield f"{setting}.strata: compares patients within hospitals at their own times, which has no noise: leave it out"
    cells = section.until / section.cell
    if cells > MOST_CELLS:
        yield (
            f"{setting}.cell = {section.cell:g} makes {cells:.0f} cells, each with noise of its own: set it to "
            f"{section.until / 10:g}, a tenth of until"
        )
