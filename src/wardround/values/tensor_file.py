"""Named arrays and a small header in one safetensors file that proves its values: the state of a site, a checkpoint, a model."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError
from wardround.values.tree import Bundle, Tree, raw_bytes

_TYPES = {
    "bool": "BOOL",
    "float16": "F16",
    **{f"float{bits}": f"F{bits}" for bits in (32, 64)},
    **{f"{kind}int{bits}": f"{letter}{bits}" for kind, letter in (("", "I"), ("u", "U")) for bits in (8, 16, 32, 64)},
}


def array_types() -> Mapping[str, str]:
    """How a file calls a type of array -> what NumPy calls it."""
    return {short: name for name, short in _TYPES.items()}


def read_tensors(path: Path) -> tuple[Tree, Any]:
    """Arrays and header of a file that `write_tensors` made, or the arrays of any other. Raises RunError where it is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            own = json.loads((file.metadata() or {}).get("wardround", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        if own is None:
            return arrays, {}
        if own["sha256"] != _digest(arrays, own["head"]):
            raise ValueError("values that do not match their hash")
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{path} is damaged", found=type(error).__name__, hint="start the run again in a new folder") from error
    return arrays, own["head"]


def write_tensors(path: Path, arrays: Tree, head: Any, *, placed: bool | None = None) -> None:
    """Equal arrays and headers give equal files. (safetensors writes several metadata entries in any order, so there is one.)

    placed: the header also gets `place`, the file's own (or nothing for False), which no copy of the file has.
    """

    def content(file_place: str) -> list[bytes | memoryview]:
        full = head if placed is None else {**head, "place": file_place if placed else ""}
        own = canonical_json({"head": full, "sha256": _digest(arrays, full)}).decode()
        return _pieces(arrays, own)

    write_atomic(path, content, private=True)


def _pieces(arrays: Tree, own: str) -> list[bytes | memoryview]:
    """A safetensors file without a copy of anything in it: the library would make three of every array."""
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # wide types first, so that all are aligned
    header: dict[str, Any] = {"__metadata__": {"wardround": own}}
    start = 0
    for name in names:
        end = start + arrays[name].nbytes
        header[name] = {"dtype": _TYPES[arrays[name].dtype.name], "shape": list(arrays[name].shape), "data_offsets": [start, end]}
        start = end
    text = canonical_json(header)
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *(raw_bytes(arrays[name]) for name in names)]


def _digest(arrays: Tree, head: Any) -> str:
    """safetensors proves that a file's layout is possible, neither its names nor its values: a flipped bit would be a slightly
    other model, or the right weights under another name."""
    layout = [[name, arrays[name].dtype.name, list(arrays[name].shape)] for name in sorted(arrays)]
    digest = hashlib.sha256(canonical_json([head, layout]))
    for name in sorted(arrays):
        digest.update(raw_bytes(arrays[name]))
    return digest.hexdigest()


def arrays_of(bundles: Mapping[str, Bundle]) -> Tree:
    """Bundles as one tree: "bundle/part/name" -> array. Inverse of `bundle_in`."""
    return {
        f"{which}/{part}/{name}": array
        for which, bundle in bundles.items()
        for part, tree in bundle.items()
        for name, array in tree.items()
    }


def bundle_in(arrays: Tree, which: str) -> Bundle:
    """The bundle of that name among the arrays of a file; empty where there is none."""
    bundle: Bundle = {}
    for name, array in arrays.items():
        start, _, rest = name.partition("/")
        if start == which:
            part, _, key = rest.partition("/")
            bundle.setdefault(part, {})[key] = array
    return bundle
