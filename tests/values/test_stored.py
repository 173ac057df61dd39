"""Values and their files: every field is written and read back, and nothing unknown passes."""

from dataclasses import dataclass, field, fields

import numpy as np
import pytest

from wardround.hub.checkpoint import Progress
from wardround.values.canonical import canonical_json
from wardround.values.ids import SiteId
from wardround.values.stored import StoredBundle, StoredTree, head_of, stored_arrays, value_of


@dataclass(frozen=True)
class Inner:
    names: tuple[SiteId, ...]
    figure: float | None


@dataclass(frozen=True)
class Outer:
    number: int
    inner: tuple[Inner, ...]
    tree: StoredTree = field(default_factory=dict)
    bundle: StoredBundle = field(default_factory=dict)


VALUE = Outer(
    7,
    (Inner((SiteId("east"), SiteId("north")), 0.5), Inner((), None)),
    {"a.weight": np.arange(3, dtype=np.float32), "slash/ed": np.zeros(2)},
    {"model": {"b": np.ones(1)}, "control": {"b": np.full(1, 2.0)}},
)


def test_a_value_comes_back_from_its_header_and_arrays() -> None:
    """A field that a serialiser forgets is a run that resumes with another result."""
    head, arrays = head_of(VALUE), stored_arrays(VALUE)
    assert canonical_json(head)
    again = value_of(Outer, head, arrays)
    assert (again.number, again.inner) == (VALUE.number, VALUE.inner)
    assert again.tree.keys() == VALUE.tree.keys() and again.bundle.keys() == VALUE.bundle.keys()
    assert all(np.array_equal(again.tree[name], array) for name, array in VALUE.tree.items())
    assert all(np.array_equal(again.bundle[part]["b"], VALUE.bundle[part]["b"]) for part in VALUE.bundle)


def test_every_field_of_a_checkpoint_is_in_its_header_or_among_its_arrays() -> None:
    """A new field needs no second place to be declared in."""
    progress = Progress(
        study="s", state={"model": {"w": np.ones(1)}}, before={"model": {"w": np.ones(1)}}, frozen={"f": np.ones(1)}
    )
    written = head_of(progress).keys() | {name.split("/")[0] for name in stored_arrays(progress)}
    assert written == {one.name for one in fields(Progress)}


@pytest.mark.parametrize("change", [{"number": "seven"}, {"extra": 1}, {"inner": [{"names": []}]}, {"inner": 3}])
def test_a_header_of_another_release_is_refused(change: dict[str, object]) -> None:
    """What is not understood is refused, not read as something else."""
    with pytest.raises(ValueError, match=r"\w"):
        value_of(Outer, {**head_of(VALUE), **change}, stored_arrays(VALUE))
