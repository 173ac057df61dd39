"""What follows from a study at both ends: if the two ends derive different frames, no sum can be opened."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from wardround.plan.plan import COUNTED, FEDERATED, LAST, Plan, own_label, under
from wardround.privacy.frame import Frame
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.writing import to_toml
from wardround.tasks.sums import Sums
from wardround.training.inputs import InputShape
from wardround.values.errors import WireError
from wardround.values.tree import same_bits, shapes_of

from ..federation.private_studies import private_study
from ..federation.tiny_federation import enrolled, study

IMAGES = """\
format = 1
[question]
title = "Pictures"
[data]
kind = "image"
image = { size = [224, 256], channels = 1 }
[network]
name = "logistic"
backbone = { name = "efficientnet_lite0" }
[summation]
mode = "plain"
[evaluation]
threshold = "robust"
flip_average = true
"""


def sums_of(plan: Plan, seed: int) -> Sums:
    rng = np.random.default_rng(seed)
    return plan.task.sums(rng.normal(size=20), rng.integers(0, 2, 20))


def test_both_ends_derive_the_same_from_the_same_file() -> None:
    """Coordinator and hospital each read the study; nothing of the plan is sent."""
    hub, site = Plan(study()), Plan(parse_study(to_toml(study())))
    start = hub.initial_model()
    assert same_bits(start, site.initial_model())
    assert hub.shared_names == site.shared_names
    assert hub.training_frame(start, 3, 76) == site.training_frame(start, 3, 76)
    assert hub.opening_frame(3) == site.opening_frame(3)
    assert hub.evaluation_frame(3, shifted=False) == site.evaluation_frame(3, shifted=False)


def test_the_seed_of_the_study_decides_the_first_model() -> None:
    """Two studies that differ in it are two draws; one study is one."""
    first = Plan(study()).initial_model()
    assert not same_bits(first, Plan(study().revised(training={"seed": 8})).initial_model())


@pytest.mark.parametrize("cohort", [2, 3])
def test_a_masked_sum_has_one_grid_whoever_takes_part(tmp_path: Path, cohort: int) -> None:
    """Were the grid the cohort's, a second attempt would give the coordinator other words of the same values."""
    masked = Plan(enrolled(study(mode="masked"), tmp_path))
    assert masked.masked and masked.grid_sites(cohort) == 3
    start = masked.initial_model()
    assert masked.training_frame(start, cohort, 76) == masked.training_frame(start, 3, 76)
    plain = Plan(study())
    assert not plain.masked and plain.grid_sites(cohort) == cohort


def test_the_training_frame_holds_the_model_and_the_counts_of_a_round() -> None:
    """One array more or less and every honest answer is `wrong-shape`."""
    plan = Plan(study())
    start = plan.initial_model()
    frame = plan.training_frame(start, 3, 76)
    assert frame.real == {"model": shapes_of(start)}
    scores = {f"validation.{name}": shape for name, shape in plan.task.shapes.items()}
    assert frame.counts == {"weight": (), "clipped": (), "loss": (2,), **scores}


@pytest.mark.parametrize(
    ("mode", "algorithm"), [("patient-distributed", "fedsgd"), ("patient-local", "fedavg"), ("site", "fedavg")]
)
def test_a_private_study_sums_training_alone(tmp_path: Path, mode: str, algorithm: str) -> None:
    """Training is charged. Losses, scores and counts of patients are not, so they stay at home."""
    plan = Plan(enrolled(private_study(mode, algorithm), tmp_path))
    assert plan.summed == {"train"} and plan.private is not None
    frame = plan.training_frame(plan.initial_model(), 3, 76)
    if isinstance(frame, Frame):  # the sum is exact, each hospital's part is noised: how many values it cut says little
        assert mode == "patient-local" and frame.counts.keys() == {"weight", "clipped"}
    else:  # noised values, and no exact count has a place in it
        assert frame.shapes == shapes_of(plan.trainable(plan.initial_model()))
    assert Plan(study()).summed == {"open", "train", "evaluate"} and Plan(study()).private is None


def test_the_opening_counts_records_patients_and_labels_in_three_splits() -> None:
    """Train, validation and test: whoever reads column 1 as test reports the wrong number of patients."""
    plan = Plan(study())
    assert plan.dataset_counts == dict.fromkeys((*COUNTED, "positives"), (3,))
    assert plan.opening_frame(3).counts == plan.dataset_counts


