"""Hospitals learn together; patients' data stays home.

    import wardround as wr

    study = wr.load_study("study.toml")
    run = wr.simulate(study, sites={"north": "data/north", "south": "data/south", "west": "data/west"})
    run.metrics["pooled"]["federated"]["auc"]

Heavy libraries are loaded when they are first needed, so that importing this package is quick.
"""

from typing import TYPE_CHECKING, Any

from wardround.values.telemetry import switch_off_telemetry
from wardround.values.version import __version__

switch_off_telemetry()  # here, since a library that was imported first would not listen any more

if TYPE_CHECKING:
    from wardround.hub.sum_coordinator import SecureSum
    from wardround.prediction.answers import Prediction, predict
    from wardround.simulation.analyses import describe, regression
    from wardround.simulation.analysing import AnalysisRun, analyse
    from wardround.simulation.run import Run
    from wardround.simulation.secure_sum import secure_sum
    from wardround.simulation.simulate import simulate
    from wardround.simulation.survival_analyses import cox, kaplan_meier
    from wardround.simulation.treatment_effects import treatment_effect
    from wardround.study.declaration import Study
    from wardround.study.reading import load_study
    from wardround.study.run_settings import RunSettings, load_run
    from wardround.values.errors import WardroundError

__all__ = [
    "AnalysisRun",
    "Prediction",
    "Run",
    "RunSettings",
    "SecureSum",
    "Study",
    "WardroundError",
    "__version__",
    "analyse",
    "cox",
    "describe",
    "kaplan_meier",
    "load_run",
    "load_study",
    "predict",
    "regression",
    "secure_sum",
    "simulate",
    "treatment_effect",
]

_HOMES = {
    "AnalysisRun": "wardround.simulation.analysing",
    "Prediction": "wardround.prediction.answers",
    "Run": "wardround.simulation.run",
    "RunSettings": "wardround.study.run_settings",
    "SecureSum": "wardround.hub.sum_coordinator",
    "Study": "wardround.study.declaration",
    "WardroundError": "wardround.values.errors",
    "analyse": "wardround.simulation.analysing",
    "cox": "wardround.simulation.survival_analyses",
    "kaplan_meier": "wardround.simulation.survival_analyses",
    "describe": "wardround.simulation.analyses",
    "load_run": "wardround.study.run_settings",
    "load_study": "wardround.study.reading",
    "predict": "wardround.prediction.answers",
    "regression": "wardround.simulation.analyses",
    "secure_sum": "wardround.simulation.secure_sum",
    "simulate": "wardround.simulation.simulate",
    "treatment_effect": "wardround.simulation.treatment_effects",
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """PEP 562: a public name is imported when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    import_module("wardround.tasks")  # so that a study of any kind of question is understood
    return getattr(import_module(_HOMES[name]), name)
