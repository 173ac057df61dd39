"""What the network that learns reads of records: the records themselves, or features of a frozen network."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wardround.plan.plan import Plan
from wardround.values.records import Records
from wardround.values.tree import Tree

if TYPE_CHECKING:
    from wardround.training.backbone import Backbone

Seen = tuple[Records, Records | None]


def seen(records: Records, plan: Plan, *, threads: int = 0) -> Seen:
    """What the network that learns reads of these records, and of their mirror images where those are wanted."""
    return viewer_of(plan, threads)(records)


def viewer_of(plan: Plan, threads: int) -> Callable[[Records], Seen]:
    """`seen`, with a backbone that is made on first use and kept for the next records."""

    @cache
    def backbone() -> "Backbone | None":
        if plan.study.learned.backbone is None:
            return None
        from wardround.training.backbone import Backbone

        return Backbone(plan.study.learned.backbone, plan.records, threads=threads)

    def see(records: Records) -> Seen:
        if (network := backbone()) is None:
            return records, None
        plain = described(records, network.features(records))
        return plain, described(records, network.features(records, mirrored=True)) if plan.mirrored else None

    return see


def outputs_for(model: Tree, records: Records, plan: Plan, device: str) -> tuple[NDArray[np.float32], Records]:
    """What a whole model says of records that no site holds, and these records as the network reads them. An output that is not a
    number counts as 0, a probability of one half."""
    from wardround.training.scoring import score

    read, mirrored = seen(records, plan)
    study = plan.study
    outputs = score(
        study.learned,
        plan.inputs,
        model,
        read,
        flip_average=study.evaluation.flip_average,
        device=device,
        mirrored=mirrored,
        outputs=plan.task.outputs,
    )
    return np.where(np.isnan(outputs), np.float32(0.0), outputs), read


def described(records: Records, features: NDArray[np.float32]) -> Records:
    """The same records, as a table of features."""
    return Records(features, records.labels, records.patients, records.splits)
