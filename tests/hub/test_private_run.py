"""Private runs, end to end over the real roles: what leaves is charged first, and nothing leaves but sums with noise."""

from pathlib import Path

import numpy as np
import pytest

from wardround.plan.private_plan import PrivatePlan
from wardround.privacy.ledger.ledger import Ledger
from wardround.study.declaration import Study
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.tree import Tree, flatten, same_bits
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import ContributionMessage, Order

from ..federation.private_studies import PAIRS, private_study
from ..federation.tiny_federation import NAMES, Handle, run, study

CHARGED = {"patient-local": 3, "patient-distributed": 1, "site": 1}


def ledger_of(folder: Path, site: str) -> Ledger:
    return Ledger(folder / "sites" / site / "ledger.sqlite")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "algorithm"), PAIRS)
def test_nothing_leaves_that_is_not_charged_and_noised(tmp_path: Path, mode: str, algorithm: str) -> None:
    """The whole plan, for every mode and algorithm: an answer with arrays is an answer to a training order, holds the promised
    words alone, and its charge is on the ledger before it is sent."""
    of, releases = private_study(mode, algorithm), 0

    def watch(site: SiteId, data: bytes, handle: Handle) -> bytes | None:
        nonlocal releases
        answer = handle(data)
        order, said = from_bytes(data), from_bytes(answer)
        if isinstance(order, Order) and isinstance(said, ContributionMessage):
            words = {name for name in said.arrays if not name.startswith("masked/")}
            if order.header.step == "train":
                releases += 1
                assert words <= {"gradient/words", "model/words", "control/words", "counts/words"}
                assert ("counts/words" in words) == (mode == "patient-local")  # the public weight, and how much was clipped
                charges = ledger_of(tmp_path, site).charges().items()
                (charge,) = (one for (_, release), one in charges if release.startswith(f"train/{order.header.round}/"))
                assert (charge.status, charge.count) == ("released", CHARGED[mode])
            else:
                assert said.arrays == {}
        return answer

    run(of, tmp_path, watch)
    assert releases == len(NAMES) * of.algorithm.rounds
    for site in NAMES:
        assert sum(ledger_of(tmp_path, site).spent(of.privacy.unit).values()) == releases // len(NAMES) * CHARGED[mode]


def clipless(mode: str, algorithm: str, **how: float) -> Study:
    return private_study(mode, algorithm, noise=0.0, clip=1e3, **how)  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_noise_and_clipping_distributed_is_plain_gradient_descent(tmp_path: Path) -> None:
    """The law that ties the private step to the others: same records, same steps, within the rounding of the words."""
    of = clipless("patient-distributed", "fedsgd")
    free = study("fedsgd", rounds=3, mode="masked")
    free = free.changed(training=free.training.changed(batch_size=4096, class_balance=False))
    private, plain = run(of, tmp_path / "private"), run(free, tmp_path / "plain")
    assert flatten(private) == pytest.approx(flatten(plain), abs=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox", "scaffold"])
def test_without_noise_and_clipping_local_is_local_training(tmp_path: Path, algorithm: str) -> None:
    """Full batches on both sides, so that who is drawn is everybody."""
    of = clipless("patient-local", algorithm)
    free = study(algorithm, rounds=3, mode="masked")
    whole = {"batch_size": 4096, "local_epochs": 3.0, "class_balance": False}
    free = free.changed(training=free.training.changed(**whole))
    private, plain = run(of, tmp_path / "private"), run(free, tmp_path / "plain")
    assert flatten(private) == pytest.approx(flatten(plain), abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "algorithm"), [("patient-distributed", "fedsgd"), ("patient-local", "fedavg"), ("site", "fedavg")]
)
def test_two_runs_never_give_the_same_model(tmp_path: Path, mode: str, algorithm: str) -> None:
    """Noise that can be repeated can be taken away. (training.seed is the same in both.)"""
    of = private_study(mode, algorithm)
    first, second = run(of, tmp_path / "a"), run(of, tmp_path / "b")
    assert not same_bits(first, second)


def spread(of: Study, folder: Path, times: int) -> float:
    """Standard deviation of the models of several runs of one round, over all values."""
    models: list[Tree] = [run(of, folder / str(number)) for number in range(times)]
    return float(np.std([flatten(model) for model in models], axis=0, ddof=1).mean())


@pytest.mark.slow
def test_the_noise_of_a_run_is_what_the_study_states(tmp_path: Path) -> None:
    """Three shares of sigma^2 / 2, a step of learning rate / (public patients): measured on whole runs, through words and masks.
    A factor of two would be seen; 8 runs of 33 values leave 5 %."""
    of = private_study(rounds=1, noise=4.0)
    of = of.changed(algorithm=of.algorithm.changed(server_optimizer="momentum", server_learning_rate=1.0))
    expected = 4.0 * 1.0 * (3 / 2) ** 0.5 / 76
    assert spread(of, tmp_path, 8) == pytest.approx(expected, rel=0.2)


@pytest.mark.slow
def test_a_study_that_the_budget_does_not_cover_is_refused_before_it_begins(tmp_path: Path) -> None:
    """The coordinator sees one word; how much is left is the hospital's own affair."""
    ledger_of(tmp_path, "north").set_budget(0.5, 1e-3)
    with pytest.raises(EngineError, match="budget") as refused:
        run(private_study(minimum=3), tmp_path)
    assert "0.5" not in str(refused.value)
    assert ledger_of(tmp_path, "north").spent() == {}
    assert ledger_of(tmp_path, "east").spent() == {}


def test_a_study_s_noise_is_part_of_what_is_approved() -> None:
    """A site that guessed its own multiplier would sum on another grid."""
    of = private_study()
    unresolved = of.changed(privacy=of.privacy.changed(noise_multiplier=None, epsilon=2.0))
    with pytest.raises(Exception, match="wardround study privacy"):
        PrivatePlan(unresolved, 10)
