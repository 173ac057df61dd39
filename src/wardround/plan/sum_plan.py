"""What all sites agree on before they sum arrays: who, what shapes, which bounds. Words that any sum of them follows from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from wardround.crypto.curve_points import is_signing_key
from wardround.crypto.quorum import Quorum, smallest_threshold
from wardround.privacy.bounded_arrays import Arrays, ArrayWords, Quantity
from wardround.summation.approved import Approved
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import RefusedError, StudyError
from wardround.values.ids import site_id
from wardround.values.tree import Tree

__all__ = ["Arrays", "Quantity", "SumPlan"]


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
        return self._words.layout

    @cached_property
    def _words(self) -> ArrayWords:
        return ArrayWords(self.quantities, len(self.keys))

    def encode(self, values: Arrays) -> Tree:
        """One site's words. DataError where names, shapes or numbers are not as planned."""
        return self._words.encode(values)

    def decode(self, total: Tree) -> dict[str, NDArray[Any]]:
        """The sums, in the planned shapes: int64 for whole numbers, float64 for real ones."""
        return self._words.decode(total)

    def error(self, name: str) -> float:
        """Largest error of one value of the sum, besides clipping: 0 for whole numbers."""
        return self._words.error(name)
