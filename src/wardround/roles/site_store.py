"""What a site remembers, in one file that is replaced whole: its memory, the memory that waits to be counted, its last reply.

    reply recorded  ->  reply sent  ->  next order says who was counted  ->  memory committed or dropped

A site killed at any point goes on from here: an order it has answered gets the stored bytes.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_tensors

from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError
from wardround.values.tree import Bundle, Tree

LOCK_WAIT_S = 60.0


@dataclass(frozen=True)
class SiteState:
    """round: the last training round answered (0: none). order: hash of the last order answered, reply: its stored answer.
    memory: what counts. pending: what will count if `round` was counted. weight: training records at the opening."""

    study: str = ""
    round: int = 0
    order: str = ""
    reply: bytes = b""
    memory: Bundle = field(default_factory=dict)
    pending: Bundle | None = None
    records: str = ""
    own_round: int = 0

    def settled(self, last_counted: int) -> "SiteState":
        """The state after hearing in which round this site was last counted (0: never). Hearing it twice changes nothing.

        The round is needed: a site that misses a whole exchange hears of an older round than the last.
        """
        if self.pending is None:
            return self
        return replace(self, memory=self.pending if last_counted == self.round else self.memory, pending=None)


class SiteStore:
    """The site's folder. One process at a time: the lock outlives no process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "site.lock")
        try:
            self._lock.acquire(timeout=LOCK_WAIT_S)
        except Timeout as error:
            raise RunError(
                f"The site folder {folder} is in use", mend="stop the other run, or wait for it, and start again"
            ) from error

    def close(self) -> None:
        self._lock.release()

    def read(self) -> SiteState:
        path = self.folder / "state.safetensors"
        if not path.exists():
            return SiteState()
        arrays, head = read_tensors(path)
        bundles: dict[str, Bundle] = {"memory": {}, "pending": {}}
        for name, array in arrays.items():
            which, _, rest = name.partition("/")
            if which in bundles:
                part, _, key = rest.partition("/")
                bundles[which].setdefault(part, {})[key] = array
        return SiteState(
            **head["fields"],
            reply=arrays["reply"].tobytes(),
            memory=bundles["memory"],
            pending=bundles["pending"] if head["pending"] else None,
        )

    def write(self, state: SiteState) -> None:
        arrays: Tree = {"reply": np.frombuffer(state.reply, np.uint8)}
        for which, bundle in (("memory", state.memory), ("pending", state.pending or {})):
            arrays |= {f"{which}/{part}/{name}": array for part, tree in bundle.items() for name, array in tree.items()}
        fields = {name: getattr(state, name) for name in ("study", "round", "order", "records", "own_round")}
        write_tensors(self.folder / "state.safetensors", arrays, {"fields": fields, "pending": state.pending is not None})

    def read_tree(self, name: str) -> Tree | None:
        path = self.folder / f"{name}.safetensors"
        return read_tensors(path)[0] if path.exists() else None

    def write_tree(self, name: str, tree: Tree) -> None:
        write_tensors(self.folder / f"{name}.safetensors", tree, {})

    def report(self) -> dict[str, Any]:
        """This hospital's own figures: they stay here unless its policy releases them."""
        path = self.folder / "report.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def add_to_report(self, section: str, key: str, value: Any) -> None:
        report = self.report()
        report.setdefault(section, {})[key] = value
        write_atomic(self.folder / "report.json", canonical_json(report), private=True)


def read_tensors(path: Path) -> tuple[Tree, Any]:
    """Arrays and header of a file that `write_tensors` made, or the arrays of any other. Raises RunError where it is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            own = json.loads((file.metadata() or {}).get("wardround", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        if own is None:
            return arrays, {}
        if own["sha256"] != _digest(arrays, own["head"]):
            raise ValueError("values that do not match their hash")
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{path} is damaged", found=type(error).__name__, mend="start the run again in a new folder") from error
    return arrays, own["head"]


def write_tensors(path: Path, arrays: Tree, head: Any) -> None:
    """Equal arrays and headers give equal files. (safetensors writes several metadata entries in any order, so there is one.)"""
    ready = {name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}
    own = canonical_json({"head": head, "sha256": _digest(ready, head)}).decode()
    write_atomic(path, save_tensors(ready, {"wardround": own}), private=True)


def _digest(arrays: Tree, head: Any) -> str:
    """safetensors proves the layout of a file, not its values: a flipped bit would be a slightly other model."""
    digest = hashlib.sha256(canonical_json(head))
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
