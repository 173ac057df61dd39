"""Each candidate for a personal model: the laws of all, and what it alone promises."""

from pathlib import Path

import numpy as np
import pytest

from wardround.algorithms.personal import CANDIDATES, Neighbours, Part, PersonalModel, candidate_named, neighbours
from wardround.algorithms.personal.memory import scales
from wardround.algorithms.personal.protocol import mean_loss, pass_counts
from wardround.algorithms.personal.recalibrated import rescaled
from wardround.site import personal_models
from wardround.site.personal_models import HospitalMaterial, outputs_of
from wardround.values.tree import Tree, flatten, same_bits

from ...federation.tiny_federation import records
from .candidate_conformance import CandidateConformance, same_model
from .hospital import EVERYTHING, material, personal_study


def distance(left: Tree, right: Tree) -> float:
    return float(np.linalg.norm(flatten(left) - flatten(right)))


class TestOwn(CandidateConformance):
    name = "own"
    untuned = "own"


class TestFederated(CandidateConformance):
    name = "federated"
    untuned = "federated"


class TestFineTuned(CandidateConformance):
    name = "fine_tuned"
    untuned = "federated"

    def test_it_is_at_least_as_good_as_no_pass_where_it_was_tuned(self, hospital: HospitalMaterial) -> None:
        """No pass is among the choices: fine-tuning that harms is not taken."""
        everybody = np.arange(len(hospital.records))
        before = mean_loss(hospital, hospital.outputs(hospital.federated), everybody)
        assert mean_loss(hospital, self.tuned(hospital).outputs, everybody) <= before

    def test_its_passes_are_those_of_local_training_in_one_go(self, hospital: HospitalMaterial) -> None:
        """One training of the most passes, looked at on the way, costs a third of one for each number: with the same bits."""
        none, once, twice, thrice = hospital.trained(hospital.federated, [0, 1, 2, 3])
        assert same_bits(none, hospital.federated)
        for count, model in ((1, once), (2, twice), (3, thrice)):
            assert same_bits(hospital.trained(hospital.federated, [count])[0], model)
        assert not same_bits(once, twice) and not same_bits(twice, thrice)

    def test_a_moving_average_is_looked_at_on_the_way_and_goes_on(self, tmp_path: Path) -> None:
        """What is kept is the average, and the weights below it train on: putting the one into the other would change all that
        follows."""
        declared = personal_study().revised(training={"ema_decay": 0.9, "optimizer": "adamw"})
        hospital = material(tmp_path, declared=declared)
        once, thrice = hospital.trained(hospital.federated, [1, 3])
        assert same_bits(once, hospital.trained(hospital.federated, [1])[0])
        assert same_bits(thrice, hospital.trained(hospital.federated, [3])[0])


class TestPrivateHead(CandidateConformance):
    name = "private_head"
    untuned = "federated"

    def test_all_but_the_head_stays_federated(self, hospital: HospitalMaterial) -> None:
        """That is what the hospitals share: features that all their patients have made."""
        (model,) = hospital.trained(hospital.federated, [3], learns=hospital.head)
        assert hospital.head == {"head.weight", "head.bias"}
        for name, array in model.items():
            assert np.array_equal(array, hospital.federated[name]) == (name not in hospital.head), name

    def test_weight_decay_leaves_the_features_alone(self, tmp_path: Path) -> None:
        """A gradient of zero is no rest: decay would shrink the features of all hospitals at this one."""
        adamw = personal_study().revised(training={"optimizer": "adamw", "weight_decay": 0.5})
        hospital = material(tmp_path, declared=adamw)
        (model,) = hospital.trained(hospital.federated, [2], learns=hospital.head)
        assert np.array_equal(model["hidden.0.weight"], hospital.federated["hidden.0.weight"])


