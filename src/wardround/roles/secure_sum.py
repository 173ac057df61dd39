"""Sums of NumPy arrays over sites, with nobody reading one site's: counts, histograms, means. The masked sum without training.

    plan: who, what shapes, which bounds --agreed by all--> SumSite at each site, SumCoordinator anywhere --bytes--> SecureSum

Whole numbers are summed exactly. Real numbers are clipped to a stated bound and rounded at random onto a grid of 64 bits; the
error is stated. `secure_sum` runs all parties in this process, over the same bytes.
"""

import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.roles.events import silent
from wardround.roles.masked_summing import MaskedSumming
from wardround.roles.progress import KeyProgress
from wardround.roles.site_store import SiteStore
from wardround.roles.voice import Voice
from wardround.summation.approved import Approved
from wardround.summation.identity import Identity
from wardround.summation.masked_memory import Party
from wardround.summation.plain import Failed
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, EngineError, RefusedError, StudyError, WardroundError, WireError
from wardround.values.fixed_point import Grid
from wardround.values.ids import SiteId, site_id
from wardround.values.quorum import Quorum, smallest_threshold
from wardround.values.tree import Tree
from wardround.wire.envelope import from_bytes, to_bytes
from wardround.wire.messages import Ask, Order, OrderHeader, Refusal, RefusalHeader

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
    """What all sites agree on before they sum. keys: site -> public identity key. quantities: by name. threshold: left out for
    the smallest that protects. Raises StudyError where the sites are too few for `collusion`."""

    title: str
    keys: Mapping[str, str]
    quantities: Mapping[str, Quantity]
    threshold: int | None = None
    collusion: int = 1

    @cached_property
    def approved(self) -> Approved:
        sites = tuple(sorted(site_id(name) for name in self.keys))
        threshold = self.threshold or smallest_threshold(len(sites), self.collusion)
        agreed = {
            "title": self.title,
            "keys": dict(self.keys),
            "quantities": {name: asdict(quantity) for name, quantity in self.quantities.items()},
            "threshold": threshold,
            "collusion": self.collusion,
        }
        return Approved(sha256_hex(canonical_json(agreed)), Quorum(sites, threshold, self.collusion), self.keys)

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
            raise DataError(f"The array {name} holds real numbers and has no bound", mend="give it a bound, or whole numbers")
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


@dataclass(frozen=True)
class SecureSum:
    """total: the sums by name. counted: whose arrays are in it. lost: who is not, and why. error: largest error by name."""

    total: dict[str, NDArray[Any]]
    counted: tuple[SiteId, ...]
    lost: Mapping[SiteId, str] = field(default_factory=dict)
    error: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.total[name]


class SumSite:
    """One site's side: bytes in, bytes out. `values` is asked once for each sum, by its label."""

    def __init__(self, plan: SumPlan, name: str, identity: Identity, values: Callable[[str], Arrays], folder: Path) -> None:
        """folder: where the site keeps its keys and what it answered; it must outlive the process. Raises StudyError where the
        plan does not list this identity."""
        if plan.keys.get(name) != identity.public:
            raise StudyError(
                "The plan does not list this site's identity key", expected=identity.public, mend="agree on a plan anew"
            )
        approved = plan.approved
        self._plan, self._values, self._store = plan, values, SiteStore(folder)
        self._site = SiteId(name)
        party = Party(self._site, bytes.fromhex(approved.hash), approved.quorum, approved.keys, identity)
        self._voice = Voice(party, self._store)

    def close(self) -> None:
        self._store.close()

    def handle(self, data: bytes) -> bytes:
        """The answer to one message; a refusal in one word where a rule forbids an answer."""
        found = sha256_hex(data)
        try:
            return self._handle(data, found)
        except WardroundError as error:
            header = RefusalHeader(study=self._plan.approved.hash, site=self._site, order=found, code=error.code)
            return to_bytes(Refusal(header))

    def _handle(self, data: bytes, found: str) -> bytes:
        message, state = from_bytes(data), self._store.read()
        if not isinstance(message, Order | Ask):
            raise WireError("A site takes orders and asks only")
        if message.header.study != self._plan.approved.hash:
            raise RefusedError("The message belongs to another plan", code="study")
        if state.order == found:
            return self._store.last_answer().reply
        if isinstance(message, Order):
            return self._voice.contribute(message, found, state, lambda: (self._words(message), state))
        return self._voice.speak(message, found, state)

    def _words(self, order: Order) -> Tree:
        return self._plan.encode(self._values(order.header.label))


Trip = Callable[[Mapping[SiteId, bytes]], Mapping[SiteId, bytes]]


