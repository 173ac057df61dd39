"""What all sites agree on before they sum arrays: who, what shapes, which bounds. Words that any sum of them follows from."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.curve_points import is_signing_key
from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.privacy.fixed_point import Grid
from wardround.summation.approved import Approved
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import DataError, RefusedError, StudyError
from wardround.values.ids import site_id
from wardround.values.tree import Tree

Arrays = Mapping[str, NDArray[Any]]
_PART = "sum"


@dataclass(frozen=True)
class Quantity:
    """One array of a sum. bound: None for whole numbers, summed exactly; else the largest absolute value of a real number."""

    shape: tuple[int, ...]
    bound: float | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class SumPlan:
    """What all sites agree on before they sum.

    Parameters
    ----------
    title
        What is summed, in words.
    keys
        Site -> its public identity key, as hexadecimal text.
    quantities
        Name -> the shape and the bound of an array.
    threshold
        How many sites must answer to open the sum. Left out: the smallest number that protects.
    collusion
        How many sites may help the coordinator, and it still reads no other site's arrays; from 0.
    labels
        The sums, by label: each is asked once for each number. Up to 80 letters, digits, `_` and `-`.
    numbers
        How often each label may be asked, under the numbers 1, 2, ...; at least 1.
    set_changes
        How often the set of sites in a sum may change from one sum to the next. Left out: as often as there are sites.

    Raises
    ------
    StudyError
        A key is no identity key, or two sites have the same; from `approved`, where the sites are too few for `collusion`.
    """

    title: str
    keys: Mapping[str, str]
    quantities: Mapping[str, Quantity]
    threshold: int | None = None
    collusion: int = 1
    labels: tuple[str, ...] = ("",)
    numbers: int = 1
    set_changes: int | None = None

    def __post_init__(self) -> None:
        for name, key in self.keys.items():
            if not is_signing_key(key):
                raise StudyError(
                    f"The key of {name} is no identity key: anybody could sign under it, or nobody",
                    expected="64 hexadecimal digits of an Ed25519 public key",
                    found=repr(key)[:80],
                    hint=f"ask {name} for its identity.public, and compare it by telephone",
                )
        if len(set(self.keys.values())) != len(self.keys):
            raise StudyError("Two sites have the same identity key: somebody would be counted twice")

    def require_named(self, label: str, number: int) -> None:
        """RefusedError for a sum that the sites did not agree on."""
        if label not in self.labels or not 1 <= number <= self.numbers:
            raise RefusedError(
                "The sum is not one that the sites agreed on",
                expected=f"one of {', '.join(map(repr, self.labels))}, number 1 to {self.numbers}",
                found=f"{label!r}, number {number}",
                hint="agree on a plan with this label and number",
                code="not-in-study",
            )

    @cached_property
    def approved(self) -> Approved:
        sites = tuple(sorted(site_id(name) for name in self.keys))
        threshold = self.threshold or smallest_threshold(len(sites), self.collusion)
        changes = len(sites) if self.set_changes is None else self.set_changes
        agreed = {
            "title": self.title,
            "keys": dict(self.keys),
            "quantities": {name: asdict(quantity) for name, quantity in self.quantities.items()},
            "threshold": threshold,
            "collusion": self.collusion,
            "labels": list(self.labels),
            "numbers": self.numbers,
            "set_changes": changes,
        }
        return Approved(sha256_hex(canonical_json(agreed)), Quorum(sites, threshold, self.collusion), self.keys, changes)

    @property
    def layout(self) -> dict[str, tuple[str, int]]:
        return {f"{_PART}/{name}": ("uint64", quantity.size) for name, quantity in sorted(self.quantities.items())}

    def encode(self, values: Arrays) -> Tree:
        """One site's words. DataError where names, shapes or numbers are not as planned."""
        if values.keys() != self.quantities.keys():
            raise DataError(
                "The arrays to sum are not those planned",
                expected=", ".join(sorted(self.quantities)),
                found=", ".join(sorted(values)) or "none",
            )
        return {f"{_PART}/{name}": self._encoded(name, np.asarray(values[name])) for name in sorted(values)}

    def _encoded(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        quantity = self.quantities[name]
        if array.shape != quantity.shape:
            raise DataError(
                f"The array {name} has another shape than planned", expected=f"{quantity.shape}", found=f"{array.shape}"
            )
        if quantity.bound is None:
            return self._whole(name, array)
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise DataError(f"The array {name} holds something else than finite numbers")
        words, _ = self._grid(quantity.bound).encode(array, os.urandom(32))
        return words

    def _whole(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        limit = (2**63 - 1) // len(self.keys)
        if array.dtype.kind not in "iub":
            raise DataError(f"The array {name} holds real numbers and has no bound", hint="give it a bound, or whole numbers")
        if array.size and (int(array.max()) > limit or int(array.min()) < -limit):
            raise DataError(f"The array {name} holds numbers whose sum could overflow", expected=f"-{limit} to {limit}")
        return array.astype(np.int64).reshape(-1).view(np.uint64).copy()

    def _grid(self, bound: float) -> Grid:
        return Grid(bound, len(self.keys), 64)

    def decode(self, total: Tree) -> dict[str, NDArray[Any]]:
        """The sums, in the planned shapes: int64 for whole numbers, float64 for real ones."""
        return {
            name: (
                total[f"{_PART}/{name}"].view(np.int64)
                if quantity.bound is None
                else self._grid(quantity.bound).decode(total[f"{_PART}/{name}"])
            ).reshape(quantity.shape)
            for name, quantity in self.quantities.items()
        }

    def error(self, name: str) -> float:
        """Largest error of one value of the sum, besides clipping: 0 for whole numbers."""
        bound = self.quantities[name].bound
        return 0.0 if bound is None else self._grid(bound).error_bound
