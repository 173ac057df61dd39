"""Programs of benchmarks/reading as modules: they are no package, and are run by their path."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

READING = Path(__file__).parents[2] / "benchmarks" / "reading"


def load_benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", READING / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