class SumCoordinator:
    """Carries sums over sites. `trip` brings messages to sites and back whatever answers came in time."""

    def __init__(self, plan: SumPlan, trip: Trip, folder: Path) -> None:
        """folder: what it needs to go on, also after a crash in the middle of a sum; without it the sites would refuse it."""
        self._plan, self._trip, self._file = plan, trip, folder / "keys.json"
        folder.mkdir(parents=True, exist_ok=True)
        self._summing = MaskedSumming(plan.approved, folder, self._exchange, self._keep, silent, self._kept())

    def _kept(self) -> KeyProgress:
        if not self._file.exists():
            return KeyProgress()
        return KeyProgress.from_json(json.loads(self._file.read_bytes()))

    def _keep(self, keys: KeyProgress) -> None:
        write_atomic(self._file, canonical_json(vars(keys)), private=True)

    def _exchange(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> Mapping[SiteId, bytes]:  # noqa: ARG002
        return self._trip(outbox)

    def sum(self, label: str = "", *, number: int = 1) -> SecureSum:
        """One sum over all sites. label, number: which one; asked once together. EngineError where too few contribute."""
        # What is asked must differ from sum to sum: for one content a site speaks for one set only.
        content = np.frombuffer(canonical_json([label, number, sorted(self._plan.quantities)]), np.uint8)
        sites = self._plan.approved.quorum.sites
        header = OrderHeader(study=self._plan.approved.hash, step="evaluate", round=number, label=label, cohort=sites)
        outcome, _ = self._summing.sum(Order(header, {"ask/what": content}), self._plan.layout)
        if isinstance(outcome, Failed):
            raise EngineError(
                "Too few sites contributed, so nothing was summed",
                expected=f"at least {outcome.minimum}",
                found=f"{len(outcome.counted)} ({', '.join(f'{site}: {why}' for site, why in outcome.lost.items())})",
            )
        self._keep(self._summing.progress)
        errors = {name: self._plan.error(name) for name in self._plan.quantities}
        return SecureSum(self._plan.decode(outcome.total), outcome.counted, outcome.lost, errors)


def secure_sum(
    values: Mapping[str, Arrays | NDArray[Any]],
    *,
    bound: float | Mapping[str, float] | None = None,
    threshold: int | None = None,
    collusion: int = 1,
    lost: Collection[str] = (),
) -> SecureSum:
    """The masked sum of every site's arrays, all parties in this process: to try it, and to see what it costs.

    values: site -> one array, or arrays by name; the same names and shapes at every site. Whole numbers are summed exactly; real
    ones need `bound`, one for all or by name. lost: sites that drop out after keys were agreed. Raises StudyError where the sites
    are too few for `collusion`, DataError for arrays that do not fit, EngineError where too few are left.

    >>> import numpy as np
    >>> ages = {"north": np.array([3, 1]), "south": np.array([0, 5]), "west": np.array([2, 2])}
    >>> secure_sum(ages)["values"].tolist()
    [5, 8]
    """
    arrays = {name: of if isinstance(of, Mapping) else {"values": of} for name, of in values.items()}
    first = next(iter(arrays.values()), {})
    identities = {name: Identity.new() for name in arrays}
    quantities = {
        name: Quantity(np.asarray(array).shape, _bound_of(name, np.asarray(array), bound)) for name, array in first.items()
    }
    keys = {name: identity.public for name, identity in identities.items()}
    plan = SumPlan("secure_sum", keys, quantities, threshold, collusion)
    for of in arrays.values():
        plan.encode(of)  # a mistake is told here, in full; a site would only say `data`
    with tempfile.TemporaryDirectory(prefix="wardround-sum-") as temporary:
        folder = Path(temporary)
        sites = {
            SiteId(name): SumSite(plan, name, identities[name], lambda _, name=name: arrays[name], folder / name)  # type: ignore[misc]
            for name in arrays
        }

        def trip(outbox: Mapping[SiteId, bytes]) -> dict[SiteId, bytes]:
            asks_for_keys = all(
                isinstance(message := from_bytes(data), Ask) and message.header.what == "keys" for data in outbox.values()
            )
            return {site: sites[site].handle(data) for site, data in outbox.items() if asks_for_keys or site not in lost}

        try:
            return SumCoordinator(plan, trip, folder / "coordinator").sum()
        finally:
            for site in sites.values():
                site.close()


def _bound_of(name: str, array: NDArray[Any], bound: float | Mapping[str, float] | None) -> float | None:
    found = bound.get(name) if isinstance(bound, Mapping) else bound
    return found if array.dtype.kind == "f" else None
