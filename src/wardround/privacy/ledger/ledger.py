"""What was released about one population of patients at a site, across rounds, runs and studies, and the budget that ends it.

    plan(study, event, count)          at the opening: room for all of it, or no study
    charge(study, release, event)      before anything is computed
    released(study, release, digest)   before the bytes leave
    close(study)                       room that was not used is given back

Guarantee: a charge that has returned is on the disk, whatever happens next, and counts for ever unless its own process takes it
back before anything was stored or left (`cancel`). Events of one unit are composed by `accounting.epsilon`; a charge that would
bring it above the budget is refused with the word "budget" and without a number. Data sets that share patients share one
ledger; two ledgers about one patient know nothing of each other.

Without a budget everything is recorded and nothing refused. That is for simulation.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround.privacy import accounting
from wardround.privacy.events import UNITS, Event, Unit
from wardround.privacy.ledger.book import Book, NewEntry, opening
from wardround.privacy.ledger.file import LedgerEntry
from wardround.privacy.ledger.state import Budget, Charge, Kind, LedgerState, LedgerStudy, Status, content_of
from wardround.values.errors import RefusedError

DELTA = 1e-5
"""At which epsilon is told where no budget names a delta."""
NAME_LIMIT = 200


@dataclass(frozen=True)
class Balance:
    """Of one unit. delta: the budget's, or DELTA without one. spent: epsilon of all charges. committed: with the room that open
    studies keep. stopped: nothing is charged before a budget is set again, since the ledger was restored."""

    unit: Unit
    budget: Budget | None
    delta: float
    spent: float
    committed: float
    stopped: bool

    @property
    def left(self) -> float | None:
        """What the budget has above `committed`; None without a budget. Epsilons do not add: two studies cost less together
        than the sum of what each would cost."""
        if self.budget is None:
            return None
        return 0.0 if self.stopped else max(self.budget.epsilon - self.committed, 0.0)


class Ledger:
    """One population's ledger. Any thread and any process may charge; a forked child may go on with its parent's.

    Raises RefusedError with one of these codes: "budget"; "ledger-step", a step that may not follow; "ledger-restored", older
    than its receipt; "ledger", changed from outside or damaged; "ledger-busy", locked or not writable.
    """

    def __init__(self, path: Path | str, *, begin: bool = True, run: str = "", witness: Path | None = None) -> None:
        """Opens the ledger, and proves every entry. run: the name of the run at work, for the entries of its study. witness: a
        file in another folder that says how far the ledger is; a hospital's is `witness_of` its path.

        begin: where there is none, one is begun, without a budget. False is for who only goes on: a ledger that is gone, its
        receipt too, is then refused ("ledger"), since a new one would know of no release and refuse nothing.
        """
        self._book, self._run = Book(Path(path), witness), run
        if not begin and not (self._book.is_there and self._book.read(lambda ledger_state: ledger_state.number)):
            raise _gone(self.path)
        self._write(lambda ledger_state: None if ledger_state.number else opening())

    @property
    def path(self) -> Path:
        return self._book.path

    def set_budget(self, epsilon: float, delta: float, unit: Unit = "patient") -> None:
        """By the site's data manager. It replaces the one before and ends a stop. One below what is spent refuses everything."""
        if not 0 <= epsilon < math.inf or not 0 < delta < 1 or unit not in UNITS:
            raise ValueError("a budget is a finite epsilon from 0 and a delta between 0 and 1, for one unit")
        self._write(lambda _: (Kind.BUDGET, {"unit": unit, "epsilon": float(epsilon), "delta": float(delta)}))

    def plan(self, study: str, event: Event, count: int, title: str = "") -> None:
        """Room for `count` such releases in all, kept until `close`. The same plan twice is one; another count is refused.

        study: the name that charges are made under, such as the study's hash. title: what people call it."""
        _check(count, study)

        def decide(ledger_state: LedgerState) -> NewEntry:
            open_study = _open_study(ledger_state, study)
            if planned := open_study.planned[event]:
                _refuse_if(planned != count, "The study has planned another number of these releases")
                return None
            more = max(count - open_study.charged[event], 0)
            self._book.admit(ledger_state, event, _plus(ledger_state.committed_on(event.unit), event, more))
            people = {"title": title[:NAME_LIMIT], "run": self._run[:NAME_LIMIT]}
            return Kind.PLANNED, {
                "study": study,
                **{key: text for key, text in people.items() if text},
                **content_of(event, count),
            }

        self._write(decide)

    def charge(self, study: str, release: str, event: Event, count: int = 1) -> Status:
        """Durable when it returns. The same charge again is no second one. RELEASED: bytes of it have left before, so the stored
        ones are sent again and nothing is computed. count: of such events that one release consists of."""
        _check(count, study, release)

        def decide(ledger_state: LedgerState) -> NewEntry:
            charge = ledger_state.charges.get((study, release))
            if charge is not None and charge.status is not Status.CANCELLED:
                _refuse_if((charge.event, charge.count) != (event, count), "The release was charged as another event")
                return None
            room = _open_study(ledger_state, study).room(event)
            committed = ledger_state.committed_on(event.unit)
            if count <= room:  # granted by `plan`, unless the budget was lowered since
                spent = _plus(ledger_state.spent_on(event.unit), event, count)
                self._book.admit(ledger_state, event, spent, hoped=committed)
            else:
                self._book.admit(ledger_state, event, _plus(committed, event, count - room))
            return Kind.RESERVED, {"study": study, "release": release, **content_of(event, count)}

        def after(ledger_state: LedgerState, appended: bool) -> Status:
            if appended:
                self._book.mine.add((study, release))
            return ledger_state.charges[study, release].status

        return self._book.write(decide, after)

    def released(self, study: str, release: str, digest: str) -> None:
        """The bytes with this digest are about to leave. They may leave again; others under this name may not."""
        _check(1, study, release, digest)

        def decide(ledger_state: LedgerState) -> NewEntry:
            charge = ledger_state.charges.get((study, release))
            if charge is None or charge.status is Status.CANCELLED:
                raise _illegal("The release is not charged, and nothing leaves unbilled")
            _refuse_if(charge.digest not in ("", digest), "Other bytes of this release have left already")
            return None if charge.digest else (Kind.RELEASED, {"study": study, "release": release, "digest": digest})

        self._write(decide)

    def cancel(self, study: str, release: str) -> None:
        """Take back a charge of which nothing was stored or left. Only its own process can know that: not another one, nor the
        next after a crash."""
        _check(1, study, release)

        def decide(ledger_state: LedgerState) -> NewEntry:
            charge = ledger_state.charges.get((study, release))
            _refuse_if(charge is None or charge.status is not Status.RESERVED, "Only a reserved charge can be cancelled")
            _refuse_if((study, release) not in self._book.mine, "Another process made the charge; its bytes may have left")
            return Kind.CANCELLED, {"study": study, "release": release}

        self._book.write(decide, lambda *_: self._book.mine.discard((study, release)))

    def close(self, study: str) -> None:
        """The study's unused room is given back, and nothing new is charged for it. Twice is once."""
        _check(1, study)

        def decide(ledger_state: LedgerState) -> NewEntry:
            _refuse_if(study not in ledger_state.studies, "The ledger knows no such study")
            return None if ledger_state.studies[study].closed else (Kind.CLOSED, {"study": study})

        self._write(decide)

    def spent(self, unit: Unit = "patient") -> dict[Event, int]:
        """Releases charged, by event."""
        return self._book.read(lambda ledger_state: ledger_state.spent_on(unit))

    def epsilon_spent(self, unit: Unit = "patient", delta: float | None = None) -> float:
        """At the budget's delta unless said."""
        spent, budget = self._book.read(lambda ledger_state: (ledger_state.spent_on(unit), ledger_state.budgets.get(unit)))
        return accounting.epsilon(spent, delta or (budget.delta if budget else DELTA))

    def balance(self, unit: Unit = "patient") -> Balance:
        spent, committed, budget, stopped = self._book.read(lambda ledger_state: _sums(ledger_state, unit))
        delta = budget.delta if budget else DELTA
        return Balance(unit, budget, delta, accounting.epsilon(spent, delta), accounting.epsilon(committed, delta), stopped)

    def left(self, event: Event) -> int | None:
        """How many more such releases the budget admits beside all charges and all room; None without a budget."""
        _, committed, budget, stopped = self._book.read(lambda ledger_state: _sums(ledger_state, event.unit))
        if stopped or budget is None:
            return 0 if stopped else None
        return accounting.affordable(event, budget.epsilon, budget.delta, committed)

    def history(self) -> dict[str, LedgerStudy]:
        """Every study by name, oldest first."""
        return self._book.read(lambda ledger_state: copy.deepcopy(ledger_state.studies))

    def charges(self) -> dict[tuple[str, str], Charge]:
        """Every charge by study and release, oldest first."""
        return self._book.read(lambda ledger_state: dict(ledger_state.charges))

    def entries(self) -> list[LedgerEntry]:
        """Everything as it was written, oldest first, with its hashes: for an audit."""
        return self._book.entries()

    def _write(self, decide: Callable[[LedgerState], NewEntry]) -> None:
        self._book.write(decide, lambda *_: None)


