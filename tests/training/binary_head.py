"""The head of a yes-or-no question, for tests of training: one output, and the cross-entropy of its logit."""

from typing import Any

from numpy.typing import NDArray

from wardround.study.label import LabelContract
from wardround.study.sections.training import TrainingSection
from wardround.tasks.binary import BinaryTask
from wardround.training.head import Head


def binary_head(training: TrainingSection | None = None, labels: NDArray[Any] | None = None) -> Head:
    """labels: for class weights; without them every row weighs 1."""
    return Head(1, BinaryTask(LabelContract()).row_loss(training or TrainingSection(), labels))
