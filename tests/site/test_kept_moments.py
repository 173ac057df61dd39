"""The optimiser that each hospital keeps, in whole runs through bytes: only what counted, only at home, and never in doubt."""

from pathlib import Path

import numpy as np
import pytest

from wardround.algorithms.quantities import TrainedModel
from wardround.hub.coordinator import Coordinator
from wardround.site.kept_moments import MOMENTS, joined, own_moments_file, parted
from wardround.site.work import own_file
from wardround.study.declaration import Study
from wardround.training.inputs import InputShape
from wardround.training.loop import TorchTrainer
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId
from wardround.values.randomness import seed_of
from wardround.values.tree import Bundle, Tree, raw_bytes, same_bits
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Order

from ..federation.private_site import LOCAL, opened, order, said
from ..federation.private_studies import private_study
from ..federation.tiny_federation import NAMES, Handle, Tamper, records, run, silent, site, study, ward
from ..training.binary_head import binary_head

KEPT = {"optimizer": "adamw", "learning_rate": 0.05, "keep_optimizer": True}


def keeping(algorithm: str = "fedavg", *, rounds: int = 3, own: bool = False) -> Study:
    return study(algorithm, rounds=rounds, own=own).revised(training=KEPT)


def memory_of(folder: Path, name: str, the_study: Study) -> Bundle:
    one = site(name, the_study, folder / "sites" / name)
    memory = one.store.read().memory
    one.close()
    return memory


def lost(number: int, *, worked: bool) -> Tamper:
    """North's answer to a round is lost, before or after the work."""

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes | None:
        message = from_bytes(data)
        assert isinstance(message, Order)
        if (message.header.step, message.header.round, name) != ("train", number, "north"):
            return handle(data)
        if worked:
            handle(data)
        return None

    return tamper


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox", "fedopt", "fedbn"])
def test_a_lost_round_leaves_the_moments_before_it(tmp_path: Path, algorithm: str) -> None:
    """Whether the answer was lost before or after the work: the model, and what the hospital keeps, are the same."""
    the_study = keeping(algorithm)
    if algorithm == "fedprox":
        the_study = the_study.revised(algorithm={"proximal_mu": 0.1})
    models = [run(the_study, tmp_path / str(worked), lost(2, worked=worked)) for worked in (False, True)]
    assert same_bits(*models)
    memories = [memory_of(tmp_path / str(worked), "north", the_study)[MOMENTS] for worked in (False, True)]
    assert same_bits(*memories)
    steps = {name: float(memory_of(tmp_path / "True", name, the_study)[MOMENTS]["steps"]) for name in NAMES}
    assert steps == {"east": 3 * 2, "north": 2 * 4, "south": 3 * 3}


@pytest.mark.slow
def test_a_run_that_crashes_between_any_two_exchanges_ends_with_the_same_bits(tmp_path: Path) -> None:
    """kill -9 and --resume: neither the model nor any hospital's moments may tell that it happened."""
    the_study = keeping(own=True, rounds=2)
    straight = run(the_study, tmp_path / "straight")
    seen: set[tuple[str, int, str]] = set()

    class Crash(BaseException):
        """What no handler catches."""

    def tamper(name: SiteId, data: bytes, handle: Handle) -> bytes:
        message = from_bytes(data)
        assert isinstance(message, Order)
        key = (message.header.step, message.header.round, name)
        if key in seen:
            return handle(data)
        seen.add(key)
        if len(seen) % 2:
            handle(data)
        raise Crash

    model = None
    while model is None:
        try:
            model = run(the_study, tmp_path / "crashed", tamper)
        except Crash:
            continue
    assert len(seen) == 3 * 7
    assert same_bits(model, straight)
    for name in NAMES:
        ends = [memory_of(tmp_path / which, name, the_study)[MOMENTS] for which in ("straight", "crashed")]
        assert same_bits(*ends)


def kept_arrays(folder: Path, the_study: Study) -> list[tuple[str, bytes]]:
    """Every moment of every hospital that is long enough to be told from chance."""
    arrays = [
        (f"{name} {moment}", bytes(raw_bytes(array)))
        for name in NAMES
        for moment, array in memory_of(folder, name, the_study)[MOMENTS].items()
        if array.size >= 3
    ]
    assert len(arrays) >= 3 * 4
    return arrays


