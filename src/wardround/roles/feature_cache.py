"""The features of a site's images in its own folder, so that a site that starts again does not compute them again.

The file says what it was made of: which records, which weights, which settings; and it carries the hash of its content. It is
used only where all of that agrees; otherwise the features are computed anew, and the site's log says why. It shows what images
look like to a network, is as private as they are and is not encrypted: it stays in the site's folder, readable by this user only.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.roles.site_store import SiteStore, read_tensors, write_tensors
from wardround.study.backbone import BackboneSection
from wardround.training.inputs import InputShape
from wardround.values.canonical import canonical_json
from wardround.values.errors import RunError
from wardround.values.records import Records
from wardround.values.tree import Tree

FILE = "features.safetensors"
CODE = 1
"""Raised with every change that gives other features for the same images, weights and settings."""


@dataclass(frozen=True)
class Features:
    """float32 (n, d), in the order of the records. mirrored: of the mirror images, where they are wanted."""

    plain: NDArray[np.float32]
    mirrored: NDArray[np.float32] | None


@dataclass(frozen=True)
class Origin:
    """What features depend on. records: the fingerprint of the site's records, labels and splits included."""

    records: str
    weights: str
    settings: str

    @classmethod
    def of(cls, fingerprint: str, section: BackboneSection, images: InputShape, *, mirrored: bool) -> "Origin":
        """section.scaling and centre are no part of it: features are scaled in the network that learns."""
        from wardround.training.networks.efficientnet_lite0 import weights_sha256

        read_off = section.model_dump(mode="json", exclude={"scaling", "centre"})
        settings = {"code": CODE, "images": vars(images), "mirrored": mirrored, **read_off}
        return cls(fingerprint, weights_sha256(), canonical_json(settings).decode())


def features_of(
    records: Records,
    fingerprint: str,
    section: BackboneSection,
    images: InputShape,
    store: SiteStore,
    *,
    mirrored: bool,
    threads: int,
) -> Features:
    """The features of `records`, whose fingerprint is given: from the site's folder where they are theirs, else computed and
    put there. Where the disk refuses they are used all the same."""
    origin = Origin.of(fingerprint, section, images, mirrored=mirrored)
    path = store.folder / FILE
    if path.exists():
        found = _read(path, origin, (len(records), section.features), mirrored=mirrored)
        if isinstance(found, Features):
            return found
        store.log("features", f"{FILE} is not used, and the features are computed again: {found}")
    from wardround.training.backbone import Backbone

    backbone = Backbone(section, images, threads=threads)
    made = Features(backbone.features(records), backbone.features(records, mirrored=True) if mirrored else None)
    arrays = {"features": made.plain} | ({} if made.mirrored is None else {"mirrored": made.mirrored})
    try:
        write_tensors(path, arrays, vars(origin))
    except RunError as error:
        store.log("features", str(error))
    return made


def _read(path: Path, origin: Origin, shape: tuple[int, int], *, mirrored: bool) -> Features | str:
    """What the file holds, or why it cannot be used."""
    try:
        arrays, head = read_tensors(path)
    except RunError as error:
        return str(error)
    if not isinstance(head, dict) or not head:
        return "it does not say what it was made of"
    if changed := [name for name, value in vars(origin).items() if head.get(name) != value]:
        return f"it was made of other {', '.join(changed)}"
    return _features(arrays, shape, mirrored=mirrored)


def _features(arrays: Tree, shape: tuple[int, int], *, mirrored: bool) -> Features | str:
    names = {"features", "mirrored"} if mirrored else {"features"}
    if arrays.keys() != names or any(array.shape != shape or array.dtype != np.float32 for array in arrays.values()):
        return "it holds other arrays than it should"
    return Features(arrays["features"], arrays.get("mirrored"))
