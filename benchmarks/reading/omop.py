"""How long ten million OMOP measurements take to become the records of a cohort, and how much memory.

    python benchmarks/reading/omop.py [--rows N] [--folder DIR]

Drawn tables (20,000 persons, 40 kinds of measurement in 20 columns as in CDM 5.4) are written as CSV into a temporary folder, and
read with `wardround.sources.open_source`, as `data check` does. The cohort uses 20 of the 40 kinds: half of the rows are kept.
The last line is JSON: omop_10m_s (seconds of reading, without the writing), cpu_s (of all threads in that time: on a machine with
nothing else to do the first is between half and all of it), peak_mb (of this process), and what they belong to.
"""

import argparse
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.sources import open_source
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.study.sections.cohort import CohortSection, ConceptSet, FeatureSection, IndexSection, OutcomeSection

PERSONS, KINDS, USED = 20_000, 40, 20
SEED = 1
FIRST_CONCEPT = 3_000_000
PART = 1_000_000
VISIT = 9201


def write_tables(folder: Path, rows: int, seed: int = SEED) -> int:
    """OMOP tables in CSV with `rows` measurements; returns the bytes of the largest."""
    draw = np.random.default_rng(seed)
    persons = np.arange(1, PERSONS + 1)
    days = np.datetime64("2015-01-01") + draw.integers(0, 1000, PERSONS)
    pl.DataFrame({
        "person_id": persons, "gender_concept_id": draw.choice([8507, 8532], PERSONS),
        "year_of_birth": draw.integers(1930, 2000, PERSONS), "month_of_birth": draw.integers(1, 13, PERSONS),
        "day_of_birth": draw.integers(1, 29, PERSONS),
    }).write_csv(folder / "person.csv")  # fmt: skip
    pl.DataFrame({
        "observation_period_id": persons, "person_id": persons,
        "observation_period_start_date": np.full(PERSONS, np.datetime64("2010-01-01")),
        "observation_period_end_date": np.full(PERSONS, np.datetime64("2022-12-31")),
    }).write_csv(folder / "observation_period.csv")  # fmt: skip
    pl.DataFrame({
        "visit_occurrence_id": persons, "person_id": persons, "visit_concept_id": np.full(PERSONS, VISIT),
        "visit_start_date": days, "visit_end_date": days + draw.integers(1, 15, PERSONS),
        "visit_source_concept_id": np.zeros(PERSONS, np.int64),
    }).write_csv(folder / "visit_occurrence.csv")  # fmt: skip
    dead = draw.choice(persons, PERSONS // 10, replace=False)
    pl.DataFrame({"person_id": dead, "death_date": days[dead - 1] + draw.integers(0, 700, len(dead))}).write_csv(
        folder / "death.csv"
    )
    _write_observations(folder)
    _write_measurements(folder / "measurement.csv", rows, draw)
    return (folder / "measurement.csv").stat().st_size


def _write_observations(folder: Path) -> None:
    columns = ("observation_id", "person_id", "observation_concept_id", "observation_date", "observation_source_concept_id")
    (folder / "observation.csv").write_text(",".join(columns) + "\n")


def _write_measurements(path: Path, rows: int, draw: np.random.Generator) -> None:
    with path.open("wb") as file:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            day = np.datetime64("2012-01-01") + draw.integers(0, 3000, count)
            concept = FIRST_CONCEPT + draw.integers(0, KINDS, count)
            value = np.round(draw.normal(100, 20, count), 2)
            frame = pl.DataFrame({
                "measurement_id": np.arange(start, start + count), "person_id": draw.integers(1, PERSONS + 1, count),
                "measurement_concept_id": concept, "measurement_date": day, "measurement_datetime": day,
                "measurement_time": pl.Series(["08:30:00"]).new_from_index(0, count), "measurement_type_concept_id": 32856,
                "operator_concept_id": 0, "value_as_number": value, "value_as_concept_id": 0, "unit_concept_id": 0,
                "range_low": 70.0, "range_high": 130.0, "provider_id": 33, "visit_occurrence_id": 38, "visit_detail_id": 1000038,
                "measurement_source_value": "29463-7", "measurement_source_concept_id": 0, "unit_source_value": "mg/dL",
                "value_source_value": value,
            })  # fmt: skip
            frame.write_csv(file, include_header=start == 0)


def contract() -> DataContract:
    """Death within a year of the first visit, from the last and the mean value of 20 measurements before it."""
    features = [FeatureSection(column="age", value="age")]
    columns = [ColumnContract(name="age", range=(0, 120))]
    sets = [ConceptSet(name="visit", event="visit", codes=(f"OMOP|{VISIT}",))]
    for kind in range(USED):
        sets.append(ConceptSet(name=f"kind {kind}", event="measurement", codes=(f"OMOP|{FIRST_CONCEPT + kind}",)))
        for value in ("last", "mean"):
            name = f"{value}_{kind}"
            units = {"mg/dL": 1.0}
            features.append(FeatureSection(column=name, value=value, concepts=f"kind {kind}", days_before=3650, units=units))
            columns.append(ColumnContract(name=name, range=(0, 200), max_missing=1.0))
    cohort = CohortSection(
        concepts=tuple(sets),
        index=IndexSection(concepts="visit"),
        features=tuple(features),
        outcome=OutcomeSection(kind="death", days_after=365),
    )
    return DataContract(kind="table", columns=tuple(columns), label=LabelContract(name="death"), cohort=cohort)


def omop_10m(folder: Path, rows: int = 10_000_000) -> dict[str, float | int]:
    """Writes the tables into `folder`, reads them, and says how long the reading took."""
    size = write_tables(folder, rows)
    before = _resident_mb()
    peak = _Peak()
    began, cpu = time.monotonic(), time.process_time()
    records = open_source(folder, contract()).load()
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
    return {
        "omop_10m_s": round(seconds, 1),
        "cpu_s": round(cpu_seconds, 1),
        "peak_mb": round(peak.stop()),
        "before_mb": round(before),
        "rows": rows,
        "file_mb": round(size / 1e6),
        "records": len(records),
        "positive": int(records.labels.sum()),
    }


class _Peak:
    """The largest resident memory from now on, looked at every 20 ms: the process may have been larger while it wrote."""

    def __init__(self) -> None:
        self._largest, self._ended = _resident_mb(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._largest = max(self._largest, _resident_mb())

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._largest


def _resident_mb() -> float:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to write the tables (default: a temporary folder)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print(last_line(omop_10m(Path(folder), asked.rows), SEED))


if __name__ == "__main__":
    main()
