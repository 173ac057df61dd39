"""benchmarks/reading/images.py measures what the page says it does."""

from pathlib import Path
from types import ModuleType

import pytest

from .benchmark_modules import load_benchmark


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_benchmark("images")


@pytest.mark.slow
def test_every_image_is_checked_and_fewer_are_marked_as_scaled(benchmark: ModuleType, tmp_path: Path) -> None:
    """A benchmark that reads nothing is the fastest; a scaled figure may not pass for a measured one."""
    benchmark.write_images(tmp_path, 40)
    assert benchmark.check(tmp_path, 32)["records"] == 40
    figures = benchmark.measured(tmp_path, 40, 32)
    assert figures["scaled"] is True and figures["images"] == 40
    assert figures["images_100k_s"] > 0 and figures["peak_mb"] > 20
