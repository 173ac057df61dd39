"""benchmarks/reading/images.py measures what the page says it does."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = ROOT / "benchmarks" / "reading" / "images.py"
    spec = importlib.util.spec_from_file_location("benchmark_images", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_image_is_checked_and_fewer_are_marked_as_scaled(benchmark: ModuleType, tmp_path: Path) -> None:
    """A benchmark that reads nothing is the fastest; a scaled figure may not pass for a measured one."""
    benchmark.write_images(tmp_path, 40)
    assert benchmark.check(tmp_path, 32)["records"] == 40
    figures = benchmark.measured(tmp_path, 40, 32)
    assert figures["scaled"] is True and figures["images"] == 40
    assert figures["images_100k_s"] > 0 and figures["peak_mb"] > 20
