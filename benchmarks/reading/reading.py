"""How long a hospital's data take to be checked: a table of a million rows, images, ten million OMOP measurements.

    python benchmarks/reading/reading.py            each program of this folder, one after the other, in a process of its own
    python benchmarks/reading/reading.py --part 50  a fiftieth of each, to see that it runs

The seconds are those of the part. Images are 10,000 of 512 x 512 pixels, since the whole takes 18 GB of disk; their seconds are
scaled up to 100,000.

The last line is JSON: csv_1m_s, images_100k_s, omop_10m_s (seconds), peak_mb (of the program that took most), and the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from last_line import last_line

PROGRAMS = {
    "csv_1m_s": ("tables.py", "--rows", 1_000_000),
    "images_100k_s": ("images.py", "--count", 10_000),
    "omop_10m_s": ("omop.py", "--rows", 10_000_000),
}


def run(program: str, option: str, size: int) -> dict[str, object]:
    """The program's last line; what it prints before goes to this terminal."""
    command = [sys.executable, str(Path(__file__).with_name(program)), option, str(size)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    print("\n".join(printed[:-1]), flush=True)
    figures: dict[str, object] = json.loads(printed[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, default=1, help="read one part in so many of each")
    chosen = parser.parse_args()
    told: dict[str, object] = {}
    peaks: list[float] = []
    print(f"{'':<16}{'size':>12}{'seconds':>10}{'peak MB':>10}")
    for key, (program, option, size) in PROGRAMS.items():
        figures = run(program, option, size // chosen.part)
        told[key] = figures[key]
        peaks.append(float(str(figures["peak_mb"])))
        print(f"{program:<16}{size // chosen.part:>12,}{float(str(figures[key])):>10.1f}{peaks[-1]:>10.0f}", flush=True)
    print(last_line({**told, "peak_mb": max(peaks), "part": chosen.part}, None))


if __name__ == "__main__":
    main()