def test_scores_that_travelled_come_back_by_split() -> None:
    """Validation chooses the threshold and test judges it: swapped, the figures would be too good."""
    plan = Plan(study())
    parts = {"validation": sums_of(plan, 1), "test": sums_of(plan, 2)}
    counts = {f"{split}.{name}": array for split, sums in parts.items() for name, array in sums.to_counts().items()}
    assert {name: array.shape for name, array in counts.items()} == plan.evaluation_frame(3, shifted=False).counts
    assert plan.scores(counts, "validation") == parts["validation"] != parts["test"] == plan.scores(counts, "test")
    assert plan.read_scores(parts["test"].to_json()) == parts["test"]


def test_scores_that_no_records_can_have_are_refused() -> None:
    """A total that was tampered with must not become a figure."""
    plan = Plan(study())
    counts = {f"test.{name}": array.copy() for name, array in sums_of(plan, 3).to_counts().items()}
    counts["test.histogram"][0, 0] += 1  # one record that the calibration table does not know
    with pytest.raises(WireError):
        plan.scores(counts, "test")
    with pytest.raises(WireError):
        plan.scores(counts, "validation")


def test_no_scores_add_nothing() -> None:
    """What a hospital without validation patients contributes."""
    plan = Plan(study())
    assert plan.scores({f"test.{name}": array for name, array in plan.no_scores.to_counts().items()}, "test") == plan.no_scores
    assert sums_of(plan, 4) + plan.no_scores == sums_of(plan, 4)


def test_a_prefix_is_a_whole_word() -> None:
    """`test` must not take what is called `test_shifted`."""
    one = np.ones(1, np.int64)
    assert under("test", {"test.n": one, "test_shifted.n": one, "test": one, "a.test.n": one}) == {"n": one}


def test_shifted_images_are_scored_where_the_study_asks_and_for_the_shared_model_alone() -> None:
    """A third evaluation costs time at every hospital, and only the threshold `robust` reads it."""
    robust, half = Plan(parse_study(IMAGES)), Plan(study())
    assert [robust.wants_shifted(label) for label in (FEDERATED, LAST, own_label("east"))] == [True, False, False]
    assert not half.wants_shifted(FEDERATED)
    more = robust.evaluation_frame(3, shifted=True).counts.keys() - robust.evaluation_frame(3, shifted=False).counts.keys()
    assert more == {f"shifted.{name}" for name in robust.task.shapes}


def test_behind_a_backbone_the_network_reads_features_and_records_stay_images() -> None:
    """The exported file takes the images; training never sees them again."""
    plan = Plan(parse_study(IMAGES))
    backbone = plan.study.network.backbone
    assert backbone is not None
    assert plan.records == InputShape("image", channels=1, height=224, width=256)
    assert plan.inputs == InputShape("table", features=backbone.features)
    assert plan.mirrored
    table = Plan(study())
    assert table.records == table.inputs == InputShape("table", features=3) and not table.mirrored


@pytest.mark.parametrize("algorithm", ["fedavg", "fedbn", "scaffold"])
def test_only_what_training_changes_travels(algorithm: str) -> None:
    """What never changes was derived at each end: to send it again costs bytes in every round."""
    plan = Plan(study(algorithm))
    start = plan.initial_model()
    assert plan.trainable(start).keys() == plan.shared_names <= start.keys()
    sent = plan.algorithm.parts(shapes_of(plan.trainable(start)))
    assert all(set(part) <= plan.shared_names for part in sent.values())


def rolling(declared: Study) -> Study:
    return declared.revised(summation={"max_auc_drop": 0.1})


def test_a_round_can_be_rolled_back_only_where_a_limit_is_stated() -> None:
    """The state before a round is kept for it, which doubles the checkpoint."""
    assert Plan(rolling(study())).rolls_back and not Plan(study()).rolls_back


def test_a_plan_is_its_study_and_nothing_else() -> None:
    """A second field could differ between the two ends. `networks` only says which process works out what follows; `agreed_hash`
    is of a plan that one hospital makes for itself, and nothing that travels follows from that."""
    assert [each.name for each in fields(Plan) if each.compare] == ["study"]
    assert [each.name for each in fields(Plan)] == ["study", "networks", "agreed_hash"]