def accept_restored(path: Path | str, witness: Path | None = None) -> Ledger:
    """A person says that an older, copied or lost ledger shall go on.

    What the receipt knows above the ledger is charged, as the study "(restored)". What only the lost entries knew cannot be: so
    both units are stopped until the data manager sets their budgets again, with that in mind. Studies that were open then must
    be planned anew, under a new name.
    """
    Book(Path(path), witness).accept_restored()
    return Ledger(path, witness=witness)


def _sums(ledger_state: LedgerState, unit: Unit) -> tuple[dict[Event, int], dict[Event, int], Budget | None, bool]:
    return (
        ledger_state.spent_on(unit),
        ledger_state.committed_on(unit),
        ledger_state.budgets.get(unit),
        unit in ledger_state.stopped,
    )


def _open_study(ledger_state: LedgerState, study: str) -> LedgerStudy:
    ledger_study = ledger_state.studies.get(study, LedgerStudy("", ""))
    _refuse_if(ledger_study.closed, "The study is closed; a new run needs a new name")
    return ledger_study


def _plus(counts: Mapping[Event, int], event: Event, more: int) -> dict[Event, int]:
    return {**counts, event: counts.get(event, 0) + more}


def _check(count: int, *names: str) -> None:
    if type(count) is not int or count < 1:
        raise ValueError("a count is a whole number from 1")
    if not all(0 < len(name) <= NAME_LIMIT for name in names):
        raise ValueError(f"a study, a release and a digest are named by 1 to {NAME_LIMIT} characters")


def _gone(path: Path) -> RefusedError:
    return RefusedError(
        f"There is no privacy ledger at {path}, nor a receipt of one",
        expected="the ledger of this site's patients, begun by its data manager",
        hint=f"bring back the latest ledger; if there was never one: wardround site ledger {path} --epsilon E --delta D",
        code="ledger",
    )


def _refuse_if(wrong: bool, why: str) -> None:
    if wrong:
        raise _illegal(why)


def _illegal(why: str) -> RefusedError:
    return RefusedError(why, hint="the ledger is as it was; see docs/ledger.md for the order of steps", code="ledger-step")
