"""The model file of an analysis that is one: a fitted logistic regression, which answers and is served as any other model."""

from pathlib import Path

from wardround.analysis.result import Result
from wardround.study.declaration import Study
from wardround.study.record.model_statement import statement_of
from wardround.values.durable import write_atomic

MODEL_FILE = "model.onnx"


def write_fitted_model(study: Study, result: Result, folder: Path, *, synthetic: bool) -> bool:
    """Writes the model into the folder of its run. False, with nothing written, for an analysis that is no model."""
    if study.analysis is None or study.analysis.regression is None:
        return False
    from wardround.analysis.regression.fitted_model import fitted_model

    model = fitted_model(study, result)
    if model is None:
        return False
    from wardround.training.linear_export import linear_onnx

    output = f"the probability of {model.data.label.name}"
    stated = statement_of(study, 0.5, output=output, synthetic=synthetic).changed(data=model.data)
    write_atomic(folder / MODEL_FILE, linear_onnx(model.weights, model.bias, stated))
    return True