def test_moments_are_in_no_byte_that_leaves(tmp_path: Path) -> None:
    """They are as revealing as gradients. Answers are as long as without them, and hold none of them."""
    lengths = []
    for the_study in (keeping(), study().revised(training={**KEPT, "keep_optimizer": False})):
        folder = tmp_path / str(the_study.training.keep_optimizer)
        sent: list[bytes] = []

        def watched(name: SiteId, data: bytes, handle: Handle, sent: list[bytes] = sent) -> bytes:  # noqa: ARG001
            sent.append(handle(data))
            return sent[-1]

        run(the_study, folder, watched)
        lengths.append([len(data) for data in sent])
        for moment, values in kept_arrays(folder, the_study) if the_study.training.keep_optimizer else ():
            assert not [data for data in sent if values in data], moment
    assert lengths[0] == lengths[1]


def test_an_own_model_keeps_its_optimiser_in_a_file_of_its_own(tmp_path: Path) -> None:
    """The baseline would otherwise be trained by another recipe than what it is compared with."""
    the_study = keeping(own=True)
    run(the_study, tmp_path)
    one = site("north", the_study, tmp_path / "sites" / "north")
    start = one.work.plan.trainable(one.store.read_tree("start") or {})
    last = own_file(3)
    whole, moments = one.store.read_tree(last), one.store.read_tree(own_moments_file(last))
    one.close()
    training, rows = the_study.training, records("north").where("train")
    model: Tree = start
    before: Tree = {}
    for number in (1, 2, 3):
        trainer = TorchTrainer(
            the_study.network,
            training,
            InputShape("table", features=3),
            rows,
            binary_head(training, rows.labels),
            seed=seed_of("own", training.seed, "north"),
            round_number=number,
            rounds=3,
            device="cpu",
            threads=1,
            moments=before,
        )
        done = trainer.compute(TrainedModel(model))
        model, before = done.model, done.moments
    assert whole is not None and moments is not None
    assert same_bits(whole, model) and same_bits(moments, before)


def test_moments_beyond_all_use_are_not_kept(tmp_path: Path) -> None:
    """Squares of large gradients overflow while the model is still made of numbers: no later step would move it again."""
    the_study = keeping(rounds=1)
    with ward(the_study, tmp_path) as engine:
        engine._sites[SiteId("north")].close()
        far = engine._sites[SiteId("north")] = site("north", the_study, tmp_path / "far", lambda: records("north", shift=1e25))
        Coordinator(the_study, engine, tmp_path, listener=silent).run()
        assert parted(far.store.read().memory) == ({}, {})
        assert (far.store.folder / "log.ndjson").read_text().count("diverged") == 1
    assert memory_of(tmp_path, "south", the_study)[MOMENTS]["steps"] == 3


def test_no_algorithm_may_take_the_name_of_the_moments() -> None:
    """Its memory would be read as an optimiser's."""
    with pytest.raises(ValueError, match="moments"):
        joined({MOMENTS: {}}, {"steps": np.array(1.0, np.float32)})


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"training": {"optimizer": "sgd", "momentum": 0.0}}, r"keep_optimizer does nothing .*momentum above 0"),
        ({"training": {"optimizer": "sgd", "momentum": 0.5, "beta2": 0.9}}, r"beta2 does nothing .*adamw"),
        ({"summation": {"max_auc_drop": 0.1}}, r"takes a round back.*set training\.keep_optimizer = false"),
    ],
)
def test_what_nothing_reads_or_nothing_could_undo_is_refused(changes: dict[str, dict[str, object]], hint: str) -> None:
    """A setting that does nothing is refused, and so is a round taken back whose trace stays at the hospitals."""
    with pytest.raises(StudyError, match=hint):
        keeping().revised(**changes)


@pytest.mark.slow
def test_a_private_hospital_keeps_the_moments_of_its_noised_gradients(tmp_path: Path) -> None:
    """They were worked out from what was charged: the next round goes on with them, and is charged as ever."""
    the_study = LOCAL.revised(training={"optimizer": "adamw", "learning_rate": 0.05, "keep_optimizer": True})
    one = opened(the_study, tmp_path)
    for number, steps in ((1, 0), (2, 3), (3, 6)):
        assert said(one, order(the_study, "train", number)) == "contribution"
        _, moments = parted(one.store.read().memory)
        assert float(moments.get("steps", 0.0)) == steps
    one.close()


def test_a_study_that_protects_hospitals_may_keep_their_optimisers() -> None:
    """The change of the whole model is noised there, whatever it was worked out from."""
    assert private_study("site", "fedavg").revised(training={"optimizer": "adamw", "keep_optimizer": True}).privacy.private
