"""What a site remembers, in one file that is replaced whole: its memory, the memory that waits to be counted, its last reply.

    reply recorded  ->  reply sent  ->  next order says who was counted  ->  memory committed or dropped

A site killed at any point goes on from here: an order it has answered gets the stored bytes.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from filelock import Timeout

from wardround.summation.masked.memory import MaskedState, after_restoring
from wardround.values.canonical import canonical_json, finite_or_none
from wardround.values.durable import place_of, sweep, write_atomic
from wardround.values.errors import RefusedError, RunError, WardroundError
from wardround.values.ids import SiteId
from wardround.values.log import LOG, write_log
from wardround.values.private_files import private_folder, private_lock, private_status, read_private
from wardround.values.stored import StoredBundle, StoredTree, head_of, stored_arrays, value_of
from wardround.values.tensor_file import read_tensors, write_tensors
from wardround.values.tree import Tree

LOCK_WAIT_S = 60.0
STATE = "state.safetensors"
LOCK = "site.lock"
REFUSALS = "refusals"
REPORT = "report.json"
REPORT_BYTES = 1 << 26
REPORT_ENTRIES = 250_000  # of a study with 100,000 rounds, own models too
_NUMBER_BYTES = 100
_SIGNS = (LOCK, "identity.key", "ledger.sqlite")  # key and ledger are opened before the site is
_KEPT_HERE = ("*.safetensors", REPORT, REFUSALS, "log*.ndjson", "identity.key")


@dataclass(frozen=True)
class SiteState:
    """round: the last training round answered (0: none). order: hash of the last order answered. memory: what counts.

    site, key: whose state this is. asked: name of each order that was worked for -> what it asked, as a hash. weight: the total
    that training orders state; 0 before the first. pending: what will count if `round` was counted. asks: the last keys, sign and
    open that were answered, by their hashes. said: the bytes of those answers. records: the fingerprint of the records that the
    study was opened with.

    opening, opened, opened_with: the number of the last opening that was answered, what it asked, as a hash, and its cohort.
    keys_offered: how many keys were offered since the last contribution. closed: the study is over here. uncounted: how often
    this site was told that its answer did not count. stopped: why it answers nothing until a person has looked; empty where it
    does.
    """

    site: str = ""
    key: str = ""
    study: str = ""
    round: int = 0
    order: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)
    weight: int = 0
    memory: StoredBundle = field(default_factory=dict)
    pending: StoredBundle | None = None
    records: str = ""
    own_round: int = 0
    masked: MaskedState = field(default_factory=MaskedState)
    asks: Mapping[str, str] = field(default_factory=dict)
    said: StoredTree = field(default_factory=dict)
    opening: int = -1
    opened: str = ""
    opened_with: tuple[SiteId, ...] = ()
    keys_offered: int = 0
    closed: bool = False
    uncounted: int = 0
    stopped: str = ""

    def settled(self, last_counted: int, unused: Collection[int] = (), disputed: int = 0) -> "SiteState":
        """The state after hearing in which round this site was last counted (0: never), and which rounds were not used. Hearing
        it twice changes nothing. disputed: the last round that went on without this site because it and another were at odds;
        somebody lies then, and it would be the liar's choice to make this site stop.

        The round is needed: a site that misses a whole exchange hears of an older round than the last.
        """
        if self.pending is None:
            return self
        counted = last_counted == self.round
        left_out = not counted and self.round not in unused and self.round != disputed
        memory = self.pending if counted and self.round not in unused else self.memory
        return replace(self, memory=memory, pending=None, uncounted=self.uncounted + left_out)


@dataclass(frozen=True)
class LastAnswer:
    """reply: the stored answer to the last order. words: what the sum was given, before any mask, so that another attempt masks
    the same; empty where nothing is masked. As large as the model, so it is read only where it is wanted."""

    reply: bytes
    words: Tree = field(default_factory=dict)


class SiteStore:
    """The site's folder. One process at a time: the lock outlives no process. Raises RunError where others can get at it.

    counter: a small file outside the folder, which says how often this site has spoken. A folder that was moved away and back, or
    restored from a snapshot, says less; without the file only its place on the disk would tell.
    """

    def __init__(self, folder: Path, counter: Path | None = None) -> None:
        self.folder = folder
        private_folder(folder, signs=_SIGNS)
        self._counter = counter
        self._unread: dict[str, int] = {}
        self._stopped = ""  # also where the disk did not take the note
        self._committed = ""  # the large file that the state file names; another one was left by a crash
        self._lock = private_lock(folder / LOCK)
        try:
            self._lock.acquire(timeout=LOCK_WAIT_S)
        except Timeout as error:
            raise RunError(
                f"The site folder {folder} is in use", hint="stop the other run, or wait for it, and start again"
            ) from error
        try:
            self._take_over()
        except RunError:
            self.close()
            raise

    def _take_over(self) -> None:
        """Removes what a killed process had not finished, and refuses files that others could read, change or lead elsewhere."""
        sweep(self.folder)
        for pattern in _KEPT_HERE:
            for path in self.folder.glob(pattern):
                private_status(path)

    def close(self) -> None:
        self._lock.release()

    def read(self) -> SiteState:
        """The state as it was written; one that may be older than what the site has said since keeps no keys."""
        path, spoken = self.folder / STATE, self._spoken()
        if private_status(path) is None:
            return SiteState(masked=MaskedState(counter=spoken))
        arrays, head = read_tensors(path)
        try:
            state, self._committed, written_at = value_of(SiteState, head["state"], arrays), str(head["last"]), head["place"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{path} is no state of a site of this release", hint="finish the study with the release that wrote it"
            ) from error
        restored = written_at and written_at != place_of(path)
        if self._committed and private_status(self.folder / self._committed) is None:
            # What it answered last is gone: a folder that was restored in part. The state is none of this site's any more.
            restored, self._committed, state = True, "", replace(state, order="")
        if not restored and spoken <= state.masked.counter:
            return state
        forgotten = after_restoring(state.masked)
        return replace(state, masked=replace(forgotten, counter=max(spoken, forgotten.counter)))

    def _spoken(self) -> int:
        """What the file outside says; 0 where there is none."""
        data = read_private(self._counter, _NUMBER_BYTES) if self._counter is not None else None
        if data is None:
            return 0
        text = data.decode("ascii", "replace").strip()
        if not text.isdecimal():
            raise RunError(
                f"{self._counter} does not hold a number",
                expected="how often this site has spoken in the study",
                hint="remove the file and the site's state.safetensors; the site then takes part as one that has forgotten",
            )
        return int(text)

    def last_answer(self) -> LastAnswer:
        """The answer to the order that the state names, which was read or written before."""
        private_status(self.folder / self._committed)
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
        if self._counter is not None and state.masked.counter > self._spoken():
            # After the state and before the answer leaves: a crash between the two makes the file say less, which is no loss.
            write_atomic(self._counter, f"{state.masked.counter}\n".encode(), private=True)
        for old in self.folder.glob("answer-*.safetensors"):
            if old.name != last:
                old.unlink()

    def stop(self, reason: str) -> None:
        """Nothing more is answered until a person has looked, also by the next process where the disk takes the note."""
        self._stopped = reason
        with suppress(OSError, ValueError, WardroundError):
            self.write(replace(self.read(), stopped=reason))

    def require_going(self, state: SiteState) -> None:
        """RefusedError where this site has stopped. state: as it was read."""
        if reason := self._stopped or state.stopped:
            raise RefusedError(
                f"This site has stopped ({reason}) until a person has looked",
                hint=f"read {self.folder / LOG}, then run: wardround site go-on {self.folder}",
                code="stopped",
            )

    def stopped(self) -> str:
        """Why the site answers nothing until a person has looked; empty where it does."""
        return self.read().stopped

    def go_on(self) -> str:
        """A person has looked: the site answers again. Why it had stopped; empty where it had not."""
        state, self._stopped = self.read(), ""
        if state.stopped:
            self.write(replace(state, stopped="", uncounted=0, keys_offered=0))
            self.count_refusals(0)
        return state.stopped

    def read_tree(self, name: str) -> Tree | None:
        path = self.folder / f"{name}.safetensors"
        return read_tensors(path)[0] if private_status(path) is not None else None

    def write_tree(self, name: str, tree: Tree) -> None:
        write_tensors(self.folder / f"{name}.safetensors", tree, {})

    def report(self) -> dict[str, Any]:
        """This hospital's own figures: they stay here unless its policy releases them."""
        path = self.folder / REPORT
        data = read_private(path, REPORT_BYTES)
        try:
            report: dict[str, Any] = json.loads(data) if data is not None else {}
            if not all(isinstance(section, dict) for section in report.values()):
                raise ValueError("no report")
        except (ValueError, AttributeError) as error:
            mend = f"mv {quote(str(path))} {quote(f'{path}.damaged')}"
            raise RunError(f"{path} is damaged", hint=f"move it away, and a new one is begun: {mend}") from error
        return report

    def add_to_report(self, section: str, key: str, value: Any) -> None:
        """Figures that are not finite are written as null. A full report takes no more, and the log says so."""
        report = self.report()
        report.setdefault(section, {})[key] = _finite(value)
        data = canonical_json(report)
        if len(data) > REPORT_BYTES or sum(map(len, report.values())) > REPORT_ENTRIES:
            self.log("report", f"{REPORT} is full: {section} {key} is not in it")
            return
        write_atomic(self.folder / REPORT, data, private=True)

    def log(self, code: str, text: str) -> None:
        """A line of the site's own log."""
        write_log(self.folder, code, text)

    def log_seldom(self, code: str, text: str) -> None:
        """The first, second, fourth, eighth ... of a kind: anybody can send bytes that nobody reads, and no flood of them may
        push out of the log what a person has to see."""
        number = self._unread[code] = self._unread.get(code, 0) + 1
        if number & (number - 1) == 0:
            self.log(code, text if number == 1 else f"{text} ({number} times since this site was started)")

    def count_one_more_refusal(self, most: int) -> None:
        """After `most` in a row the site stops."""
        with suppress(OSError, ValueError, WardroundError):
            number = self.refusals() + 1
            self.count_refusals(number)
            if number >= most:
                self.log(REFUSALS, f"{number} refusals in a row: somebody asks for what the study does not have.")
                self.stop(REFUSALS)

    def forget_refusals(self) -> None:
        if self.refusals():
            self.count_refusals(0)

    def refusals(self) -> int:
        """How many orders and asks were refused since the last one that was answered. It is no part of the state."""
        path = self.folder / REFUSALS
        text = (read_private(path, _NUMBER_BYTES) or b"0").decode("ascii", "replace").strip()
        if not text.isdecimal():
            raise RunError(f"{path} does not hold a number", hint=f"remove it, once you have read the log: rm {quote(str(path))}")
        return int(text)

    def count_refusals(self, number: int) -> None:
        write_atomic(self.folder / REFUSALS, f"{number}\n".encode(), private=True)


def _finite(value: Any) -> Any:
    """The value, of what JSON can hold, with null for every figure that is not finite."""
    match value:
        case dict():
            return {name: _finite(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case float():
            return finite_or_none(value)
    return value
