"""The job as a Wardround study, and the command that a user would type to run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulators.hospitals import NAMES
from simulators.job import Job

_STUDY = """\
[question]
title = "Benchmark: three hospitals, one small network"

[data]
kind = "image"
[data.splits]
declared = true

[network]
name = "small_cnn"
width = {width}

[training]
local_epochs = {local_epochs}
batch_size = {batch_size}
optimizer = "adamw"
learning_rate = {learning_rate}
schedule = "constant"
class_balance = false
seed = {seed}

[algorithm]
name = "fedavg"
rounds = {rounds}

[evaluation]
own_baseline = false
"""
_FIELDS = ("width", "local_epochs", "batch_size", "learning_rate", "seed", "rounds")


def simulate_command(python: Path, folder: Path, job: Job, workers: int | None = None) -> Sequence[str]:
    """`wardround simulate`; workers: hospitals at work at once, 0 in order in one process, None its default."""
    study = folder / "study.toml"
    study.write_text(_STUDY.format(**{name: getattr(job, name) for name in _FIELDS}))
    sites = [part for name, path in zip(NAMES, job.hospitals, strict=True) for part in ("--site", f"{name}={path}")]
    command = [str(python.with_name("wardround")), "simulate", str(study), *sites, "--device", "cpu"]
    if workers is not None:
        command += ["--workers", str(workers)]
    return (*command, "--out", str(folder / "run"), "--json")
