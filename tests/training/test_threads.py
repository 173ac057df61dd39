"""Workers that change nothing but the time."""

import os
import threading
import time
from pathlib import Path

import pytest
import torch

from wardround.training.threads import PieceThreads, give_back_freed_memory, keep_freed_memory, usable_cores  # type: ignore[attr-defined]


def test_every_worker_has_one_torch_thread() -> None:
    """torch keeps this number for each thread; a worker with more would give other bits."""
    torch.set_num_threads(2)
    with PieceThreads(3) as piece_threads:
        found = piece_threads.map(lambda _: (time.sleep(0.01), torch.get_num_threads())[1], range(9))
        assert set(found) == {1} and torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_results_come_in_the_order_of_the_items() -> None:
    """Gradients are added in this order."""
    with PieceThreads(3) as piece_threads:
        assert piece_threads.map(lambda item: (time.sleep(0.003 * (5 - item)), item)[1], range(5)) == list(range(5))


def test_results_are_taken_one_by_one_and_few_wait() -> None:
    """Each result of a large network is its whole gradient; all of them at once would not fit."""
    started: list[int] = []
    with PieceThreads(2) as piece_threads:
        results = piece_threads.stream(lambda item: (started.append(item), item)[1], range(20))
        assert next(results) == 0
        time.sleep(0.05)
        assert len(started) <= 4
        assert list(results) == list(range(1, 20)) and sorted(started) == list(range(20))


def test_threads_that_last_are_the_same_ones_in_the_next_block() -> None:
    """New threads would take other arenas of the allocator: memory for nothing. Others end with their block."""
    names: list[set[int]] = []
    for lasting in (True, False):
        piece_threads = PieceThreads(2, lasting=lasting)
        for _ in range(2):
            with piece_threads:
                names.append(set(piece_threads.map(lambda _: (time.sleep(0.02), threading.get_native_id())[1], range(6))))
    assert names[0] == names[1] and not names[2] & names[3]


def test_an_error_in_a_worker_is_raised_and_the_setting_restored() -> None:
    """A swallowed error would be a silently smaller batch."""
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), PieceThreads(2) as piece_threads:
        piece_threads.map(lambda item: 1 / item, [1, 0])
    assert torch.get_num_threads() == before


def test_a_crew_needs_a_worker() -> None:
    """Zero means "as many as there are cores" one level up, never here."""
    with pytest.raises(ValueError, match="at least one"):
        PieceThreads(0)


def test_the_machine_has_cores_and_its_allocator_can_be_asked() -> None:
    """Both must work, or say no, on every system."""
    assert usable_cores() >= 1
    assert keep_freed_memory() in (True, False)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
def test_what_training_freed_can_be_given_back() -> None:
    """Kept for the next step while there is one; afterwards the report's libraries would come on top of it."""
    if not keep_freed_memory():
        pytest.skip("needs glibc")
    parts = [bytearray(b"x" * 2**20) for _ in range(200)]
    parts.clear()
    kept = resident_bytes()
    give_back_freed_memory()
    assert resident_bytes() < kept - 100 * 2**20
