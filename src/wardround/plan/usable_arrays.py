"""Which arrays of an order a site works with: finite ones, within one public bound, whatever the study and its privacy.

    order --require_usable--> work          otherwise the word `model`, before any record is looked at

The bound. An array of a model outside it has one purpose, to make a site's arithmetic overflow for some patients and not for
others. It stands far beyond all honest ones: weights stay below 10, a step of a round changes a value by at most
`summation.clip` (4 unless the study says more, and never above 10^6), and the largest value of any network that Wardround starts
from is 566, a variance in the published weights of EfficientNet-Lite0. The bound alone proves nothing: deep networks overflow
within it. That an overflow does not show is the site's own rule (`site/work.py`).
"""

from collections.abc import Mapping

from wardround.values.errors import RefusedError
from wardround.values.tree import Array

LARGEST = 2.0**20
"""Of any array of an order, either way: just above the largest `summation.clip`."""


def is_usable(arrays: Mapping[str, Array]) -> bool:
    """Whether every value is finite and within LARGEST."""
    return all(_within(array) for array in arrays.values())


def require_usable(arrays: Mapping[str, Array]) -> None:
    """Refuse an order's arrays that no honest model needs.

    Parameters
    ----------
    arrays
        All arrays of the order, by name.

    Raises
    ------
    RefusedError
        With the word `model`, where a value is not finite or beyond LARGEST.
    """
    if is_usable(arrays):
        return
    raise RefusedError(
        "The order holds values that are not finite, or larger than any model's",
        expected=f"values from -{LARGEST:.0f} to {LARGEST:.0f}",
        found=f"others in {', '.join(sorted(name for name, array in arrays.items() if not _within(array)))}"[:200],
        hint="if the model diverged, lower the coordinator's learning rate or training.learning_rate; else ask its people",
        code="model",
    )


def _within(array: Array) -> bool:
    """No temporary array is made. A NaN is within nothing."""
    return array.size == 0 or bool(array.max() <= LARGEST and array.min() >= -LARGEST)
