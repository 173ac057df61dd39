"""What it costs to run between hospitals: the reference job over Flower, masked, against the same in process.

    python benchmarks/network/against_local.py                   three hospitals, 10 rounds; needs the data set kermany_cxr
    python benchmarks/network/against_local.py --rounds 2        a short one

One division of the data set is written once; both runs read it. In process: `simulate`, hospitals side by side. Between
hospitals: a hub and three `site up` processes on this machine, each with one core. Both without own models. In process twice: as
`simulate` does it, with as many hospitals at a time as there are cores, the largest first; and with all three at once, as between
hospitals, where the system shares the cores among them. The last line is JSON: `wall_vs_local` (seconds from the last approval to
the finished model, over those of the simulation), `wall_vs_all_at_once`, `network_s`, `local_s`, `all_at_once_s`, `same_bits`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from federation import Federation
from last_line import last_line
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.run_settings import settings_beside
from wardround.study.writing import to_toml
from wardround.values.tensor_file import read_tensors

ROOT = Path(__file__).resolve().parents[2]
JOB = ROOT / "examples" / "chest_xray.toml"


def job(rounds: int) -> Study:
    """The reference job without own models and without an external test set, which neither side is measured by."""
    return load_study(JOB).revised(algorithm={"rounds": rounds}, evaluation={"own_baseline": False, "external": None})


def divided(folder: Path) -> dict[str, Path]:
    """The hospitals' files, as the reference job divides its data set."""
    settings = settings_beside(JOB)
    simulate(job(1), division=settings.simulation, out=folder, register=False, workers=0)
    return {path.stem: path for path in sorted((folder / "data").glob("*.npz"))}


def local(study: Study, sites: dict[str, Path], folder: Path, workers: int | None = None) -> tuple[float, Path]:
    began = time.monotonic()
    simulate(study, {name: str(path) for name, path in sites.items()}, out=folder, register=False, workers=workers)
    return time.monotonic() - began, folder / "model.safetensors"


def between_hospitals(study: Study, sites: dict[str, Path], folder: Path) -> tuple[float, Path]:
    """From the moment that the last hospital has approved to the finished model."""
    federation = Federation(folder, tuple(sites), one_core=True)
    try:
        federation.begin(data=sites)
        (path := folder / "study.toml").write_text(to_toml(study))
        submitted = federation.submit(path)
        federation.approve(submitted)
        while federation.state(submitted)["phase"] == "offered":
            time.sleep(0.05)
        began = time.monotonic()
        phase = federation.wait(submitted, 3600.0)
        seconds = time.monotonic() - began
    finally:
        federation.close()
    if phase != "finished":
        raise RuntimeError(json.dumps({"phase": phase}))
    return seconds, federation.hub / "studies" / submitted / "run" / "model.safetensors"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=10)
    chosen = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="wardround-against-local-"))
    study = job(chosen.rounds)
    sites = divided(folder / "division")
    local_s, reference = local(study, sites, folder / "local")
    all_at_once_s, _ = local(study, sites, folder / "all-at-once", len(sites))
    network_s, model = between_hospitals(study, sites, folder / "network")
    ours, theirs = read_tensors(model)[0], read_tensors(reference)[0]
    same = all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    rows = {"in process": local_s, "in process, all at once": all_at_once_s, "between hospitals": network_s}
    print(f"{'':24} {'seconds':>8}\n" + "\n".join(f"{name:24} {seconds:8.1f}" for name, seconds in rows.items()))
    figures = {
        "wall_vs_local": network_s / local_s,
        "wall_vs_all_at_once": network_s / all_at_once_s,
        "network_s": network_s,
        "local_s": local_s,
        "all_at_once_s": all_at_once_s,
        "same_bits": int(same),
    }
    print(last_line(figures, study.training.seed))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
