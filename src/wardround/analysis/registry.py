"""Which analyses there are. A new one is a room of its own with a `build`, a section in `study/sections/analysis/`, and its line
here."""

from collections.abc import Callable, Mapping
from importlib import import_module

from wardround.analysis.fitted_model import FittedModel
from wardround.analysis.protocol import Analysis
from wardround.analysis.result import Result
from wardround.study.declaration import Study
from wardround.values.errors import StudyError

HOMES: Mapping[str, str] = {
    "describe": "wardround.analysis.describe.build",
    "effect": "wardround.analysis.effects.build",
    "regression": "wardround.analysis.regression.build",
    "survival": "wardround.analysis.survival.survival",
}
"""Kind, as the study's section is called -> the module with its `build(study)`; loaded when it is first needed."""
PRIVATE_HOMES: Mapping[str, str] = {
    "describe": "wardround.analysis.describe.private",
    "effect": "wardround.analysis.effects.private",
    "regression": "wardround.analysis.regression.private",
    "survival": "wardround.analysis.survival.private",
}
"""The same of studies with [privacy]: every sum has noise."""


def analysis_of(study: Study) -> Analysis:
    """The analysis that a study asks for. StudyError where it asks for none."""
    if study.analysis is None:
        raise StudyError("The study asks for no analysis", expected="[analysis]", hint="add the section, or train its network")
    homes = PRIVATE_HOMES if study.privacy.private else HOMES
    build: Callable[[Study], Analysis] = import_module(homes[study.analysis.kind]).build
    return build(study)


MODELS: Mapping[str, str] = {
    "regression": "wardround.analysis.regression.fitted_model",
    "survival": "wardround.analysis.survival.fitted_model",
}
"""Kind -> the module whose `fitted_model(study, result, sums)` makes a model of a result; other kinds are none."""


def model_of(study: Study, result: Result, sums: int) -> FittedModel | None:
    """The model that an analysis fitted; None where it fitted none, or none that single records can be asked of. sums: how many
    the run took."""
    if study.analysis is None or study.analysis.kind not in MODELS:
        return None
    made: Callable[[Study, Result, int], FittedModel | None] = import_module(MODELS[study.analysis.kind]).fitted_model
    return made(study, result, sums)
