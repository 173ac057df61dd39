"""What an analysis with [privacy] may ask for: sums of which one patient moves each by a bound that everybody knows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wardround.study.rules.private import broken_delta
from wardround.study.sections.analysis.describe import DescribeSection
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
    if kind != "regression" and privacy.clip_norm != 1.0:
        yield f"privacy.clip_norm does nothing in [analysis.{kind}], whose bounds follow from the ranges: leave it out"
    if study.summation.mode == "plain":
        yield 'noise is added in shares, which the masked sum hides: set summation.mode = "masked"'
    yield from broken_delta(study)
    if study.analysis.describe is not None:
        yield from _of_description(study.analysis.describe)
    if study.analysis.survival is not None:
        yield from _of_survival(study.analysis.survival)
    if study.analysis.regression is not None:
        yield '[analysis.regression] has no noise yet: set privacy.mode = "none", or learn a logistic network with fedsgd'
    if study.analysis.effect is not None:
        yield '[analysis.effect] has no noise yet: set privacy.mode = "none"'


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
