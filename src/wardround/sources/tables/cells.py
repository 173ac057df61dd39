"""One column of a table as text: each distinct cell once, and which of them a row holds. What a cell means is then judged once
for all rows that hold it, and numbers are parsed all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wardround.study.cell_values import is_number, spelled

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True)
class Cells:
    """words: trimmed cells (u,), "" where one is empty; distinct, or one a row. index: (n,) the word of each row.

    numbers: (u,) what each word means as a plain number, NaN where it is none. one_a_row: index is 0, 1, 2, ..., and what words
    mean is what rows hold, without a look-up that takes longer than most judgements.
    """

    words: Sequence[str]
    index: NDArray[np.int64]
    numbers: NDArray[np.float64]
    one_a_row: bool = False

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def of_list(cls, cells: Sequence[str]) -> "Cells":
        position_of = {word: position for position, word in enumerate(dict.fromkeys(cells))}
        index = np.array([position_of[cell] for cell in cells], np.int64).reshape(len(cells))
        words = list(position_of)
        numbers = np.array([float(word) if is_number(word) else np.nan for word in words], np.float64).reshape(len(words))
        return cls(words, index, numbers)

    def take(self, rows: NDArray[np.int64]) -> "Cells":
        """The cells of some rows, each once and in their order."""
        return self if len(rows) == len(self) else Cells(self.words, self.index[rows], self.numbers)

    def by_row(self, values: NDArray[Kind]) -> NDArray[Kind]:
        """What each row holds (n, ...), of what each word became (u, ...)."""
        return values if self.one_a_row else values[self.index]

    def word(self, row: int) -> str:
        return self.words[int(self.index[row])]

    def rows_of(self, chosen_words: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The rows that hold one of the chosen words (u,)."""
        return np.flatnonzero(self.by_row(chosen_words))

    def to_list(self) -> list[str]:
        return [self.words[position] for position in self.index.tolist()]


def cell_of(value: Any) -> str:
    """A raw value as a cell: "" for None and NaN, "1" and "0" for booleans, text trimmed, a number in its shortest spelling.

    >>> cell_of(None), cell_of(float("nan")), cell_of(True), cell_of(1.0), cell_of(" F "), cell_of("1.0")
    ('', '', '1', '1', 'F', '1.0')
    """
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or (isinstance(plain, float) and np.isnan(plain)):
        return ""
    if isinstance(plain, bool):
        return str(int(plain))
    return spelled(plain if isinstance(plain, (int, float)) else str(plain))
