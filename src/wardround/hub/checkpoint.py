"""How far a run has come, as one value and one file: the coordinator's checkpoint.

    open -> train 1..R -> own 1..R (if asked) -> evaluate -> close

A checkpoint is written after every exchange whose result counts. A run killed anywhere goes on from the last one; since orders
follow from the checkpoint alone, sites that had answered the repeated order send their stored bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardround.values.errors import RunError
from wardround.values.ids import SiteId
from wardround.values.tensor_file import arrays_of, bundle_in, read_tensors, write_tensors
from wardround.values.tree import Bundle, Tree
from wardround.wire.messages import Statement

FILE = "checkpoint.safetensors"


@dataclass
class Traffic:
    """Bytes sent and received in one sum, and how many exchanges it took."""

    out: int = 0
    back: int = 0
    exchanges: int = 0


@dataclass(frozen=True)
class KeyProgress:
    """What the coordinator keeps of the masked sums, in the checkpoint. turn: the last one used up. attempt: the next of the sum
    at hand. certify: whether some site speaks only before witnesses. counted: the set that sites may have
    spoken for in this sum; they speak for no other."""

    epoch: int = 0
    turn: int = 0
    attempt: int = 1
    counted: tuple[str, ...] = ()
    certify: bool = False
    roster: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "KeyProgress":
        """Inverse of `vars`, through JSON."""
        return cls(**{**value, "roster": tuple(value["roster"]), "counted": tuple(value["counted"])})

    def statements(self) -> tuple[Statement, ...]:
        return tuple(Statement.model_validate(entry) for entry in self.roster)


@dataclass(frozen=True)
class RoundHistory:
    """One finished training round. loss: mean over the last local epoch. validation: summed counts of the model that came in.
    discarded: why the total was not used, or was taken back."""

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


@dataclass(frozen=True)
class Progress:
    """study: its hash. sites: who opened the run. dataset_counts: summed counts. state: the algorithm's. before: the state that
    the last round began with, where a round can be taken back. evaluations: label -> split -> summed counts."""

    study: str
    sites: tuple[SiteId, ...] = ()
    weight: int = 0
    dataset_counts: dict[str, list[int]] = field(default_factory=dict)
    round: int = 0
    own_round: int = 0
    state: Bundle = field(default_factory=dict)
    frozen: Tree = field(default_factory=dict)
    history: tuple[RoundHistory, ...] = ()
    evaluations: dict[str, Any] = field(default_factory=dict)
    closed: bool = False
    before: Bundle = field(default_factory=dict)
    keys: KeyProgress = field(default_factory=KeyProgress)

    @property
    def last_counted(self) -> dict[str, int]:
        """The last round that each site was counted in; sites that never were are absent."""
        return {str(site): entry.round for entry in self.history for site in entry.counted if not entry.discarded}


def save(progress: Progress, folder: Path) -> None:
    """Whole or not at all: a full disk leaves the earlier checkpoint."""
    # Not asdict, which copies every count of every earlier round: it took most of the time after a hundred of them.
    head = {**vars(progress), "history": [vars(entry) for entry in progress.history], "keys": vars(progress.keys)}
    arrays: Tree = {f"frozen/{name}": array for name, array in head.pop("frozen").items()}
    arrays |= arrays_of({which: head.pop(which) for which in ("state", "before")})
    write_tensors(folder / FILE, arrays, head)


def load(folder: Path) -> Progress | None:
    """The last checkpoint of this folder, or None where there is none. RunError where it is damaged."""
    path = folder / FILE
    if not path.exists():
        return None
    arrays, head = read_tensors(path)
    state, before = bundle_in(arrays, "state"), bundle_in(arrays, "before")
    frozen = {name.removeprefix("frozen/"): array for name, array in arrays.items() if name.startswith("frozen/")}
    try:
        history = tuple(RoundHistory(**{**entry, "counted": tuple(entry["counted"])}) for entry in head.pop("history"))
        head["sites"] = tuple(head["sites"])
        keys = KeyProgress.from_json(head.pop("keys"))
        return Progress(**head, keys=keys, history=history, frozen=frozen, state=state, before=before)
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{path} was written by another release", hint="finish the run with that release, or start a new one"
        ) from error
