"""How far a run has come, as one value and one file: the coordinator's checkpoint.

    open -> train 1..R -> own 1..R (if asked) -> evaluate -> close

A checkpoint is written after every exchange whose result counts. A run killed anywhere goes on from the last one; since orders
follow from the checkpoint alone, sites that had answered the repeated order send their stored bytes.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardround.roles.site_store import read_tensors, write_tensors
from wardround.values.errors import RunError
from wardround.values.ids import SiteId
from wardround.values.tree import Bundle, Tree

FILE = "checkpoint.safetensors"


@dataclass(frozen=True)
class RoundHistory:
    """One finished training round. loss: mean over the last local epoch. validation: summed counts of the model that came in."""

    round: int
    seconds: float
    counted: tuple[SiteId, ...]
    lost: dict[SiteId, str]
    loss: float | None
    clipped: int
    validation: dict[str, Any]
    bytes_out: int
    bytes_in: int


@dataclass(frozen=True)
class Progress:
    """study: its hash. sites: who opened the run. census: summed counts. state: the algorithm's. done: finished steps by name
    ("open", "train", "own" with their rounds; "evaluate" labels). evaluations: label -> split -> summed counts."""

    study: str
    sites: tuple[SiteId, ...] = ()
    weight: int = 0
    census: dict[str, list[int]] = field(default_factory=dict)
    round: int = 0
    own_round: int = 0
    state: Bundle = field(default_factory=dict)
    frozen: Tree = field(default_factory=dict)
    history: tuple[RoundHistory, ...] = ()
    evaluations: dict[str, Any] = field(default_factory=dict)
    closed: bool = False

    @property
    def last_counted(self) -> dict[str, int]:
        """The last round that each site was counted in; sites that never were are absent."""
        return {str(site): entry.round for entry in self.history for site in entry.counted}


def save(progress: Progress, folder: Path) -> None:
    """Whole or not at all: a full disk leaves the earlier checkpoint."""
    # Not asdict, which copies every count of every earlier round: it took most of the time after a hundred of them.
    head = {**vars(progress), "history": [vars(entry) for entry in progress.history]}
    arrays: Tree = {f"frozen/{name}": array for name, array in head.pop("frozen").items()}
    for part, tree in head.pop("state").items():
        arrays |= {f"state/{part}/{name}": array for name, array in tree.items()}
    write_tensors(folder / FILE, arrays, head)


def load(folder: Path) -> Progress | None:
    """The last checkpoint of this folder, or None where there is none. RunError where it is damaged."""
    path = folder / FILE
    if not path.exists():
        return None
    arrays, head = read_tensors(path)
    state: Bundle = {}
    frozen: Tree = {}
    for name, array in arrays.items():
        where, _, rest = name.partition("/")
        if where == "frozen":
            frozen[rest] = array
        else:
            part, _, key = rest.partition("/")
            state.setdefault(part, {})[key] = array
    try:
        history = tuple(RoundHistory(**{**entry, "counted": tuple(entry["counted"])}) for entry in head.pop("history"))
        head["sites"] = tuple(head["sites"])
        return Progress(**head, history=history, state=state, frozen=frozen)
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{path} was written by another release", mend="finish the run with that release, or start a new one"
        ) from error
