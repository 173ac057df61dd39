"""Every number of a paper that is measured here, in one line of JSON: runs the other programs of this folder, one after another.

python benchmarks/statistics/every_number.py            some six minutes on two cores
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line

FOLDER = Path(__file__).resolve().parent
PROGRAMS = ("regression", "survival", "effects")
KEYS = (
    "regression_max_difference",
    "cox_max_difference",
    "exchanges_regression",
    "exchanges_cox",
    "brca_c",
    "km_max_difference",
    "aipw_max_difference",
    "quartile_error",
    "leak_rows",
    "leak_rows_without_rule",
)


def measured(program: str) -> dict[str, Any]:
    """The figures of one program; what it prints is shown."""
    command = [sys.executable, str(FOLDER / f"{program}.py")]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(ended.stdout, flush=True)
    figures: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures


def main() -> None:
    figures: dict[str, Any] = {}
    for program in PROGRAMS:
        figures |= measured(program)
    print(last_line({key: figures[key] for key in KEYS}, 0))


if __name__ == "__main__":
    main()
