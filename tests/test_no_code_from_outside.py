"""A site runs the program that is installed there: nothing that it reads becomes code."""

import ast
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wardround"
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "imp", "runpy"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
LOADERS = {
    ("torch", "load"): ("weights_only", True),
    ("np", "load"): ("allow_pickle", False),
    ("numpy", "load"): ("allow_pickle", False),
}
"""Calls that can run what they read, and the keyword with which they cannot."""


def ways_in(source: str) -> Iterator[str]:
    """Every import, call and keyword by which text or data could become code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"from {node.module}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BUILTINS:
            yield f"{node.func.id}()"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            keyword, safe = LOADERS.get((node.func.value.id, node.func.attr), ("", None))
            stated = {key.arg: key.value.value for key in node.keywords if isinstance(key.value, ast.Constant)}
            if keyword and stated.get(keyword, "unsaid") is not safe:
                yield f"{node.func.value.id}.{node.func.attr} without {keyword}={safe}"


@pytest.mark.slow
def test_nothing_that_is_read_becomes_code() -> None:
    """A pickle, a model in a framework's own format, a study with an expression in it: each is a program of somebody else's."""
    ways_by_file = {
        str(path.relative_to(SOURCE)): list(ways_in(path.read_text("utf-8"))) for path in sorted(SOURCE.rglob("*.py"))
    }
    assert len(ways_by_file) > 200
    assert {name: ways for name, ways in ways_by_file.items() if ways} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=allowed)",
    ],
)
def test_every_such_way_is_seen(source: str) -> None:
    """A walk that misses one would be a way around the rule."""
    assert list(ways_in(source))


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_weights_file_that_holds_a_program_does_not_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published weights are in PyTorch's own format, which is a pickle: somebody may put another file in their place."""
    torch = pytest.importorskip("torch")
    from wardround.training.networks import efficientnet_lite0

    torch.save({"head.weight": Trap(tmp_path / "ran")}, tmp_path / "weights.pth")
    monkeypatch.setattr(efficientnet_lite0, "_weights_path", lambda: tmp_path / "weights.pth")
    with pytest.raises(pickle.UnpicklingError):
        efficientnet_lite0.load_imagenet(torch.nn.Linear(1, 1))
    assert not (tmp_path / "ran").exists()
