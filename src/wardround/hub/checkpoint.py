"""How far a run has come, as one value and one file: the coordinator's checkpoint.

    open -> train 1..R -> own 1..R (if asked) -> evaluate -> personal (if asked) -> close

A checkpoint is written after every exchange whose result counts. A run killed anywhere goes on from the last one; since orders
follow from the checkpoint alone, sites that had answered the repeated order send their stored bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardround.hub.exchange import Traffic
from wardround.plan.plan import LOSS_UNIT
from wardround.privacy.fixed_point_mechanism import CLIPPED
from wardround.summation.masked.attempt import OTHER_SEED
from wardround.summation.plain import SumFailed, SumOpened
from wardround.tasks.sums import Sums
from wardround.values.canonical import finite_or_none
from wardround.values.contribution import Contribution
from wardround.values.errors import RunError
from wardround.values.ids import SiteId
from wardround.values.mapped_tensors import MappedFiles
from wardround.values.stored import StoredBundle, StoredTree, head_of, stored_arrays, value_of
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Bundle, Tree
from wardround.wire.messages import Statement

FILE = "checkpoint.safetensors"
LATEST = 16


@dataclass(frozen=True)
class KeyProgress:
    """What the coordinator keeps of the masked sums. turn: the last one used up. attempt: the next of the sum at hand.

    counted: the set that sites may have spoken for in this sum; they speak for no other. answered: the set that sites may have
    answered for in an opening. certify: whether some site speaks only
    before witnesses, as each does until its first sum. roster: the keys of the epoch, as the sites stated them. turns: site ->
    the last turn in which others may hold its shares. counters: how often each said that it has spoken. One that states less of
    either has forgotten.

    last_set: the set that sites may have spoken for last. set_changes: how often that was another one than before: no site has
    counted more. disputes: how often each site was left out because it and another were at odds.
    """

    epoch: int = 0
    turn: int = 0
    attempt: int = 1
    counted: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    certify: bool = True
    roster: tuple[Statement, ...] = ()
    turns: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    last_set: tuple[str, ...] = ()
    set_changes: int = 0
    disputes: dict[str, int] = field(default_factory=dict)

    def after_total(
        self, turn: int, lost: Mapping[SiteId, str], roster: tuple[Statement, ...], *, certify: bool
    ) -> "KeyProgress":
        """After a sum that opened without these sites."""
        left_out = {str(site): self.disputes.get(site, 0) + 1 for site, word in lost.items() if word == OTHER_SEED}
        disputes = {**self.disputes, **left_out}
        ahead = replace(self, turn=turn, attempt=1, roster=roster, certify=certify, disputes=disputes)
        return replace(ahead, counted=(), answered=())

    def asked_for(self, counted: tuple[SiteId, ...], turn: int) -> "KeyProgress":
        """After the sites were asked to speak for a set: from now on each of them may have."""
        changed = bool(self.last_set) and self.last_set != counted
        turns = {**self.turns, **{str(site): turn for site in counted}}
        return replace(self, counted=counted, last_set=counted, set_changes=self.set_changes + changed, turns=turns)


@dataclass(frozen=True)
class RoundHistory:
    """One finished training round. loss: mean over the last local epoch. validation: summed counts of the model that came in.

    Both are left out of a round that misses a site of the opening: their difference to another round's would show that site.
    discarded: why the total was not used, or was rolled back, or why there is none.
    """

    round: int
    seconds: float
    counted: tuple[SiteId, ...]
    lost: dict[SiteId, str]
    loss: float | None
    clipped: int
    validation: dict[str, Any]
    bytes_out: int
    bytes_in: int
    exchanges: int = 1
    discarded: str = ""

    @classmethod
    def without_total(
        cls, number: int, seconds: float, failed: SumFailed, traffic: Traffic, reason: str, scores: Sums
    ) -> "RoundHistory":
        """A round that cannot be opened any more. scores: of no records."""
        return cls(
            round=number,
            seconds=seconds,
            counted=(),
            lost=dict(failed.lost),
            loss=None,
            clipped=0,
            validation=scores.to_json(),
            bytes_out=traffic.out,
            bytes_in=traffic.back,
            exchanges=traffic.exchanges,
            discarded=reason,
        )

    @classmethod
    def of_total(
        cls, number: int, seconds: float, opened: SumOpened, total: Contribution, traffic: Traffic, scores: Sums, *, whole: bool
    ) -> "RoundHistory":
        """A round as its sum gave it. scores: of the model that came in. whole: whether every site of the opening is in it."""
        loss, count = (int(value) for value in total.counts["loss"]) if whole and "loss" in total.counts else (0, 0)
        return cls(
            round=number,
            seconds=seconds,
            counted=opened.counted,
            lost=dict(opened.lost),
            loss=finite_or_none(loss * LOSS_UNIT / count) if count else None,
            clipped=int(total.counts.get(CLIPPED, 0)) if whole else 0,
            validation=scores.to_json(),
            bytes_out=traffic.out,
            bytes_in=traffic.back,
            exchanges=traffic.exchanges,
        )


@dataclass(frozen=True)
class Progress:
    """study: its hash. sites: who opened the run. dataset_counts: summed counts. state: the algorithm's. opening: the number of
    the opening at hand, or of the one that was used. opened: what it asked, as a hash.

    before: the state that the last round began with, where a round can be rolled back. evaluations: label -> split -> sums.
    personal: whether the hospitals were told to make their personal models.
    missed: labels whose evaluation stopped a run, since a site was missing; a resumed one goes on without their figures.
    """

    study: str
    sites: tuple[SiteId, ...] = ()
    weight: int = 0
    dataset_counts: dict[str, list[int]] = field(default_factory=dict)
    round: int = 0
    own_round: int = 0
    state: StoredBundle = field(default_factory=dict)
    frozen: StoredTree = field(default_factory=dict)
    history: tuple[RoundHistory, ...] = ()
    evaluations: dict[str, Any] = field(default_factory=dict)
    opening: int = 0
    opened: str = ""
    personal: bool = False
    closed: bool = False
    missed: tuple[str, ...] = ()
    before: StoredBundle = field(default_factory=dict)
    keys: KeyProgress = field(default_factory=KeyProgress)

    @property
    def model(self) -> Tree:
        """The whole federated model as it stands."""
        return {**self.frozen, **self.state["model"]}

    @property
    def last_counted(self) -> dict[str, int]:
        """The last round in whose total each site was; sites that were in none are absent."""
        return {str(site): entry.round for entry in self.history for site in entry.counted}

    @property
    def disputed(self) -> dict[str, int]:
        """The last round that went on without a site because it and another were at odds; other sites are absent."""
        return {str(site): entry.round for entry in self.history for site, word in entry.lost.items() if word == OTHER_SEED}

    @property
    def unused(self) -> tuple[int, ...]:
        """Rounds whose totals were not used, or rolled back: as far as a site may have been in one last, so that headers stay
        small."""
        told = {*self.last_counted.values(), *range(self.round - LATEST + 1, self.round + 1)}
        return tuple(entry.round for entry in self.history if entry.discarded and entry.round in told)

    def with_round(self, entry: RoundHistory, state: Bundle | None = None, before: Bundle | None = None) -> "Progress":
        """The progress after one more round. state, before: as they are now where they are not given."""
        return replace(
            self,
            round=entry.round,
            history=(*self.history, entry),
            state=self.state if state is None else state,
            before=self.before if before is None else before,
        )

    def rolled_back(self, reason: str) -> "Progress":
        """The state before the last round, which is marked as not used."""
        last = replace(self.history[-1], discarded=reason)
        return replace(self, state=self.before, before={}, history=(*self.history[:-1], last))


def save(progress: Progress, folder: Path) -> None:
    """Whole or not at all: a full disk leaves the earlier checkpoint."""
    write_tensors(folder / FILE, stored_arrays(progress), head_of(progress))


def on_disk(progress: Progress, folder: Path, files: MappedFiles) -> Progress:
    """The progress that was just saved in this folder, with its arrays where they lie in the file."""
    return value_of(Progress, head_of(progress), files.arrays(folder / FILE))


def load(folder: Path) -> Progress | None:
    """The last checkpoint of this folder, or None where there is none. RunError where it is damaged."""
    path = folder / FILE
    if not path.exists():
        return None
    arrays, head = read_tensors(path)
    try:
        return value_of(Progress, head, arrays)
    except ValueError as error:
        raise RunError(
            f"{path} was written by another release", hint="finish the run with that release, or start a new one"
        ) from error


def resumed(folder: Path, study: str) -> Progress:
    """Where the run in this folder stands; a new one where there is none. study: its hash. RunError where it is another's."""
    stored = load(folder)
    if stored is None:
        return Progress(study=study)
    if stored.study != study:
        raise RunError(
            f"{folder} holds a run of another study",
            expected=f"study {study[:12]}",
            found=f"study {stored.study[:12]}",
            hint="resume with the study file the run began with, or choose a new folder",
        )
    return stored
