"""Sums as reports and checkpoints keep them: whole, short, and refused where no array could be so."""

import json
from typing import Any

import numpy as np
import pytest

from wardround.tasks.sums import STORED_SPARSE_FROM, Sums, counts_of_json
from wardround.values.errors import WireError

LONG = np.zeros((2, STORED_SPARSE_FROM), np.int64)
LONG[1, 7] = 3


def test_a_long_array_is_kept_by_its_filled_entries_and_comes_back_whole() -> None:
    """A time has 25,000 entries, nearly all 0: a report with 120 rounds of them was written anew, 10 MB, in each."""
    sums = Sums({"when": LONG, "n": np.asarray(1, np.int64)})
    text = json.dumps(sums.to_json())
    assert len(text) < 100
    assert Sums.of_counts(counts_of_json(json.loads(text)), {"when": LONG.shape, "n": ()}) == sums
    dense = {"when": LONG.tolist(), "n": 1}  # as releases before this one wrote it
    assert Sums.of_counts(counts_of_json(dense), {"when": LONG.shape, "n": ()}) == sums


@pytest.mark.parametrize(
    "stored",
    [
        {"shape": [1 << 40], "filled": []},
        {"shape": [1 << 12, 1 << 12], "filled": []},
        {"shape": [-1], "filled": []},
        {"shape": "4", "filled": []},
        {"shape": [4], "filled": [[4, 1]]},
        {"shape": [4], "filled": [[1, 1], [0, 1]]},
        {"shape": [4], "filled": [[0, -1]]},
        {"filled": []},
    ],
)
def test_what_is_no_array_is_refused_before_it_takes_memory(stored: dict[str, Any]) -> None:
    """A report is a file that a person may have edited."""
    with pytest.raises(WireError, match="not the sums of an evaluation"):
        counts_of_json({"when": stored})
