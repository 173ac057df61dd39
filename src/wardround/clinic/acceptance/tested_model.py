"""One model on the hospital's cases, whatever its question: what a record, a comparison and a group of cases ask of it."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.personal_record import PairedRecord


class TestedModel(Protocol):
    """Every choice behind it is cross-fitted: no case judges what it made."""

    @property
    def raw(self) -> Evaluation:
        """As the model came."""
        ...

    @property
    def local(self) -> Evaluation:
        """After local calibration."""
        ...

    @property
    def sections(self) -> Mapping[str, Any]:
        """The fields of a record that hold what the model is tuned to, made from all cases."""
        ...

    @property
    def untold(self) -> NDArray[np.bool_]:
        """(n,): which cases would have got `cannot tell`, by limits of other folds."""
        ...

    @property
    def score_bins(self) -> NDArray[np.int64]:
        """(n,): the public bin of each answer."""
        ...

    def of_group(self, group: NDArray[np.bool_]) -> Evaluation | None:
        """After local calibration, on some cases; None where they are too few to say anything."""
        ...

    def less_asked(self, asked: Self) -> dict[str, PairedRecord]:
        """Its figures less those of the asked model, on the same cases."""
        ...