class TestProximal(CandidateConformance):
    name = "proximal"

    def test_a_stronger_pull_stays_nearer_to_the_federated_model(self, tmp_path: Path) -> None:
        """Between local training (no pull) and the federated model (an endless one): equation 1 of the paper."""
        distances = []
        for mu in (0.01, 1.0, 3.0):
            hospital = material(tmp_path / f"{mu}", declared=personal_study(proximal_mu=mu, passes=10))
            (part,) = self.tuned(hospital).model.parts
            distances.append(distance(part.tree, hospital.federated))
        assert distances[0] > 1.2 * distances[1] > 1.2 * 1.2 * distances[2] > 0


class TestRecalibrated(CandidateConformance):
    name = "recalibrated"
    untuned = "federated"

    def test_a_model_that_is_too_sure_is_toned_down(self, hospital: HospitalMaterial) -> None:
        """What Platt's slope is for. One that is three times too sure has a slope below one, and a lower loss after it."""
        everybody = np.arange(len(hospital.records))
        sure = HospitalMaterial(hospital.bench, hospital.own, rescaled(hospital.own, hospital.head, 6.0, 2.0))
        option = self.tuned(sure)
        assert option.setting.startswith("slope 0.")
        assert mean_loss(sure, option.outputs, everybody) < mean_loss(sure, sure.outputs(sure.federated), everybody)

    def test_one_patient_hardly_moves_it(self, hospital: HospitalMaterial) -> None:
        """Recalibrating on few patients made models worse: the prior weighs more than one patient can."""
        option = self.on(hospital, np.array([0]))
        assert np.abs(option.outputs - hospital.outputs(hospital.federated)).max() < 0.5


class TestMixed(CandidateConformance):
    name = "mixed"
    untuned = "own"

    def test_of_two_alike_it_is_the_own_one(self, hospital: HospitalMaterial) -> None:
        """A mixture of a model with itself is that model, and needs one part."""
        alike = HospitalMaterial(hospital.bench, hospital.own, hospital.own)
        assert same_model(self.tuned(alike).model, PersonalModel.single(hospital.own))


