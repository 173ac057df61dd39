"""Named arrays. A Tree is one model-shaped thing; a Bundle is a few trees by the kind of value they hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tree = dict[str, NDArray[Any]]
Bundle = dict[str, Tree]
Shapes = dict[str, tuple[int, ...]]


def shapes_of(tree: Mapping[str, Array]) -> Shapes:
    """Names and shapes, in name order."""
    return {name: tuple(tree[name].shape) for name in sorted(tree)}


def flatten(tree: Mapping[str, Array], dtype: Any = np.float64) -> NDArray[Any]:
    """All values as one vector, arrays in name order, each row by row. Inverse of `unflatten`."""
    if not tree:
        return np.zeros(0, dtype)
    return np.concatenate([np.asarray(tree[name], dtype).reshape(-1) for name in sorted(tree)])


def unflatten(vector: Array, shapes: Mapping[str, tuple[int, ...]]) -> Tree:
    """The tree whose `flatten` is `vector`.

    >>> unflatten(flatten({"b": np.ones(2), "a": np.zeros((1, 1))}), {"a": (1, 1), "b": (2,)})["b"]
    array([1., 1.])
    """
    tree: Tree = {}
    start = 0
    for name in sorted(shapes):
        size = int(np.prod(shapes[name], dtype=np.int64))
        tree[name] = vector[start : start + size].reshape(shapes[name])
        start += size
    if start != len(vector):
        raise ValueError(f"the shapes hold {start} values, the vector {len(vector)}")
    return tree


def size_of(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())


def same_bits(left: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    """Same names, types, shapes and bits (so that -0.0 differs from 0.0, and a NaN equals itself)."""
    return sorted(left) == sorted(right) and all(
        left[name].dtype == right[name].dtype
        and left[name].shape == right[name].shape
        and np.ascontiguousarray(left[name]).tobytes() == np.ascontiguousarray(right[name]).tobytes()
        for name in left
    )


def raw_bytes(array: Array) -> memoryview:
    """The array's bytes, little-endian and in C order, without a copy where they lie so already."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8).data
