"""The features of a site's images in its own folder, so that a site that starts again does not compute them again.

The file says what it was made of: which records, which weights, which settings; and it carries the hash of its content. It is
used only where all of that agrees; otherwise the features are computed anew, and the site's log says why. It shows what images
look like to a network, is as private as they are and is not encrypted: it stays in the site's folder, readable by this user only.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.site.store import SiteStore
from wardround.study.sections.backbone import BackboneSection
from wardround.study.sections.training import AugmentationSection
from wardround.training.inputs import InputShape
from wardround.values.canonical import canonical_json
from wardround.values.errors import RunError
from wardround.values.private_files import private_status
from wardround.values.records import Records
from wardround.values.stored import head_of
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Tree

FILE = "features.safetensors"
CODE = 1
"""Raised with every change that gives other features for the same images, weights and settings."""


@dataclass(frozen=True)
class Features:
    """float32 (n, d), in the order of the records. mirrored: of the mirror images, where they are kinds. views: of the changed
    views of the training records, all of them once, then again; none where there are none."""

    plain: NDArray[np.float32]
    mirrored: NDArray[np.float32] | None
    views: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class FeatureKinds:
    """What is wanted besides each image's own features. views: how many of each training image, changed by `augmentation`."""

    mirrored: bool
    views: int
    augmentation: AugmentationSection
    seed: int

    def names(self) -> set[str]:
        return {"features"} | ({"mirrored"} if self.mirrored else set()) | ({"views"} if self.views else set())


@dataclass(frozen=True)
class Origin:
    """What features depend on. records: the fingerprint of the site's records, labels and splits included."""

    records: str
    weights: str
    settings: str

    @classmethod
    def from_settings(cls, fingerprint: str, section: BackboneSection, images: InputShape, kinds: FeatureKinds) -> "Origin":
        """section.scaling and feature_mean are no part of it: features are scaled in the network that learns."""
        from wardround.training.networks.efficientnet_lite0 import weights_sha256

        read_off = section.model_dump(mode="json", exclude={"scaling", "feature_mean", "views"})
        settings = {"code": CODE, "images": asdict(images), "mirrored": kinds.mirrored, **read_off}
        if kinds.views:
            settings["views"] = [kinds.views, kinds.seed, kinds.augmentation.model_dump(mode="json")]
        return cls(fingerprint, weights_sha256(), canonical_json(settings).decode())


def features_of(
    records: Records,
    fingerprint: str,
    section: BackboneSection,
    images: InputShape,
    store: SiteStore,
    kinds: FeatureKinds,
    *,
    threads: int,
) -> Features:
    """The features of `records`, whose fingerprint is given: from the site's folder where they are theirs, else computed and
    put there. Where the disk refuses they are used all the same."""
    origin = Origin.from_settings(fingerprint, section, images, kinds)
    path = store.folder / FILE
    if private_status(path) is not None:
        stored = _read(path, origin, _shapes(records, section, kinds))
        if isinstance(stored, Features):
            return stored
        store.log("features", f"{FILE} is not used, and the features are computed again: {stored}")
    from wardround.training.backbone import Backbone

    backbone = Backbone(section, images, threads=threads)
    arrays: Tree = {"features": backbone.features(records)}
    if kinds.mirrored:
        arrays["mirrored"] = backbone.features(records, mirrored=True)
    if kinds.views:
        arrays["views"] = backbone.views(records.where("train"), kinds.augmentation, kinds.views, kinds.seed)
    try:
        write_tensors(path, arrays, head_of(origin))
    except RunError as error:
        store.log("features", str(error))
    return _as_features(arrays)


def _shapes(records: Records, section: BackboneSection, kinds: FeatureKinds) -> dict[str, tuple[int, int]]:
    rows = {"features": len(records), "mirrored": len(records), "views": kinds.views * int(np.sum(records.splits == "train"))}
    return {name: (rows[name], section.features) for name in kinds.names()}


def _as_features(arrays: Tree) -> Features:
    return Features(arrays["features"], arrays.get("mirrored"), arrays.get("views"))


def _read(path: Path, origin: Origin, shapes: dict[str, tuple[int, int]]) -> Features | str:
    """What the file holds, or why it cannot be used."""
    try:
        arrays, head = read_tensors(path)
    except RunError as error:
        return str(error)
    if not isinstance(head, dict) or not head:
        return "it does not say what it was made of"
    if changed := [name for name, value in head_of(origin).items() if head.get(name) != value]:
        return f"it was made of other {', '.join(changed)}"
    if arrays.keys() != shapes.keys() or any(
        arrays[name].shape != shape or arrays[name].dtype != np.float32 for name, shape in shapes.items()
    ):
        return "it holds other arrays than it should"
    return _as_features(arrays)
