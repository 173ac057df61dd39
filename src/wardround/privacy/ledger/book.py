"""A ledger's file and what this process knows of it: every look catches up with other processes, every entry is proved.

alone:  lock -> read what others wrote -> is it older than its receipt? -> decide -> commit -> receipt -> unlock
"""

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from wardround.privacy.events import Event
from wardround.privacy.ledger.admission import Admission
from wardround.privacy.ledger.file import GENESIS, LedgerEntry, LedgerFile, Page, Receipt, Witness, link
from wardround.privacy.ledger.state import VERSION, Budget, Kind, LedgerState, contents_of, counts_of
from wardround.values.errors import RefusedError

Answer = TypeVar("Answer")
NewEntry = tuple[Kind, Mapping[str, Any]] | None
_ATTEMPTS = 4


class _NotComputed(Exception):
    """Whether a budget admits something must be computed, better while others can use the ledger."""

    def __init__(self, learn: Callable[[], None]) -> None:
        super().__init__()
        self.learn = learn


class Book:
    """One ledger as this process sees it. Any thread may call; after a fork the child has one of its own."""

    def __init__(self, path: Path, witness: Path | None = None) -> None:
        self._file = LedgerFile(path, witness)
        self._admissions: dict[Budget, Admission] = {}
        self._now = False
        self._own()

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def is_there(self) -> bool:
        """Whether there is a file of entries, or the receipt of one that was lost. To look makes none."""
        return self._file.is_there

    def _own(self) -> None:
        """What belongs to this process alone. mine: the charges it made."""
        self._process, self._turn, self._ledger_state = os.getpid(), threading.RLock(), LedgerState()
        self.mine: set[tuple[str, str]] = set()

    def read(self, work: Callable[[LedgerState], Answer]) -> Answer:
        with self._alone() as (_, ledger_state):
            return work(ledger_state)

    def write(self, decide: Callable[[LedgerState], NewEntry], after: Callable[[LedgerState, bool], Answer]) -> Answer:
        """Append the entry that `decide` gives; None is nothing. It may run several times. after: is given the new state, and
        whether anything was appended; the ledger is still locked."""
        for attempt in range(_ATTEMPTS + 1):
            try:
                with self._alone() as (page, ledger_state):
                    self._now = attempt == _ATTEMPTS  # others were faster every time
                    new_entry = decide(ledger_state)
                    if new_entry is not None:
                        self._append(page, ledger_state, new_entry)
                    return after(ledger_state, new_entry is not None)
            except _NotComputed as question:
                with self._turn:
                    question.learn()
        raise AssertionError("unreachable")

    def admit(
        self, ledger_state: LedgerState, event: Event, counts: Mapping[Event, int], hoped: Mapping[Event, int] | None = None
    ) -> None:
        """Raises RefusedError(code="budget") where the budget of the event's unit does not allow these counts. For `decide`.

        event, hoped: see Admission.learn.
        """
        if event.unit in ledger_state.stopped:
            raise _over_budget("the ledger was restored; set a budget again: see docs/ledger.md")
        if (budget := ledger_state.budgets.get(event.unit)) is None:
            return
        admission = self._admissions.setdefault(budget, Admission(budget.epsilon, budget.delta))
        if (within := admission.within_budget(counts)) is None:
            if not self._now:
                raise _NotComputed(lambda: admission.learn(counts, event, hoped))
            admission.learn(counts, event, hoped)
            within = admission.within_budget(counts)
        if not within:
            raise _over_budget("ask the site's data manager; `wardround site ledger` shows them what is left")

    def entries(self) -> list[LedgerEntry]:
        """All of them, oldest first."""
        with self._alone() as (page, _):
            return list(page.after(0, GENESIS))

    def accept_restored(self) -> None:
        """See `ledger.accept_restored`."""
        with self._alone(checked=False) as (page, ledger_state):
            receipt = None
            with suppress(RefusedError):
                receipt = self._file.receipt()
            if not _is_restored(page, ledger_state, receipt, self._file.witness()):
                raise RefusedError("The ledger is not older than its receipt; there is nothing to accept", code="ledger-step")
            lost = counts_of(receipt.spent if receipt else ())
            lost.subtract(ledger_state.spent)
            restored = {"receipt": receipt.number if receipt else 0, "spent": contents_of(lost)}
            opened = [opening()] if ledger_state.number == 0 else []
            self._append(page, ledger_state, *opened, (Kind.RESTORED, restored))

    @contextmanager
    def _alone(self, checked: bool = True) -> Iterator[tuple[Page, LedgerState]]:
        if self._process != os.getpid():
            self._own()
        with self._turn, self._file.alone() as page:
            if page.last < self._ledger_state.number or page.chain_at(self._ledger_state.number) != self._ledger_state.chain:
                if checked:  # the file was replaced while this process lives
                    raise restored(self.path)
                self._ledger_state = LedgerState()
            self._catch_up(page)
            if checked:
                self._compare_receipt(page)
            yield page, self._ledger_state

    def _catch_up(self, page: Page) -> None:
        try:
            for entry in page.after(self._ledger_state.number, self._ledger_state.chain):
                self._ledger_state.add(entry)
        except BaseException:
            self._ledger_state = LedgerState()  # it may hold half of an entry
            raise

    def _compare_receipt(self, page: Page) -> None:
        """A crash after a commit left an older receipt: it is written again before anything else happens."""
        receipt, witness = self._file.receipt(), self._file.witness()
        if _is_restored(page, self._ledger_state, receipt, witness):
            raise restored(self.path)
        behind = self._file.keeps_witness and self._ledger_state.number > (witness.number if witness else 0)
        if behind or self._ledger_state.number > (receipt.number if receipt else 0):
            self._write_receipt(self._ledger_state)

    def _append(self, page: Page, ledger_state: LedgerState, *new_entries: tuple[Kind, Mapping[str, Any]]) -> None:
        entries, number, chain = [], ledger_state.number, ledger_state.chain
        at = datetime.now(UTC).isoformat(timespec="seconds")
        for kind, content in new_entries:
            entries.append(link(chain, number := number + 1, at, kind, content))
            chain = entries[-1].chain
        page.append(entries)
        self._catch_up(page)
        self._write_receipt(ledger_state)

    def _write_receipt(self, ledger_state: LedgerState) -> None:
        self._file.write_receipt(ledger_state.number, ledger_state.chain, contents_of(ledger_state.spent))
        self._file.write_witness(ledger_state.number, ledger_state.chain)


def opening() -> tuple[Kind, Mapping[str, Any]]:
    """The first entry. Its random part makes every ledger's hashes its own, so that no receipt fits another ledger."""
    return Kind.OPENED, {"version": VERSION, "ledger": secrets.token_hex(16)}


def _is_restored(page: Page, ledger_state: LedgerState, receipt: Receipt | None, witness: Witness | None) -> bool:
    if witness is not None and page.chain_at(witness.number) != witness.chain:
        return True
    if receipt is None:
        return ledger_state.number > 1  # the first entry alone may have been interrupted before its receipt
    return receipt.moved or page.chain_at(receipt.number) != receipt.chain


def restored(path: Path) -> RefusedError:
    return RefusedError(
        f"The privacy ledger {path} is older than its receipt, or was copied here: what was charged since is not in it",
        hint="bring back the latest ledger; if there is none, read docs/ledger.md on --accept-restored",
        code="ledger-restored",
    )


def _over_budget(hint: str) -> RefusedError:
    """No number, neither here nor in the word that leaves: what is left tells what others have asked."""
    return RefusedError("The privacy budget of this site's patients does not allow this", hint=hint, code="budget")