class TestNeighbours(CandidateConformance):
    name = "neighbours"

    def asking(self, hospital: HospitalMaterial, share: float) -> PersonalModel:
        """The federated model that asks five training records."""
        memory, patients = hospital.memory(hospital.federated)
        (scale,) = scales(memory.inner, patients, [5])
        return PersonalModel((Part(1.0, hospital.federated, Neighbours(memory, 5, scale, share)),))

    def test_no_share_of_the_neighbours_is_the_federated_model_bit_for_bit(
        self, hospital: HospitalMaterial, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where neighbours do not help, no patient is remembered and nothing is changed."""
        monkeypatch.setattr(neighbours, "SHARES", ())
        option = self.tuned(hospital)
        assert same_model(option.model, PersonalModel.single(hospital.federated)) and not option.model.holds_records
        assert np.array_equal(option.outputs, hospital.outputs(hospital.federated))
        tiny = outputs_of(hospital.bench, self.asking(hospital, 1e-9), "validation")
        np.testing.assert_allclose(tiny, option.outputs, atol=1e-6)

    def test_where_the_federated_model_is_wrong_the_neighbours_are_asked(self, hospital: HospitalMaterial) -> None:
        """Turned round, it says the opposite of what is true; its inner values tell patients apart as well as before."""
        everybody = np.arange(len(hospital.records))
        (right,) = hospital.trained(hospital.federated, [30])
        wrong = {**right, **{name: -right[name] for name in hospital.head}}
        turned = HospitalMaterial(hospital.bench, hospital.own, wrong)
        option = self.tuned(turned)
        asked = option.model.parts[0].neighbours
        assert option.model.holds_records and asked is not None and asked.share >= 0.7
        assert mean_loss(turned, option.outputs, everybody) < mean_loss(turned, turned.outputs(wrong), everybody) - 0.1

    def test_the_memory_is_the_hospitals_training_records_and_nobody_elses(self, hospital: HospitalMaterial) -> None:
        """A validation record that answers for itself would make every loss too good."""
        memory, patients = hospital.memory(hospital.federated)
        train = hospital.bench.splits["train"]
        assert len(memory.inner) == len(train) and len(np.unique(patients)) == train.patient_count
        inner = hospital.bench.inner(hospital.federated, "train")
        order = np.lexsort(inner.T)
        np.testing.assert_array_equal(memory.inner[np.lexsort(memory.inner.T)], inner[order])
        assert memory.votes.sum() == train.labels.sum()

    def test_the_order_of_training_records_leaves_no_trace(self, hospital: HospitalMaterial, tmp_path: Path) -> None:
        """Equally near patients would be taken in the order of a table."""
        moved = records("north").select(np.random.default_rng(1).permutation(len(records("north"))))
        other = material(tmp_path / "moved", lambda: moved)
        assert not np.array_equal(hospital.bench.splits["train"].inputs, other.bench.splits["train"].inputs)
        first, second = (one.memory(one.federated)[0] for one in (hospital, other))
        np.testing.assert_allclose(first.inner, second.inner, atol=1e-6)
        assert np.array_equal(first.votes, second.votes)

    def test_of_very_many_records_some_are_drawn_whatever_their_order(
        self, hospital: HospitalMaterial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each answer takes the distance to every one."""
        monkeypatch.setattr(personal_models, "MOST_REMEMBERED", 7)
        moved = records("north").select(np.random.default_rng(1).permutation(len(records("north"))))
        other = material(tmp_path / "moved", lambda: moved)
        first, second = (one.memory(one.federated)[0] for one in (hospital, other))
        assert len(first.inner) == 7 < len(hospital.bench.splits["train"])
        np.testing.assert_allclose(first.inner, second.inner, atol=1e-6)

    def test_the_neighbours_of_a_hospital_with_few_are_all(
        self, hospital: HospitalMaterial, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A hospital of four training records has no fifth neighbour."""
        monkeypatch.setattr(personal_models, "MOST_REMEMBERED", 4)
        monkeypatch.setattr(neighbours, "SHARES", (0.5,))
        tune = candidate_named("neighbours").fit(hospital, personal_study().personal)
        assert tune(np.zeros(0, np.intp)).setting == "0.5 of 4 neighbours, 0.5 federated"

    def test_nobody_and_hardly_one_patient_move_the_share(self, hospital: HospitalMaterial) -> None:
        """Forty settings found on a dozen patients made the candidate worse than the model that it starts from."""
        tune = candidate_named("neighbours").fit(hospital, personal_study().personal)
        assert tune(np.zeros(0, np.intp)).setting == "0.5 of 10 neighbours, 0.5 federated"
        shares = []
        for row in range(len(hospital.records)):
            asked = tune(np.array([row])).model.parts[0].neighbours
            shares.append(0.0 if asked is None else asked.share)
        assert min(shares) >= 0.2 and max(shares) <= 0.8


def test_every_candidate_has_its_test_class() -> None:
    """One that is registered and untested would be chosen for patients all the same."""
    tested = {one.name for one in CandidateConformance.__subclasses__()}
    assert tested == set(CANDIDATES) == set(EVERYTHING)


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_a_candidate_says_that_it_reads_it_reads(name: str, tmp_path: Path) -> None:
    """By that word a study is refused whose setting nothing reads."""
    read: set[str] = set()

    class Watched:
        def __getattr__(self, setting: str) -> object:
            read.add(setting)
            return getattr(personal_study().personal, setting)

    hospital = material(tmp_path)
    candidate_named(name).fit(hospital, Watched())  # type: ignore[arg-type]
    assert read | ({"rate"} if read else set()) == candidate_named(name).reads


def test_passes_are_tried_up_to_the_most() -> None:
    """The most is always among them, and none too."""
    assert pass_counts(1) == [0, 1] and pass_counts(7) == [0, 1, 2, 3, 5, 7] and pass_counts(100)[-1] == 100
