"""Sums of NumPy arrays over sites, with nobody reading one site's: counts, histograms, means. The masked sum without training.

    plan: who, what shapes, which bounds --agreed by all--> SumSite at each site, SumCoordinator anywhere --bytes--> SecureSum

Whole numbers are summed exactly. Real numbers are clipped to a stated bound and rounded at random onto a grid of 64 bits; the
error is stated. `secure_sum` runs all parties in this process, over the same bytes.
"""

import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.crypto.identity import Identity
from wardround.hub.sum_coordinator import SecureSum, SumCoordinator
from wardround.plan.sum_plan import Arrays, Quantity, SumPlan
from wardround.site.sum_site import SumSite
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import Ask


def secure_sum(
    values: Mapping[str, Arrays | NDArray[Any]],
    *,
    bound: float | Mapping[str, float] | None = None,
    threshold: int | None = None,
    collusion: int = 1,
    lost: Collection[str] = (),
) -> SecureSum:
    """The masked sum of every site's arrays, all parties in this process: to try it, and to see what it costs.

    Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017, and Bell et al., "Secure
    Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020.

    Parameters
    ----------
    values
        Site -> one array, or arrays by name; the same names and shapes at every site.
    bound
        The largest magnitude that counts, above 0: one for all arrays, or one by name. Real numbers need it, and are clipped to
        it. Whole numbers do not read it, and are summed exactly.
    threshold
        How many sites must answer to open the sum. Left out: the smallest number that protects.
    collusion
        How many sites may help the coordinator, and it still reads no other site's arrays; from 0.
    lost
        Sites that drop out after keys were agreed.

    Returns
    -------
    SecureSum
        The sums, in the shapes of the arrays; who is in them, and how exact they are.

    Raises
    ------
    StudyError
        Where the sites are too few for `collusion`.
    DataError
        Where names, shapes or numbers do not fit.
    EngineError
        Where fewer than `threshold` sites are left.

    Examples
    --------
    >>> import numpy as np
    >>> ages = {"north": np.array([3, 1]), "south": np.array([0, 5]), "west": np.array([2, 2])}
    >>> secure_sum(ages)["values"].tolist()
    [5, 8]
    """
    arrays = {name: own if isinstance(own, Mapping) else {"values": own} for name, own in values.items()}
    first = next(iter(arrays.values()), {})
    identities = {name: Identity.new() for name in arrays}
    quantities = {
        name: Quantity(np.asarray(array).shape, _bound_of(name, np.asarray(array), bound)) for name, array in first.items()
    }
    keys = {name: identity.public for name, identity in identities.items()}
    # In their first sum sites witness each other's beginning: whoever is to be lost must have been in one.
    labels = ("begin", "") if lost else ("",)
    plan = SumPlan("secure_sum", keys, quantities, threshold, collusion, labels)
    for own in arrays.values():
        plan.encode(own)  # a mistake is told here, in full; a site would only say `data`
    with tempfile.TemporaryDirectory(prefix="wardround-sum-") as temporary:
        folder = Path(temporary)
        sites = {SiteId(name): SumSite(plan, name, identities[name], _always(arrays[name]), folder / name) for name in arrays}

        def trip(outbox: Mapping[SiteId, bytes]) -> dict[SiteId, bytes]:
            asks_for_keys = all(
                isinstance(message := from_bytes(data), Ask) and message.header.what == "keys" for data in outbox.values()
            )
            silent = lost if begun and not asks_for_keys else ()
            return {site: sites[site].handle(data) for site, data in outbox.items() if site not in silent}

        begun = False
        try:
            coordinator = SumCoordinator(plan, trip, folder / "coordinator")
            if lost:
                coordinator.sum("begin")
            begun = True
            return coordinator.sum()
        finally:
            for site in sites.values():
                site.close()


def _always(arrays: Arrays) -> Callable[[str, int], Arrays]:
    """The values of a site that is asked for one sum."""
    return lambda label, number: arrays  # noqa: ARG005


def _bound_of(name: str, array: NDArray[Any], bound: float | Mapping[str, float] | None) -> float | None:
    stated = bound.get(name) if isinstance(bound, Mapping) else bound
    return stated if array.dtype.kind == "f" else None
