"""The effect of each treatment for patients who were in no sum, from the models that a result holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from wardround.analysis.effects.build import EffectAnalysis
from wardround.analysis.effects.learners import LEARNERS, Learners, predicted_effects
from wardround.analysis.effects.outcome_models import LINKS, OutcomeModels
from wardround.analysis.effects.rows import Floats
from wardround.analysis.effects.scores import Nuisance
from wardround.analysis.result import Result
from wardround.values.errors import DataError
from wardround.values.rows import Rows


def effects_for(analysis: EffectAnalysis, result: Result, rows: Rows, learner: str | None = None) -> dict[str, Floats]:
    """Treatment -> its predicted effect for each row (n,), in the outcome's unit; NaN where a value is missing.

    learner: S, T, X or DR. Left out: for each treatment the one that came nearest to the doubly robust scores.
    """
    models, frame = result.figures["models"], analysis.frame
    if "learners" not in models:
        raise DataError("The result holds no models of single effects", hint="set individual = true under [analysis.effect]")
    if learner is not None and learner not in LEARNERS:
        raise DataError("There is no such learner", expected=", ".join(LEARNERS), found=learner)
    complete = analysis.design.complete(rows)
    design = analysis.matrix(rows.select(complete))
    nuisance, learners = _models_of_everybody(models)
    effects = predicted_effects(learners, nuisance, design, np.zeros(len(design), np.int64), frame)
    predicted = {}
    for other, arm in enumerate(frame.arms[1:]):
        chosen = LEARNERS.index(learner or models["learners"][other])
        predicted[arm] = np.full(len(rows), np.nan)
        predicted[arm][complete] = effects[chosen, :, other] * analysis.scale
    return predicted


def _models_of_everybody(models: Mapping[str, Any]) -> tuple[Nuisance, Learners]:
    """The models of a result, as the only training set."""

    def one_set(name: str, axis: int) -> Floats:
        return np.expand_dims(np.array(models[name], np.float64), axis)

    links = np.array([LINKS.index(link) for link in models["links"]])
    nothing = np.zeros(len(links))
    outcome = OutcomeModels(one_set("outcome", 1), links, nothing, nothing)
    propensity = one_set("propensity", 0) if "propensity" in models else np.zeros((0, 0, 0))
    learners = Learners(one_set("constants", 1), one_set("sides", 1), one_set("contrasts", 1))
    return Nuisance(outcome, propensity), learners
