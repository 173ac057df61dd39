"""What it costs to run between hospitals: the reference job over Flower, masked, against the same in process.

    python benchmarks/network/against_local.py                   three hospitals, 10 rounds; needs the data set kermany_cxr
    python benchmarks/network/against_local.py --rounds 2        a short one
    python benchmarks/network/against_local.py --cores 1         every process of both on one core

One division of the data set is written once; both runs read it. In process: `simulate`, hospitals side by side. Between
hospitals: a hub and three `site up` processes on this machine, each with one core. Both without own models.

`simulate` knows how long each hospital takes, and fills two cores with the three of them. Services do not know of each other: the
system divides the cores among them, and the largest is left alone on one core at the end of every round. With `--cores 1` nothing
can be left idle on either side, and what is seen is what the wire, the seals, the logs and the processes cost.

The last line is JSON: `wall_vs_local` (seconds from the last approval to the finished model, over those of the simulation),
`network_s`, `local_s`, `same_bits`, `cores`.
"""

from __future__ import annotations

import argparse
import json
import os
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


def local(study: Study, sites: dict[str, Path], folder: Path) -> tuple[float, Path]:
    began = time.monotonic()
    simulate(study, {name: str(path) for name, path in sites.items()}, out=folder, register=False)
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
    asked.add_argument("--cores", type=int, default=0, help="how many of this machine's cores every process shares; 0 for all")
    chosen = asked.parse_args()
    if chosen.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.cores])
    folder = Path(tempfile.mkdtemp(prefix="wardround-against-local-"))
    study = job(chosen.rounds)
    sites = divided(folder / "division")
    local_s, reference = local(study, sites, folder / "local")
    network_s, model = between_hospitals(study, sites, folder / "network")
    ours, theirs = read_tensors(model)[0], read_tensors(reference)[0]
    same = all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    rows = {"in process": local_s, "between hospitals": network_s}
    print(f"{'':24} {'seconds':>8}\n" + "\n".join(f"{name:24} {seconds:8.1f}" for name, seconds in rows.items()))
    figures = {
        "wall_vs_local": network_s / local_s,
        "network_s": network_s,
        "local_s": local_s,
        "same_bits": int(same),
        "cores": len(os.sched_getaffinity(0)),
    }
    print(last_line(figures, study.training.seed))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
