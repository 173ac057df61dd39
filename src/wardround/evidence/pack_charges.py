"""Whether what a hospital answered to a private study was charged: its log and its ledger, as they stand in its evidence.

log: answer, sum, release, charged, ledger_entry, ledger_chain
ledger: entry, reserved: same number, hash, study, release, event      later entry: released
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardround.evidence.pack import LEDGER, LEDGERS, LOG, STUDY
from wardround.plan.private_plan import charged_step
from wardround.privacy.ledger.file import GENESIS, LedgerEntry, link
from wardround.privacy.ledger.state import Kind
from wardround.study.reading import parse_study
from wardround.values.chained_log import Entry, read_entries
from wardround.values.errors import WardroundError

ANSWER = "answer"
"""Code of the log's line about an order that was answered."""


def ledger_problem(files: Mapping[str, bytes]) -> str | None:
    """Whether one entry of the ledger proves the next. None where no ledger is in it: the study is not private."""
    names = _ledgers(files)
    return next(filter(None, (_broken(name, files[name]) for name in names)), "") if names else None


def _broken(name: str, data: bytes) -> str:
    number = 0
    try:
        for entry, is_true in _entries(data):
            if not is_true:
                return f"the ledger is broken after entry {number}"
            number = entry.number
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{name[:100]} cannot be read after entry {number}"
    return ""


def charges_problem(files: Mapping[str, bytes], study: str) -> str | None:
    """Whether the ledger charged every private sum that the log says was answered. study: its hash.

    None where the study is not private, nothing of it was answered that costs anything, or the files are broken: that is said of
    them elsewhere."""
    try:
        declared = parse_study(files[STUDY].decode("utf-8"), STUDY)
        if not declared.privacy.private or ledger_problem(files):
            return None
        lines = [entry for entry in _log_lines(files) if entry.code == ANSWER and entry.facts.get("study") == study]
    except (KeyError, UnicodeDecodeError, ValueError, WardroundError):
        return None
    ledgers = [_Ledger.of(files[name], study) for name in _ledgers(files)] or [_Ledger.of(b"[]", study)]
    released = sum(len(ledger.released) for ledger in ledgers)
    if released and not any("sum" in line.facts for line in lines):
        return f"the ledger has released {released} sums of this study, and no line of the log says which answers they were"
    answered = [line for line in lines if str(line.facts.get("sum", "")).startswith(f"{charged_step(declared)}/")]
    problems = filter(None, (_unpaid(line, ledgers, study) for line in answered))
    return next(problems, "" if answered else None)


@dataclass(frozen=True)
class _Ledger:
    """entries: by number. released: of each release of the study that left, the number of the entry that says so."""

    entries: Mapping[int, LedgerEntry]
    released: Mapping[str, int]

    @classmethod
    def of(cls, data: bytes, study: str) -> "_Ledger":
        entries = {entry.number: entry for entry, _ in _entries(data)}
        left = [entry for entry in entries.values() if entry.kind == Kind.RELEASED and entry.content.get("study") == study]
        return cls(entries, {str(entry.content.get("release")): entry.number for entry in left})


def _ledgers(files: Mapping[str, bytes]) -> list[str]:
    """The last one, and those that earlier decisions named."""
    return [*([LEDGER] if LEDGER in files else []), *sorted(name for name in files if name.startswith(LEDGERS))]


def _unpaid(line: Entry, ledgers: Sequence[_Ledger], study: str) -> str:
    """Why no ledger has paid for this answer; empty where one has."""
    faults = [_fault(line, ledger, study) for ledger in ledgers]
    return faults[0] if all(faults) else ""


def _fault(line: Entry, ledger: _Ledger, study: str) -> str:
    """Why this answer was not charged by the entry that its line names; empty where it was."""
    facts, number = line.facts, line.facts.get("ledger_entry")
    answer = f"line {line.number} of the log, an answer to {_short(facts['sum'])},"
    entry = ledger.entries.get(number) if type(number) is int else None
    if entry is None:
        return f"{answer} names no entry of the ledger that is in it: nothing was charged"
    release = facts.get("release")
    stated = {"study": study, "release": release, **_object(facts.get("charged"))}
    same = (entry.chain, entry.kind, dict(entry.content)) == (facts.get("ledger_chain"), Kind.RESERVED, stated)
    if not same or not str(release).startswith(facts["sum"]):
        return f"{answer} names entry {number} of the ledger, which charged something else"
    if ledger.released.get(str(release), 0) < entry.number:
        return f"{answer} names entry {number} of the ledger, of which no later entry says that it was released"
    return ""


def _short(name: Any) -> str:
    """The beginning of a sum's name, for a sentence."""
    return str(name)[:100].rstrip("/")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _entries(data: bytes) -> Iterator[tuple[LedgerEntry, bool]]:
    """Every entry, and whether it follows from the one before. ValueError, KeyError or TypeError at one that is none."""
    before, number = GENESIS, 0
    for value in json.loads(data):
        entry = link(before, value["number"], value["at"], value["kind"], value["content"])
        if not isinstance(entry.content, dict):
            raise TypeError("an entry's content is an object")
        yield entry, (entry.number, entry.chain) == (number + 1, value["chain"])
        before, number = entry.chain, entry.number


def _log_lines(files: Mapping[str, bytes]) -> Iterator[Entry]:
    return (entry for name, data in files.items() if name.startswith(LOG) for entry in read_entries(data))
