"""Named arrays as one vector and back: the sum adds vectors, the model is names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.values.tree import Tree, flatten, same_bits, shapes_of, size_of, unflatten

shapes = st.dictionaries(
    st.text("abz./_9", min_size=1, max_size=6), st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=5
)


def tree_of(shapes: dict[str, tuple[int, ...]]) -> Tree:
    count = iter(range(10_000))
    return {
        name: np.array([next(count) for _ in range(int(np.prod(shape)))], np.float32).reshape(shape)
        for name, shape in shapes.items()
    }


@given(shapes)
def test_flatten_then_unflatten_is_the_same_tree(shapes: dict[str, tuple[int, ...]]) -> None:
    """One value in the wrong place and every hospital trains a broken model. Arrays without axes and empty ones count too."""
    tree = tree_of(shapes)
    vector = flatten(tree, np.float32)
    assert len(vector) == size_of(shapes)
    assert same_bits(unflatten(vector, shapes_of(tree)), tree)


@given(shapes)
def test_the_vector_does_not_depend_on_the_order_of_names(shapes: dict[str, tuple[int, ...]]) -> None:
    """A dict's order is an accident of who built it."""
    tree = tree_of(shapes)
    turned = dict(reversed(tree.items()))
    assert flatten(tree).tobytes() == flatten(turned).tobytes()


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_vector_of_another_length_is_refused(length: int) -> None:
    """Silently cut or padded values would be somebody else's weights."""
    with pytest.raises(ValueError, match=r"shape|values"):
        unflatten(np.zeros(length), {"a": (2,), "b": (1, 2)})


def test_same_bits_sees_every_difference() -> None:
    """Every claim of "bit for bit" in these tests rests on this function."""
    base = {"w": np.array([0.0, 1.0], np.float32)}
    assert same_bits(base, {"w": np.array([0.0, 1.0], np.float32)})
    assert same_bits({"w": np.array([np.nan])}, {"w": np.array([np.nan])})
    for other in (
        {"w": np.array([-0.0, 1.0], np.float32)},
        {"w": np.array([0.0, 1.0])},
        {"w": np.array([[0.0, 1.0]], np.float32)},
        {"v": base["w"]},
        {},
        {**base, "v": base["w"]},
    ):
        assert not same_bits(base, other)
