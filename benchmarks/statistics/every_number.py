"""Every number of a paper that is measured here, in one line of JSON: runs the other programs of this folder, one after another.

python benchmarks/statistics/every_number.py              some six minutes on two cores
python benchmarks/statistics/every_number.py --private    half an hour more: the figures with noise too
"""

from __future__ import annotations

import argparse
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
    parser = argparse.ArgumentParser(description="Every number of a paper, in one line.")
    parser.add_argument("--private", action="store_true", help="those of private.py too")
    figures: dict[str, Any] = {}
    with_noise: dict[str, Any] = {}
    if parser.parse_args().private:
        with_noise = {key: value for key, value in measured("private").items() if key.startswith(("private_", "fedsgd_"))}
    for program in PROGRAMS:
        figures |= measured(program)
    print(last_line({key: figures[key] for key in KEYS} | with_noise, 0))


if __name__ == "__main__":
    main()
