"""A process that charges and marks releases until it is killed. Run as: python ledger_worker.py LEDGER MARKS LIFE."""

import sys
from pathlib import Path

from wardround.privacy.events import Event
from wardround.privacy.ledger.ledger import Ledger
from wardround.values.errors import RefusedError

EVENT = Event(100.0)


def work(path: Path, marks: Path, life: str) -> None:
    ledger = Ledger(path)
    (marks.parent / f"begun-{life}").touch()
    for step in range(10**6):
        try:
            ledger.charge("study", f"{life}-{step}", EVENT)
        except RefusedError as refused:
            if refused.code != "budget":
                raise
            continue
        if step % 5 == 4:
            ledger.cancel("study", f"{life}-{step}")
            continue
        if step % 3 == 0:
            ledger.released("study", f"{life}-{step}", "digest")
        (marks / f"{life}-{step}").touch()  # the release, after `charge` has returned


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
