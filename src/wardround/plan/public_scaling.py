"""Mean and deviation of each feature over drawn radiographs: a scale for features that no hospital's data decide.

    drawn radiographs, always the same --backbone--> features --> mean, deviation --> part of the first model, frozen

Statistics of real images would have to be summed over hospitals, and in a private study paid for. The drawing is public. The
coordinator measures it once; it travels with the first model, so that all hospitals scale alike to the last bit.
"""

import numpy as np

from wardround.study.sections.backbone import BackboneSection
from wardround.training.inputs import InputShape
from wardround.values.records import Records
from wardround.values.tree import Tree

PATIENTS = 64  # of each of three scanners, about 240 pictures: the mean of a feature is then known to 7 % of its deviation


def public_scaling(section: BackboneSection | None, images: InputShape) -> Tree:
    """The frozen arrays of `FeatureScaling` that drawings decide; none where the study does not scale so.

    MissingExtraError or DataError where the backbone cannot be had: before the first round, not when its model is written.
    """
    if section is None:
        return {}
    from wardround.training.backbone import Backbone, require_pinned_weights, statistics

    require_pinned_weights()
    if section.scaling != "synthetic":
        return {}
    mean, deviation = statistics(section, Backbone(section, images).features(drawn(images)))
    return {"scaling.mean": mean, "scaling.deviation": deviation}


def drawn(images: InputShape) -> Records:
    """The fixed set: half of the drawn patients have pneumonia. Always the same but for a grey level here and there, which
    another build of NumPy may round otherwise."""
    from wardround.sources.images.pixels import prepared
    from wardround.sources.synthetic.hospitals import DEMO_HOSPITALS, synthetic_hospital
    from wardround.study.contract import ImageContract

    side = max(images.height, images.width)
    contract = ImageContract(size=(images.height, images.width), channels=1 if images.channels == 1 else 3)
    parts = [synthetic_hospital(name, patients=PATIENTS, prevalence=0.5, seed=0, size=side) for name in DEMO_HOSPITALS]
    inputs = np.stack([prepared(image, contract) for part in parts for image in part.inputs])
    labels, patients, splits = (
        np.concatenate([getattr(part, field) for part in parts]) for field in ("labels", "patients", "splits")
    )
    return Records(inputs, labels, patients, splits)
