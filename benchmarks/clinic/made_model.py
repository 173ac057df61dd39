"""A model of the size that a hospital would use: EfficientNet-Lite0 at 224 pixels, exported as Wardround exports it.

    python benchmarks/clinic/made_model.py OUT.onnx

Its weights are drawn: how long an answer takes does not depend on them. It needs torch; so it runs in a process of its own.
"""

import sys
from pathlib import Path

from wardround.study.contract import DataContract, ImageContract, LabelContract
from wardround.study.record.model_statement import ModelStatement
from wardround.study.sections.network import NetworkSection

SIDE = 224


def contract() -> DataContract:
    """Grey films of 224 pixels, pneumonia or not, as `kermany_cxr` has them."""
    label = LabelContract(name="pneumonia", positive=("PNEUMONIA", 1), negative=("NORMAL", 0))
    return DataContract(kind="image", image=ImageContract(size=(SIDE, SIDE)), label=label)


def export(out: Path) -> None:
    """Writes the model; one pass of the network for an answer, without a mirrored second."""
    import wardround.tasks  # noqa: F401
    from wardround.training.inputs import InputShape
    from wardround.training.model_tree import initial_tree
    from wardround.training.onnx_export import export_onnx

    network = NetworkSection(name="efficientnet_lite0", scaling="standardise")
    inputs = InputShape("image", channels=1, height=SIDE, width=SIDE)
    statement = ModelStatement(
        study_title="A model to be timed",
        study_hash="0" * 64,
        synthetic=True,
        output="probability of pneumonia",
        threshold=0.5,
        data=contract(),
        wardround="benchmark",
    )
    export_onnx(network, inputs, initial_tree(network, inputs, 1), out, flip_average=False, statement=statement)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
