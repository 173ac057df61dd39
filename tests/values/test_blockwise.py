"""Arithmetic block by block: the same bits as at once, and without the memory that at once takes."""

import tracemalloc

import numpy as np
import pytest

from wardround.privacy.fixed_point_mechanism import reveal
from wardround.privacy.frame import Frame
from wardround.values.blockwise import BLOCK, add_weighted, distance_squared, divided
from wardround.values.contribution import Contribution

SHAPES = [(), (0,), (3,), (BLOCK,), (2, BLOCK // 2 + 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_give_the_bits_of_the_whole(shape: tuple[int, ...]) -> None:
    """A model that came out of blocks is the model of a simulation, bit for bit."""
    rng = np.random.default_rng(3)
    array, sums = rng.standard_normal(shape).astype(np.float32), np.array(rng.standard_normal(shape))
    expected = sums + array.astype(np.float64) * 12_345
    add_weighted(sums, array, 12_345)
    assert np.array_equal(sums, expected)
    assert np.array_equal(divided(sums, 777), (sums / 777).astype(np.float32))
    length = float(np.linalg.norm((sums / 777 - array).reshape(-1)))
    assert distance_squared(sums, 777, array) == pytest.approx(length**2, rel=1e-12)


def test_a_total_is_never_whole_in_float64() -> None:
    """A hub that sums models of 100 MB would need 200 MB more, and as much again while it divides."""
    shapes = {f"layer{number}": (1 << 18,) for number in range(16)}
    frame = Frame(sites=3, real={"model": shapes}, counts={"weight": (), "clipped": ()}, weight=100, clip=4.0, bits=16)
    size = 16 << 18
    total = {"model/words": np.zeros(size, np.uint16), "counts/words": np.array([0, 60], np.uint64)}
    model = {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}
    tracemalloc.start()
    contribution: Contribution = reveal(total, {"model": model}, frame)
    after = {name: divided(array, contribution.weight) for name, array in contribution.values["model"].items()}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(np.array_equal(after[name], model[name]) for name in model)
    assert peak < 1.4 * 4 * size
