"""A study that evaluates a finished model asks for no training: whatever would train, or says how, is refused.

Two settings say it, and they must agree: evaluation.model names the model, and algorithm.rounds = 0 leaves the list of sums
without a round. A study that says one of the two alone is refused.
"""

from collections.abc import Iterator

from pydantic import BaseModel

from wardround.study.rules.sections import Sections
from wardround.study.sections.algorithm import AlgorithmSection
from wardround.study.sections.summation import SummationSection

_OF_EVERY_SUM = frozenset({"mode", "threshold", "collusion", "max_set_changes"})
"""Settings of [summation] that are read without a round, too."""


def trained_settings(sections: Sections) -> Iterator[str]:
    """One sentence for each setting that does not fit whether the study trains; nothing for a sound study."""
    evaluation, rounds = sections.evaluation, sections.algorithm.rounds
    if evaluation.model is None:
        if rounds == 0:
            yield "algorithm.rounds = 0 trains nothing: set it to 1 or more, or name the finished model in evaluation.model"
        if evaluation.model_threshold is not None:
            yield "evaluation.model_threshold is that of evaluation.model, which names no model: leave it out"
        if not sections.data.splits.leaves_training:
            yield (
                "data.splits: validation and test take all patients; leave some to train on, or name a finished model in "
                "evaluation.model"
            )
        return
    if rounds:
        yield f"evaluation.model names a finished model, so nothing is trained: set algorithm.rounds = 0, found {rounds}"
    yield from _of_the_evaluation(sections)
    for setting in _unread(sections):
        yield f"{setting} says how to train, and a study with evaluation.model trains nothing: leave it out"


def _of_the_evaluation(sections: Sections) -> Iterator[str]:
    evaluation = sections.evaluation
    if evaluation.own_baseline:
        yield "evaluation.own_baseline trains a model at each hospital, and evaluation.model trains none: set it to false"
    if sections.privacy.private:
        yield (
            f'privacy.mode = "{sections.privacy.mode}" adds noise to training alone: a study with evaluation.model has no noise, '
            'and is not run as if it had. Set privacy.mode = "none"'
        )
    if sections.personal.candidates:
        yield "personal.candidates are trained at each hospital, and a study with evaluation.model trains nothing: leave them out"
    yield from _of_the_thresholds(sections)
    if evaluation.model_threshold is not None and evaluation.threshold != type(evaluation).model_fields["threshold"].default:
        yield "evaluation.threshold is a rule, and evaluation.model_threshold the number: leave one of the two out"


def _of_the_thresholds(sections: Sections) -> Iterator[str]:
    """A yes or no has one, several findings have one each."""
    at, findings = sections.evaluation.model_threshold, sections.data.label.asked.findings
    if isinstance(at, tuple) and not findings:
        yield f"evaluation.model_threshold is one probability, found {len(at)}: write the number alone"
    elif findings and at is not None and (not isinstance(at, tuple) or len(at) != len(findings)):
        stated = len(at) if isinstance(at, tuple) else "one for all"
        yield f"evaluation.model_threshold is a list of {len(findings)} numbers, one of each finding, found {stated}: write all"


def _unread(sections: Sections) -> Iterator[str]:
    """Settings that are not at their defaults, and that only training reads."""
    yield from _changed("training", sections.training)
    yield from _changed("algorithm", sections.algorithm, _others(AlgorithmSection, frozenset({"rounds"})))
    yield from _changed("summation", sections.summation, _others(SummationSection, _OF_EVERY_SUM))
    yield from _changed("network", sections.network, ("dropout", "pretrained"))


def _others(section: type[BaseModel], read: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in section.model_fields if name not in read)


def _changed(name: str, section: BaseModel, settings: tuple[str, ...] = ()) -> Iterator[str]:
    fields = type(section).model_fields
    for setting in settings or tuple(fields):
        value = getattr(section, setting)
        if isinstance(value, BaseModel):
            yield from _changed(f"{name}.{setting}", value)
        elif value != fields[setting].get_default(call_default_factory=True):
            yield f"{name}.{setting}"
