"""FedPer: the last layer stays at the hospital. Its arithmetic is FedBN's, with other names: tests/algorithms/test_fedbn.py."""

from pathlib import Path

import numpy as np
import pytest

from wardround.plan.plan import Plan
from wardround.simulation.simulate import simulate
from wardround.site.store import SiteStore
from wardround.study.declaration import Study
from wardround.values.errors import StudyError
from wardround.values.tree import shapes_of

from ..federation.tiny_federation import NAMES, records, study


def per_hospital() -> Study:
    return study("fedper", rounds=2)


def test_the_last_layer_is_in_nothing_that_leaves() -> None:
    """It says how a hospital's own patients are judged."""
    plan = Plan(per_hospital())
    shared = plan.algorithm.parts(shapes_of(plan.trainable(plan.initial_model())))["model"]
    assert shared.keys() == plan.shared_names - {"head.weight", "head.bias"} and shared


def test_each_hospital_ends_with_a_last_layer_of_its_own(tmp_path: Path) -> None:
    """Over a whole run: the coordinator's is that of before round 1, and no two hospitals' are alike."""
    run = simulate(per_hospital(), {name: records(name) for name in NAMES}, out=tmp_path / "run", workers=0, register=False)
    assert not run.model["head.weight"].any() and not run.model["head.bias"].any()
    heads = []
    for name in NAMES:
        store = SiteStore(run.folder / "sites" / name, run.folder / "counters" / name)
        heads.append(store.read().memory["local"]["head.weight"])
        store.close()
    assert all(head.any() for head in heads) and not np.array_equal(heads[0], heads[1])
    assert all(site.federated is not None and site.federated.value("auc") != 0.5 for site in run.record.sites.values())


@pytest.mark.parametrize("network", [{"name": "logistic", "hidden": None}, {"hidden": []}])
def test_a_network_that_is_a_last_layer_alone_is_refused(network: dict[str, object]) -> None:
    """Nothing would be shared, and every hospital would train alone under the name of a federation."""
    with pytest.raises(StudyError, match="nothing below it learns in this network"):
        study().revised(network=network, algorithm={"name": "fedper"})
