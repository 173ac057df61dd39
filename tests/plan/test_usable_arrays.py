"""The public bound of an order's arrays: no honest model comes near it, and nothing that is no number passes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.plan.plan import Plan
from wardround.plan.usable_arrays import LARGEST, is_usable, require_usable
from wardround.study.reading import load_study
from wardround.study.sections.summation import SummationSection
from wardround.values.errors import MissingExtraError, RefusedError


def examples() -> Iterator[Any]:
    """Those with a backbone measure drawn radiographs for their first model, which takes long: a run of all tests takes one."""
    for path in sorted(Path(__file__).parents[2].joinpath("examples").glob("*.toml")):
        if not path.name.endswith(".run.toml") and "\n[analysis]" not in path.read_text("utf-8"):  # an analysis has no model
            slow = "backbone" in path.read_text("utf-8")
            more = [] if path.stem == "pneumonia_kind" else [pytest.mark.many]
            yield pytest.param(path, id=path.stem, marks=[pytest.mark.slow, *more] if slow else [])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.5 * LARGEST, -1.5 * LARGEST, 3e38])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 2, 5)])
def test_one_value_is_enough_to_refuse_an_order(bad: float, shape: tuple[int, ...]) -> None:
    """A single weight decides for whom a model overflows."""
    good = {"model/a": np.full((7,), LARGEST, np.float32), "model/b": np.full(shape, -LARGEST, np.float32)}
    require_usable(good)
    spoilt = np.zeros(shape, np.float32)
    spoilt[(-1,) * len(shape)] = bad
    assert not is_usable({**good, "control/c": spoilt})
    with pytest.raises(RefusedError, match="control/c") as caught:
        require_usable({**good, "control/c": spoilt})
    assert caught.value.code == "model"


def test_nothing_and_empty_arrays_are_usable() -> None:
    """A close has no arrays, and numpy has no largest value of none."""
    require_usable({})
    require_usable({"model/a": np.zeros((0, 3), np.float32), "model/b": np.arange(3, dtype=np.uint8)})


@pytest.mark.parametrize("path", list(examples()))
def test_the_first_model_of_every_example_is_a_thousand_times_smaller(path: Path) -> None:
    """The bound must never end an honest run."""
    try:
        model = Plan(load_study(path)).initial_model()
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert max(float(np.abs(array).max()) for array in model.values()) < LARGEST / 1000


def test_the_largest_change_of_one_round_is_within_the_bound() -> None:
    """An honest study may set a clip of a million: one round of it must not make a model that no site looks at."""
    (limit,) = [part.le for part in SummationSection.model_fields["clip"].metadata if hasattr(part, "le")]
    assert limit <= LARGEST
