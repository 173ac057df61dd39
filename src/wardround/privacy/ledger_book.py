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

from wardround.privacy.admission import Admission
from wardround.privacy.events import Event
from wardround.privacy.ledger_file import GENESIS, Entry, LedgerFile, Page, Receipt, link
from wardround.privacy.ledger_standing import VERSION, Budget, Kind, Standing, contents_of, counts_of
from wardround.values.errors import RefusedError

Answer = TypeVar("Answer")
Wanted = tuple[Kind, Mapping[str, Any]] | None
_ATTEMPTS = 4


class _NotKnown(Exception):
    """Whether a budget admits something must be computed, better while others can use the ledger."""

    def __init__(self, learn: Callable[[], None]) -> None:
        super().__init__()
        self.learn = learn


class Book:
    """One ledger as this process sees it. Any thread may call; after a fork the child has one of its own."""

    def __init__(self, path: Path) -> None:
        self._file = LedgerFile(path)
        self._admissions: dict[Budget, Admission] = {}
        self._now = False
        self._own()

    @property
    def path(self) -> Path:
        return self._file.path

    def _own(self) -> None:
        """What belongs to this process alone. mine: the charges it made."""
        self._process, self._turn, self._standing = os.getpid(), threading.RLock(), Standing()
        self.mine: set[tuple[str, str]] = set()

    def read(self, work: Callable[[Standing], Answer]) -> Answer:
        with self._alone() as (_, standing):
            return work(standing)

    def write(self, decide: Callable[[Standing], Wanted], after: Callable[[Standing, bool], Answer]) -> Answer:
        """Append what `decide` wants; None is nothing. It may run several times. after: of the new standing, and whether anything
        was appended; the ledger is still locked."""
        for attempt in range(_ATTEMPTS + 1):
            try:
                with self._alone() as (page, standing):
                    self._now = attempt == _ATTEMPTS  # others were faster every time
                    wanted = decide(standing)
                    if wanted is not None:
                        self._append(page, standing, wanted)
                    return after(standing, wanted is not None)
            except _NotKnown as question:
                with self._turn:
                    question.learn()
        raise AssertionError("unreachable")

    def admit(
        self, standing: Standing, event: Event, counts: Mapping[Event, int], hoped: Mapping[Event, int] | None = None
    ) -> None:
        """Raises RefusedError(code="budget") where the budget of the event's unit does not allow these counts. For `decide`.

        event, hoped: see Admission.learn.
        """
        if event.unit in standing.stopped:
            raise _over_budget("the ledger was restored; set a budget again: see docs/ledger.md")
        if (budget := standing.budgets.get(event.unit)) is None:
            return
        admission = self._admissions.setdefault(budget, Admission(budget.epsilon, budget.delta))
        if (known := admission.known(counts)) is None:
            if not self._now:
                raise _NotKnown(lambda: admission.learn(counts, event, hoped))
            admission.learn(counts, event, hoped)
            known = admission.known(counts)
        if not known:
            raise _over_budget("ask the site's data manager; `wardround site ledger` shows them what is left")

    def entries(self) -> list[Entry]:
        """All of them, oldest first."""
        with self._alone() as (page, _):
            return list(page.after(0, GENESIS))

    def accept_restored(self) -> None:
        """See `ledger.accept_restored`."""
        with self._alone(checked=False) as (page, standing):
            receipt = None
            with suppress(RefusedError):
                receipt = self._file.receipt()
            if not _is_restored(page, standing, receipt):
                raise RefusedError("The ledger is not older than its receipt; there is nothing to accept", code="ledger-step")
            lost = counts_of(receipt.spent if receipt else ())
            lost.subtract(standing.spent)
            restored = {"receipt": receipt.number if receipt else 0, "spent": contents_of(lost)}
            opened = [opening()] if standing.number == 0 else []
            self._append(page, standing, *opened, (Kind.RESTORED, restored))

    @contextmanager
    def _alone(self, checked: bool = True) -> Iterator[tuple[Page, Standing]]:
        if self._process != os.getpid():
            self._own()
        with self._turn, self._file.alone() as page:
            if page.last < self._standing.number or page.chain_at(self._standing.number) != self._standing.chain:
                if checked:  # the file was replaced while this process lives
                    raise restored(self.path)
                self._standing = Standing()
            self._catch_up(page)
            if checked:
                self._compare_receipt(page)
            yield page, self._standing

    def _catch_up(self, page: Page) -> None:
        try:
            for entry in page.after(self._standing.number, self._standing.chain):
                self._standing.add(entry)
        except BaseException:
            self._standing = Standing()  # it may hold half of an entry
            raise

    def _compare_receipt(self, page: Page) -> None:
        """A crash after a commit left an older receipt: it is written again before anything else happens."""
        receipt = self._file.receipt()
        if _is_restored(page, self._standing, receipt):
            raise restored(self.path)
        if self._standing.number > (receipt.number if receipt else 0):
            self._write_receipt(self._standing)

    def _append(self, page: Page, standing: Standing, *wanted: tuple[Kind, Mapping[str, Any]]) -> None:
        entries, number, chain = [], standing.number, standing.chain
        at = datetime.now(UTC).isoformat(timespec="seconds")
        for kind, content in wanted:
            entries.append(link(chain, number := number + 1, at, kind, content))
            chain = entries[-1].chain
        page.append(entries)
        self._catch_up(page)
        self._write_receipt(standing)

    def _write_receipt(self, standing: Standing) -> None:
        self._file.write_receipt(standing.number, standing.chain, contents_of(standing.spent))


def opening() -> tuple[Kind, Mapping[str, Any]]:
    """The first entry. Its random part makes every ledger's hashes its own, so that no receipt fits another ledger."""
    return Kind.OPENED, {"version": VERSION, "ledger": secrets.token_hex(16)}


def _is_restored(page: Page, standing: Standing, receipt: Receipt | None) -> bool:
    if receipt is None:
        return standing.number > 1  # the first entry alone may have been interrupted before its receipt
    return receipt.moved or page.chain_at(receipt.number) != receipt.chain


def restored(path: Path) -> RefusedError:
    return RefusedError(
        f"The privacy ledger {path} is older than its receipt, or was copied here: what was charged since is not in it",
        mend="bring back the latest ledger; if there is none, read docs/ledger.md on --accept-restored",
        code="ledger-restored",
    )


def _over_budget(mend: str) -> RefusedError:
    """No number, neither here nor in the word that leaves: what is left tells what others have asked."""
    return RefusedError("The privacy budget of this site's patients does not allow this", mend=mend, code="budget")
