"""A hospital's register of the questions that it has answered for analyses: of which rows, and of which columns.

Two studies of nearly the same rows have totals whose difference is of the few rows that they do not share. So a hospital
answers none whose rows differ from those of an earlier one by fewer than the rule allows, where both read a common column.

    rows --patient and number of the row, keyed hash--> marks (n,)      marks of earlier studies --few differ--> a sentence

It sees what this hospital answered, on this machine. It does not see what a patient's other hospital answered, nor questions
whose few rows are told apart inside one study. Only differential privacy stops differences altogether.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.values.durable import kept_secret
from wardround.values.private_files import make_private
from wardround.values.rows import Rows
from wardround.values.tensor_file import read_tensors, write_tensors

SUFFIX = ".question"
_KEY_BYTES = 32
Marks = NDArray[np.uint64]


@dataclass(frozen=True)
class Question:
    """One study's question to this hospital. smallest: the fewest rows by which it may differ from another. read, complete: marks
    of the rows that were read, and of those with a value in every column that the analysis reads."""

    study: str
    title: str
    columns: tuple[str, ...]
    smallest: int
    read: Marks
    complete: Marks

    def differs_by_few(self, other: "Question") -> int:
        """By how many rows, where these are too few; else 0."""
        if not set(self.columns) & set(other.columns):
            return 0
        least = max(self.smallest, other.smallest)
        few = [len(np.setxor1d(mine, theirs)) for mine, theirs in ((self.read, other.read), (self.complete, other.complete))]
        return max((count for count in few if 0 < count < least), default=0)


@dataclass(frozen=True)
class QuestionRegister:
    """The register in a folder of this hospital, over all of its studies. Nothing of it ever leaves."""

    folder: Path

    @cached_property
    def _key(self) -> bytes:
        return kept_secret(self.folder / "register.key", _KEY_BYTES, lambda: secrets.token_bytes(_KEY_BYTES))

    def question(self, study: str, title: str, columns: tuple[str, ...], smallest: int, rows: Rows) -> Question:
        """The question that a study asks of these rows."""
        marks = self._marks(rows)
        named = tuple(sorted(columns))
        return Question(study, title, named, smallest, np.sort(marks), np.sort(marks[rows.complete(*columns)]))

    def _marks(self, rows: Rows) -> Marks:
        """(n,) one of each row: a patient's first row has the same mark in every study, and the second another."""
        seen: dict[str, int] = {}
        marks = []
        for patient in rows.patients.tolist():
            seen[patient] = seen.get(patient, 0) + 1
            digest = hmac.digest(self._key, f"{seen[patient]}\0{patient}".encode(), hashlib.sha256)
            marks.append(int.from_bytes(digest[:8], "little"))
        return np.array(marks, np.uint64)

    def broken(self, question: Question) -> Iterator[str]:
        """A sentence for each earlier question that differs by too few rows. It is for this hospital alone."""
        for earlier, answered in self._earlier():
            if earlier.study != question.study and (few := question.differs_by_few(earlier)):
                yield (
                    f"its rows differ by {few} from those of {earlier.title!r}, answered on {answered}: the difference of two "
                    f"tables would show them (fewer than {max(question.smallest, earlier.smallest)})"
                )

    def _earlier(self) -> Iterator[tuple[Question, str]]:
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            arrays, head = read_tensors(path)
            columns = tuple(head["columns"])
            yield (
                Question(head["study"], head["title"], columns, head["smallest"], arrays["read"], arrays["complete"]),
                head["day"],
            )

    def add(self, question: Question) -> None:
        """Records a question before it is answered."""
        make_private(self.folder)
        head: dict[str, Any] = {
            "study": question.study,
            "title": question.title,
            "columns": list(question.columns),
            "smallest": question.smallest,
            "day": f"{datetime.now(UTC):%Y-%m-%d}",
        }
        path = self.folder / f"{question.study[:32]}{SUFFIX}"
        if not path.exists():
            write_tensors(path, {"read": question.read, "complete": question.complete}, head)
