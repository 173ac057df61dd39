"""Settings that do not fit the algorithm, by what the algorithm says of itself."""

import json
from collections.abc import Iterator
from typing import Any

from wardround.algorithms import names_where, statement_of
from wardround.study.rules.sections import Sections


def unfit_settings(sections: Sections) -> Iterator[str]:
    """One sentence for each setting that the algorithm cannot work with; nothing for a sound study."""
    statement = statement_of(sections.algorithm.name)
    for demand in statement.demands:
        if setting_of(sections, demand.setting) != demand.value:
            yield (f'algorithm.name = "{statement.name}" {demand.reason}: set {demand.setting} = {json.dumps(demand.value)}')
    if not statement.one_model and sections.evaluation.external is not None:
        yield (
            f"{statement.name} keeps {statement.keeps} at each hospital, so there is no single model for an external test: "
            f"remove [evaluation.external], or set algorithm.name = {names_where(lambda other: other.one_model)}"
        )
    if statement.needs_features and sections.network.trains_only_its_head:
        yield (
            f"{statement.name} shares what is below the last layer, and nothing below it learns in this network: choose another "
            f"network, or set algorithm.name = {names_where(lambda other: not other.needs_features)}"
        )
    if not statement.rolls_back and sections.summation.max_auc_drop is not None:
        yield (
            f"summation.max_auc_drop takes a round back, and what {statement.name} keeps at the hospitals ({statement.keeps}) "
            f"cannot be: remove it, or set algorithm.name = {names_where(lambda other: other.rolls_back)}"
        )
    if sections.training.keep_optimizer and sections.summation.max_auc_drop is not None:
        yield (
            "summation.max_auc_drop takes a round back, and the optimiser's state that training.keep_optimizer keeps at the "
            "hospitals cannot be: remove summation.max_auc_drop, or set training.keep_optimizer = false"
        )
    backbone = sections.network.backbone
    if backbone is not None and backbone.feature_mean and not statement.sums_feature_mean:
        yield (
            f"network.backbone.feature_mean is a sum that {statement.name} does not take: set algorithm.name = "
            f"{names_where(lambda other: other.sums_feature_mean)}"
        )


def setting_of(sections: Sections, dotted_name: str) -> Any:
    """The value of a setting, `training.momentum` for example."""
    value: Any = sections
    for part in dotted_name.split("."):
        value = getattr(value, part)
    return value
