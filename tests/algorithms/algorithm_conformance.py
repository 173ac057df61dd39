"""The laws that every algorithm keeps. A test class for an algorithm inherits this one and names its algorithm."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardround.algorithms.protocol import Algorithm
from wardround.algorithms.quantities import TrainedModel
from wardround.site.kept_moments import MOMENTS
from wardround.site.store import SiteState, SiteStore
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Bundle, Tree, same_bits, shapes_of
from wardround.wire.envelope import pack_bundle, unpack_bundle

from .quadratic_hospitals import NAMES, Federation, Quadratic, filled, model_of

values = st.floats(-4, 4, width=32)
models = st.lists(values, min_size=13, max_size=13).map(model_of)
hospitals = st.builds(
    Quadratic,
    target=values,
    examples=st.integers(1, 5_000),
    curvature=st.sampled_from([0.5, 1.0, 2.0]),
    steps=st.integers(1, 3),
    learning_rate=st.sampled_from([0.125, 0.1]),
)
federations = st.dictionaries(st.sampled_from(["east", "north", "south", "west"]), hospitals, min_size=2)
inherited = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], max_examples=40)

THREE = {"north": Quadratic(1.0, 50), "south": Quadratic(-0.5, 30, 2.0), "west": Quadratic(3.0, 20, 0.5)}

KEEPING = {site: replace(hospital, momentum=0.5) for site, hospital in THREE.items()}
"""Hospitals that keep their momentum from round to round."""


def same_bundle(left: Bundle, right: Bundle) -> bool:
    """Bit for bit; a part that holds nothing is no part."""
    return all(same_bits(left.get(part, {}), right.get(part, {})) for part in left.keys() | right.keys())


def saved_and_loaded(state: Bundle, folder: Path) -> Bundle:
    """Through a file, as a checkpoint keeps it."""
    write_tensors(folder / "state.safetensors", pack_bundle(state), {})
    return unpack_bundle(read_tensors(folder / "state.safetensors")[0])


def copied(bundle: Bundle) -> Bundle:
    return {part: {name: array.copy() for name, array in tree.items()} for part, tree in bundle.items()}


class AlgorithmConformance:
    """averages: the new model is the weighted mean of the sites' models, so that one site is local training. rests: where every
    site is at its optimum, nothing changes. local_steps: hospitals take steps of their own. anchored: those steps are held near
    the model of the order, so that a round begins something new."""

    algorithm: Algorithm
    averages = True
    rests = True
    local_steps = True
    anchored = False

    def federation(self, of: dict[str, Quadratic], model: Tree | None = None) -> Federation:
        return Federation(self.algorithm, of, filled(0.25) if model is None else model)

    @given(models, hospitals)
    @inherited
    def test_one_site_is_local_training(self, model: Tree, hospital: Quadratic) -> None:
        """A federation of one must give that hospital the model that it would have trained alone, bit for bit."""
        if not self.averages:
            return
        play = self.federation({"north": hospital}, model)
        for _ in range(2):
            _, _, run = play.work()["north"]
            play.play()
            found = self.algorithm.local_model(self.algorithm.order(play.state), play.memories["north"])
            assert same_bits(found, run.model)

    @given(models, hospitals, st.integers(2, 6))
    @inherited
    def test_identical_sites_are_one_site(self, model: Tree, hospital: Quadratic, number: int) -> None:
        """Dividing the same data over more hospitals must change nothing, bit for bit."""
        alone = self.federation({"a": hospital}, model)
        many = self.federation({f"site-{index}": hospital for index in range(number)}, model)
        for _ in range(2):
            alone.play()
            many.play()
            assert same_bits(alone.state["model"], many.state["model"])
            assert all(same_bundle(memory, alone.memories["a"]) for memory in many.memories.values())

    @given(models, federations)
    @inherited
    def test_the_encoded_total_is_within_the_stated_bound(self, model: Tree, of: dict[str, Quadratic]) -> None:
        """Fixed point costs at most K * step * N / n per value of the mean, and nothing of the counts."""
        exact, encoded = self.federation(of, model), self.federation(of, model)
        bound = encoded.frame.grid.error_bound
        clean, found = exact.play(), encoded.play_encoded()
        assert found.weight == clean.weight == sum(hospital.examples for hospital in of.values())
        assert found.counts["loss"].tolist() == [7 * len(of), found.weight]
        assert int(found.counts["clipped"]) == 0
        assert found.values.keys() == clean.values.keys()
        for part, tree in clean.values.items():
            for name, array in tree.items():
                gap = np.abs(found.values[part][name] - array) / clean.weight
                assert (gap <= bound * 1.001 + 1e-12 * np.abs(array) / clean.weight).all()

    @given(models, federations, st.randoms(use_true_random=False))
    @inherited
    def test_the_order_of_sites_changes_no_bit(self, model: Tree, of: dict[str, Quadratic], random: object) -> None:
        """Which hospital answers first must not show in the model."""
        names = list(of)
        random.shuffle(names)  # type: ignore[attr-defined]
        one, other = self.federation(of, model), self.federation({name: of[name] for name in names}, model)
        for _ in range(2):
            one.play_encoded()
            other.play_encoded()
        assert same_bundle(one.state, other.state)
        assert all(same_bundle(one.memories[name], other.memories[name]) for name in names)

    @given(models, federations)
    @inherited
    def test_a_lost_site_leaves_exactly_the_mean_of_the_others(self, model: Tree, of: dict[str, Quadratic]) -> None:
        """A hospital that drops out must neither pull the model towards zero nor leave a trace of its data."""
        lost, *others = sorted(of)
        with_loss = self.federation(of, model)
        runs = {site: done[2] for site, done in with_loss.work().items()}
        memory = copied(with_loss.memories[lost])
        total = with_loss.play(counted=others)
        assert total.weight == sum(of[site].examples for site in others)
        assert same_bundle(with_loss.memories[lost], memory)
        if self.averages:
            for name in total.values["model"]:
                exact = sum(runs[site].model[name].astype(np.float64) * of[site].examples for site in others) / total.weight
                assert np.array_equal(with_loss.state["model"][name], np.asarray(exact, np.float32))
        changed = {**of, lost: Quadratic(of[lost].target + 3.0, of[lost].examples, 4.0, 1)}
        another = self.federation(changed, model)
        another.play(counted=others)
        assert same_bundle(with_loss.state, another.state)

    def test_resumed_from_files_is_uninterrupted(self, tmp_path: Path) -> None:
        """kill -9 and --resume: the coordinator's state and the sites' memories go through their files after every round."""
        straight, resumed = self.federation(THREE), self.federation(THREE)
        store = SiteStore(tmp_path / "site")
        for _ in range(4):
            straight.play_encoded()
            resumed.play_encoded()
            resumed.state = saved_and_loaded(resumed.state, tmp_path)
            for site, memory in resumed.memories.items():
                store.write(SiteState(memory=memory))
                resumed.memories[site] = store.read().memory
            assert same_bundle(straight.state, resumed.state)
            assert straight.memories.keys() == resumed.memories.keys()
            assert all(same_bundle(straight.memories[site], resumed.memories[site]) for site in THREE)
        store.close()

    def test_an_optimiser_that_is_kept_stays_at_the_hospital(self) -> None:
        """Moments are as revealing as gradients: what leaves has the announced parts alone, and the coordinator's state none."""
        play = self.federation(KEEPING)
        for _ in range(3):
            announced = self.algorithm.parts(shapes_of(play.state["model"]))
            for contribution, memory, run in play.work().values():
                assert {part: shapes_of(tree) for part, tree in contribution.values.items()} == announced
                assert (MOMENTS in memory) == self.local_steps
                assert same_bits(memory.get(MOMENTS, {}), run.moments)
            play.play_encoded()
        assert all(part != MOMENTS for part in (*play.state, *self.algorithm.order(play.state)))

    def test_a_round_that_was_not_counted_leaves_the_optimiser_as_it_was(self) -> None:
        """State of a lost reply must never be kept as if it had been counted; what counted must be gone on with."""
        play, others = self.federation(KEEPING), [site for site in KEEPING if site != "north"]
        play.play()
        older = copied(play.memories["north"])
        play.play(counted=others)
        assert same_bundle(play.memories["north"], older)
        play.play()
        assert same_bundle(play.memories["north"], older) != self.local_steps

    @given(models, hospitals)
    @inherited
    def test_one_site_that_keeps_its_optimiser_trains_as_if_nobody_interrupted(self, model: Tree, hospital: Quadratic) -> None:
        """A federation of one over three rounds is one long local training, bit for bit."""
        if not self.averages or self.anchored:
            return
        keeping = replace(hospital, momentum=0.5)
        play = self.federation({"north": keeping}, model)
        for _ in range(3):
            play.play()
        long = replace(keeping, steps=3 * keeping.steps).compute(TrainedModel(model))
        whole = self.algorithm.local_model(self.algorithm.order(play.state), play.memories["north"])
        assert same_bits(whole, long.model)
        assert same_bits(play.memories["north"][MOMENTS], long.moments)

    def test_an_order_survives_the_wire(self) -> None:
        """Sites get float32 arrays by part and name, and what they get is what was ordered."""
        play = self.federation(THREE)
        play.play()
        order = self.algorithm.order(play.state)
        assert "model" in order
        assert all(array.dtype == np.float32 for tree in order.values() for array in tree.values())
        assert same_bundle(unpack_bundle(pack_bundle(order)), order)

    def test_sites_send_exactly_the_parts_that_were_announced(self) -> None:
        """Names and shapes are known before anything runs: they bound the size of every message."""
        play = self.federation(THREE)
        for _ in range(2):
            announced = self.algorithm.parts(shapes_of(play.state["model"]))
            for contribution, _, _ in play.work().values():
                assert {part: shapes_of(tree) for part, tree in contribution.values.items()} == announced
                assert all(array.dtype == np.float64 for tree in contribution.values.values() for array in tree.values())
            reference = self.algorithm.reference(self.algorithm.order(play.state))
            assert reference.keys() <= announced.keys()
            assert all(shapes_of(tree) == announced[part] for part, tree in reference.items())
            play.play()

    def test_shapes_stay_what_they_are(self) -> None:
        """An array without axes must not come back with one, round after round."""
        play = self.federation(THREE)
        for _ in range(3):
            play.play_encoded()
            assert shapes_of(play.state["model"]) == {name: NAMES[name] for name in sorted(NAMES)}
            assert all(array.dtype == np.float32 for array in play.state["model"].values())

    def test_weights_are_the_numbers_of_training_records(self) -> None:
        """n_k / n in the federated objective: a hospital with more records weighs more, exactly."""
        for site, (contribution, _, _) in self.federation(THREE).work().items():
            assert contribution.weight == THREE[site].examples
            assert isinstance(contribution.weight, int)

    def test_work_and_update_leave_what_they_are_given_as_it_was(self) -> None:
        """A repeated order must meet the same state; a checkpoint must not change under the coordinator's hands."""
        play = self.federation(THREE)
        play.play()
        state, memories = copied(play.state), {site: copied(memory) for site, memory in play.memories.items()}
        before = play.state
        done = play.work()
        play.play()
        assert same_bundle(before, state)
        again = self.federation(THREE)
        again.state, again.memories = state, memories
        for site, (contribution, memory, run) in again.work().items():
            assert same_bundle(contribution.values, done[site][0].values)
            assert same_bundle(memory, done[site][1])
            assert same_bits(run.model, done[site][2].model)

    @pytest.mark.parametrize("way", [Federation.play, Federation.play_encoded])
    def test_where_all_hospitals_are_content_nothing_moves(self, way: Callable[[Federation], object]) -> None:
        """At everybody's optimum the model must stay, bit for bit: fixed point may not let it drift."""
        if not self.rests:
            return
        content = {site: Quadratic(0.25, hospital.examples) for site, hospital in THREE.items()}
        play = self.federation(content)
        for _ in range(5):
            way(play)
        assert same_bits(play.state["model"], filled(0.25))
