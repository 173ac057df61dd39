"""Other questions than yes or no at the bedside: what acceptance on a hospital's own cases makes of models that hospitals taught.

    wardround simulate examples/heart_severity.toml --out heart_severity      (and icu_stay, breast_cancer_time)
    python benchmarks/clinic/kinds.py heart_severity=PATH icu_stay=eicu_demo breast_cancer_time=fed_tcga_brca

Each argument is a run folder and the cases that test it: a path or the name of a public set. The last line is one JSON object.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from last_line import last_line
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.place.acceptance_record import AcceptanceRecord
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.tasks.registry import task_of_label

SEED = 1


def tested(run: str, source: str) -> tuple[AcceptanceRecord, float]:
    """With nine of ten promised; and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        clinic = ClinicPlace.begin(Path(folder) / "clinic", ClinicSettings(hospital="Benchmark"))
        began = time.monotonic()
        return accept(clinic, candidates_of(clinic, run), source, AcceptanceSettings(seed=SEED)), time.monotonic() - began


def figures_of(record: AcceptanceRecord) -> dict[str, float | None]:
    """The figure by which such models are judged, what the loss gains over base rates, and what answers hold and tell."""
    headline = task_of_label(record.statement.data.label).headline
    raw, local = record.asked.raw, record.asked.local
    gain = local.interval("gain")
    return {
        "cases": float(record.cases.cases),
        f"{headline}_raw": raw.value(headline),
        headline: local.value(headline),
        "gain_raw": raw.value("gain"),
        "gain": local.value("gain"),
        "gain_low": None if gain is None else gain[0],
        **{name: record.measured.value(name) for name in ("coverage", "cannot_tell", "wrong")},
    }


def main(pairs: list[str]) -> None:
    told: dict[str, object] = {}
    for pair in pairs:
        run, _, source = pair.partition("=")
        record, seconds = tested(run, source)
        name = Path(run).name
        print(f"{name} ({record.statement.data.label.kind}), {record.cases.patients} patients, {seconds:.1f} s")
        for key, value in figures_of(record).items():
            print(f"  {key:<16}{'-' if value is None else f'{value:.4f}'}")
            told[f"{name}_{key}"] = value
    print(last_line(told, SEED))


if __name__ == "__main__":
    main(sys.argv[1:])
