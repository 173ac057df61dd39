"""What the readiness report of a large table takes: a CSV of 1,000,000 rows and 50 columns, 265 MB.

    python benchmarks/reading/tables.py            # about a minute on two cores
    python benchmarks/reading/tables.py --rows 100000

The table is drawn: 40 columns of numbers, 7 of categories, a sex, a label, and a patient a row. It is checked in a process of its
own, as `wardround data check` does it, `--repeats` times. The last line is JSON: `csv_1m_s` is the fastest wall time of a check,
`cpu_s` the CPU time of that check over all threads, `peak_mb` the largest memory of a process, Python and its libraries with it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

import numpy as np
import polars as pl

from last_line import last_line

SEED = 1
NUMBERS, CATEGORIES = 40, 7
_CHECK = """
import json, resource, sys, time
from wardround.sources import open_source
from wardround.study.reading import load_study
study = load_study(sys.argv[2])
began, used = time.perf_counter(), time.process_time()
ready = open_source(sys.argv[1], study.data).check().ready()
spent = time.perf_counter() - began, time.process_time() - used
print(json.dumps([ready, *spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def write_table(folder: Path, rows: int) -> tuple[Path, Path]:
    """The table and its study."""
    rng = np.random.default_rng(SEED)
    columns = {"patient": pl.Series([f"P{k:07d}" for k in rng.permutation(rows).tolist()])}
    columns |= {f"x{k}": pl.Series(np.round(rng.normal(100, 15, rows), 1 + k % 2)) for k in range(NUMBERS)}
    columns |= {f"c{k}": pl.Series(rng.integers(0, 5, rows)) for k in range(CATEGORIES)}
    columns |= {"sex": pl.Series(np.where(rng.random(rows) < 0.5, "f", "m")), "label": pl.Series(rng.integers(0, 2, rows))}
    pl.DataFrame(columns).write_csv(folder / "table.csv")
    parts = ['format = 1\nquestion = { title = "A large table" }\n[data]\nkind = "table"\n']
    parts += [f'[[data.columns]]\nname = "x{k}"\nrange = [0, 300]\n' for k in range(NUMBERS)]
    parts += [f'[[data.columns]]\nname = "c{k}"\nkind = "category"\ncategories = [0, 1, 2, 3, 4]\n' for k in range(CATEGORIES)]
    parts.append('[[data.columns]]\nname = "sex"\nkind = "binary"\ncategories = ["f", "m"]\n[network]\nname = "logistic"\n')
    (folder / "study.toml").write_text("".join(parts))
    return folder / "table.csv", folder / "study.toml"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        table, study = write_table(Path(name), chosen.rows)
        print(f"{chosen.rows} rows, {NUMBERS + CATEGORIES + 3} columns, {table.stat().st_size / 1e6:.0f} MB", flush=True)
        results = []
        for _ in range(chosen.repeats):
            command = [sys.executable, "-c", _CHECK, str(table), str(study)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            ready, wall, cpu, peak = json.loads(done.stdout)
            print(f"ready: {ready}, {wall:.1f} s, CPU {cpu:.1f} s, {peak:.0f} MB", flush=True)
            results.append((wall, cpu, peak))
    wall, cpu, _ = min(results)
    figures = {"csv_1m_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_mb": round(max(peak for *_, peak in results))}
    print(last_line({"rows": chosen.rows, **figures}, SEED))


if __name__ == "__main__":
    main()
