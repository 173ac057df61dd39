"""A site's records as the network that learns sees them: as they are, or as features of a frozen network.

records --split--> records by split
records --backbone, or its file in the site's folder--> features --split--> tables by split; the images are let go
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround.plan.network_view import Seen, described, viewer_of
from wardround.plan.plan import Plan
from wardround.site.store import SiteStore
from wardround.values.records import SPLITS, Records, Split


@dataclass(frozen=True)
class Read:
    """splits: what the network reads. mirrored: the same of the mirror images, where they are wanted and features. views: of
    changed views of the training images, where they are wanted.

    fingerprint: of the records as they were read. validation: the validation records before any backbone, kept only where the
    study shifts them; seen: what the network reads of such records.
    """

    splits: dict[Split, Records]
    fingerprint: str
    validation: Records
    seen: Callable[[Records], Seen]
    mirrored: dict[Split, Records] = field(default_factory=dict)
    views: Records | None = None

    @property
    def learned_from(self) -> Records:
        """The training records, and behind them their changed views, each under its patient's name."""
        return self.splits["train"] if self.views is None else joined(self.splits["train"], self.views)


def read(records: Records, fingerprint: str, plan: Plan, store: SiteStore, *, threads: int) -> Read:
    """Only the parts are kept: the whole would double the memory."""
    section = plan.study.learned.backbone
    if section is None:
        splits = {split: records.where(split) for split in SPLITS}
        return Read(splits, fingerprint, splits["validation"], viewer_of(plan, threads))
    from wardround.site.feature_cache import FeatureKinds, features_of

    training = plan.study.training
    kinds = FeatureKinds(plan.mirrored, section.views, training.augmentation, training.seed)
    features = features_of(records, fingerprint, section, plan.records, store, kinds, threads=threads)
    return Read(
        _by_split(records, features.plain),
        fingerprint,
        records.where("validation") if plan.robust else records.select(np.zeros(0, np.intp)),
        viewer_of(plan, threads),
        {} if features.mirrored is None else _by_split(records, features.mirrored),
        None if features.views is None else _of_views(records.where("train"), section.views, features.views),
    )


def joined(first: Records, second: Records) -> Records:
    """The records of both, one after the other."""
    return Records(
        np.concatenate([first.inputs, second.inputs]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.patients, second.patients]),
        np.concatenate([first.splits, second.splits]),
    )


def _of_views(train: Records, times: int, features: NDArray[np.float32]) -> Records:
    return described(train.select(np.tile(np.arange(len(train)), times)), features)


def _by_split(records: Records, features: NDArray[np.float32]) -> dict[Split, Records]:
    table = described(records, features)
    return {split: table.where(split) for split in SPLITS}
