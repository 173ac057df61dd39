"""The coordinator of sums of plain arrays: the masked sum without training."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wardround.hub.checkpoint import KeyProgress
from wardround.hub.masked_summing import MaskedSumming
from wardround.hub.notices import silent
from wardround.plan.sum_plan import SumPlan
from wardround.summation.plain import SumFailed
from wardround.values.canonical import canonical_json
from wardround.values.durable import sweep, write_atomic
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.stored import head_of, value_of
from wardround.wire.messages import Order, OrderHeader


@dataclass(frozen=True)
class SecureSum:
    """The sums of the arrays of several sites. `sums["name"]` is one of them.

    Attributes
    ----------
    total
        The sums by name, in the shapes of the arrays: int64 of whole numbers, float64 of real ones.
    counted
        The sites whose arrays are in the sums.
    lost
        The sites that are not in them -> why, in one word.
    error
        Name -> the largest error of one number of that sum, besides clipping; 0 for whole numbers.
    """

    total: dict[str, NDArray[Any]]
    counted: tuple[SiteId, ...]
    lost: Mapping[SiteId, str] = field(default_factory=dict)
    error: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.total[name]


Trip = Callable[[Mapping[SiteId, bytes]], Mapping[SiteId, bytes]]


class SumCoordinator:
    """Carries sums over sites, and reads no site's arrays.

    Parameters
    ----------
    plan
        What the sites agreed on.
    trip
        Takes the messages by site, and returns the answers that came in time, as bytes.
    folder
        Where it keeps what it needs to go on after a crash. Without it the sites would refuse it.
    """

    def __init__(self, plan: SumPlan, trip: Trip, folder: Path) -> None:
        self._plan, self._trip, self._file = plan, trip, folder / "keys.json"
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        self._summing = MaskedSumming(plan.approved, folder, self._carry, self._keep, silent, self._kept())

    def _kept(self) -> KeyProgress:
        if not self._file.exists():
            return KeyProgress()
        return value_of(KeyProgress, json.loads(self._file.read_bytes()))

    def _keep(self, keys: KeyProgress) -> None:
        write_atomic(self._file, canonical_json(head_of(keys)), private=True)

    def _carry(self, outbox: Mapping[SiteId, bytes], *, heard: bool) -> Mapping[SiteId, bytes]:  # noqa: ARG002
        return self._trip(outbox)

    def sum(self, label: str = "", *, number: int = 1) -> SecureSum:
        """One sum over all sites.

        Parameters
        ----------
        label, number
            Which of the plan's sums it is; number from 1. Each pair of them is asked once.

        Raises
        ------
        RefusedError
            Where the plan has no such sum.
        EngineError
            Where too few sites contribute, with each one's word.
        """
        self._plan.require_named(label, number)
        sites = self._plan.approved.quorum.sites
        header = OrderHeader(study=self._plan.approved.hash, step="evaluate", round=number, label=label, cohort=sites)
        outcome, _ = self._summing.sum(Order(header), self._plan.layout)
        if isinstance(outcome, SumFailed):
            raise self._too_few(outcome)
        self._keep(self._summing.keys)
        errors = {name: self._plan.error(name) for name in self._plan.quantities}
        return SecureSum(self._plan.decode(outcome.total), outcome.counted, outcome.lost, errors)

    def _too_few(self, failed: SumFailed) -> EngineError:
        """The error of a sum that failed. One that can never be opened is over, and must not bind the next."""
        over = self._summing.closed_for_ever(failed)
        if over:
            self._summing.give_up()
            self._keep(self._summing.keys)
        return EngineError(
            "Too few sites contributed, so nothing was summed",
            expected=f"at least {failed.minimum}",
            found=f"{len(failed.counted)} ({', '.join(f'{site}: {why}' for site, why in failed.lost.items())})",
            hint="this sum can never be opened: ask for another number or label of the plan"
            if over
            else "bring the missing sites back, and ask for the same sum again",
        )
