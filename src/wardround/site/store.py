"""What a site remembers, in one file that is replaced whole: its memory, the memory that waits to be counted, its last reply.

    reply recorded  ->  reply sent  ->  next order says who was counted  ->  memory committed or dropped

A site killed at any point goes on from here: an order it has answered gets the stored bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from wardround.summation.masked.memory import MaskedState, after_restoring
from wardround.values.canonical import canonical_json
from wardround.values.durable import place_of, write_atomic
from wardround.values.errors import RunError
from wardround.values.log import write_log
from wardround.values.stored import StoredBundle, StoredTree, head_of, stored_arrays, value_of
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Tree

LOCK_WAIT_S = 60.0
STATE = "state.safetensors"
BEGUN = "begun"


@dataclass(frozen=True)
class SiteState:
    """round: the last training round answered (0: none). order: hash of the last order answered. memory: what counts.

    pending: what will count if `round` was counted. asks: the last keys, sign and open that were answered, by their hashes.
    said: the bytes of those answers. records: the fingerprint of the records that the study was opened with.
    """

    study: str = ""
    round: int = 0
    order: str = ""
    memory: StoredBundle = field(default_factory=dict)
    pending: StoredBundle | None = None
    records: str = ""
    own_round: int = 0
    masked: MaskedState = field(default_factory=MaskedState)
    asks: Mapping[str, str] = field(default_factory=dict)
    said: StoredTree = field(default_factory=dict)

    def settled(self, last_counted: int) -> "SiteState":
        """The state after hearing in which round this site was last counted (0: never). Hearing it twice changes nothing.

        The round is needed: a site that misses a whole exchange hears of an older round than the last.
        """
        if self.pending is None:
            return self
        return replace(self, memory=self.pending if last_counted == self.round else self.memory, pending=None)


@dataclass(frozen=True)
class LastAnswer:
    """reply: the stored answer to the last order. words: what the sum was given, before any mask, so that another attempt masks
    the same; empty where nothing is masked. As large as the model, so it is read only where it is wanted."""

    reply: bytes
    words: Tree = field(default_factory=dict)


class SiteStore:
    """The site's folder. One process at a time: the lock outlives no process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._committed = ""  # the large file that the state file names; another one was left by a crash
        self._lock = FileLock(folder / "site.lock")
        try:
            self._lock.acquire(timeout=LOCK_WAIT_S)
        except Timeout as error:
            raise RunError(
                f"The site folder {folder} is in use", hint="stop the other run, or wait for it, and start again"
            ) from error

    def close(self) -> None:
        self._lock.release()

    def read(self) -> SiteState:
        path = self.folder / STATE
        if not path.exists():
            lost = (self.folder / BEGUN).exists()
            return SiteState(masked=after_restoring(MaskedState()) if lost else MaskedState())
        arrays, head = read_tensors(path)
        self._committed = head["last"]
        state = value_of(SiteState, head["state"], arrays)
        restored = head["place"] and head["place"] != place_of(path)
        return replace(state, masked=after_restoring(state.masked)) if restored else state

    def last_answer(self) -> LastAnswer:
        """The answer to the order that the state names, which was read or written before."""
        words, _ = read_tensors(self.folder / self._committed)
        return LastAnswer(words.pop("reply").tobytes(), words)

    def write(self, state: SiteState, answer: LastAnswer | None = None) -> None:
        """answer: with a new order. The state file is what counts, and it is written last: the large file that it names is there
        by then."""
        last = self._committed if state.order else ""
        if answer is not None:
            # The whole hash: for a part of it a coordinator could make two orders of one name, and the words of the first would
            # stand for those of the second.
            last = f"answer-{state.order}.safetensors"
            write_tensors(self.folder / last, {"reply": np.frombuffer(answer.reply, np.uint8), **answer.words}, {})
        head = {"state": head_of(state), "last": last}
        with_keys = state.masked.epoch > 0
        write_tensors(self.folder / STATE, stored_arrays(state), head, placed=with_keys)
        self._committed = last
        if not (self.folder / BEGUN).exists():
            write_atomic(self.folder / BEGUN, b"A site that finds this and no state has lost its state.\n", private=True)
        for old in self.folder.glob("answer-*.safetensors"):
            if old.name != last:
                old.unlink()

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

    def log(self, code: str, text: str) -> None:
        """A line of the site's own log."""
        write_log(self.folder, code, text)
