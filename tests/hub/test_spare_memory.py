"""A coordinator whose model lies in its checkpoint between exchanges: the same run, to the last bit."""

from pathlib import Path

import pytest

from wardround.hub.checkpoint import load
from wardround.hub.coordinator import Coordinator
from wardround.study.declaration import Study
from wardround.values.mapped_tensors import MappedFiles
from wardround.values.tree import same_bits

from ..federation.tiny_federation import enrolled, study, ward

pytestmark = pytest.mark.skipif(not MappedFiles.can_let_go(), reason="this system gives no memory back while arrays are in use")


def ended(of: Study, folder: Path, *, spare_memory: bool, times: int = 1) -> Coordinator:
    """The run, over so many processes' worth of coordinators."""
    of = enrolled(of, folder)
    with ward(of, folder) as engine:
        for _ in range(times):
            coordinator = Coordinator(of, engine, folder, spare_memory=spare_memory)
            coordinator.run()
        coordinator.close()
    return coordinator


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox", "fedopt", "scaffold", "fedbn", "fedper", "fedsgd"])
@pytest.mark.parametrize("mode", ["plain", "masked"])
def test_the_same_bits_by_every_algorithm(tmp_path: Path, algorithm: str, mode: str) -> None:
    """Arrays that cannot be changed must be changed by none; and no key of a mask plays a part in the model."""
    of = study(algorithm, mode=mode)
    usual, sparing = (ended(of, tmp_path / str(spare), spare_memory=spare) for spare in (False, True))
    assert same_bits(usual.model, sparing.model)
    assert usual.progress.evaluations == sparing.progress.evaluations
    stored = load(tmp_path / "True")
    assert stored is not None and same_bits(stored.model, sparing.model)


def test_rounds_that_are_taken_back_as_well(tmp_path: Path) -> None:
    """The state before lies in the file, too."""
    of = study(rounds=4).revised(summation={"max_auc_drop": 1e-6})
    usual, sparing = (ended(of, tmp_path / str(spare), spare_memory=spare) for spare in (False, True))
    assert [entry.discarded for entry in usual.progress.history] == [entry.discarded for entry in sparing.progress.history]
    assert same_bits(usual.model, sparing.model)


def test_a_limit_of_the_change_reads_the_reference_twice(tmp_path: Path) -> None:
    """What was let go is read again."""
    of = study().revised(summation={"max_update_norm": 0.05})
    usual, sparing = (ended(of, tmp_path / str(spare), spare_memory=spare) for spare in (False, True))
    assert same_bits(usual.model, sparing.model)


def test_another_process_goes_on_from_the_same_file(tmp_path: Path) -> None:
    """With or without it."""
    first = ended(study(), tmp_path / "a", spare_memory=True)
    again = ended(study(), tmp_path / "b", spare_memory=True, times=2)
    assert same_bits(first.model, again.model)
