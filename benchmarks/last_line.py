"""The last line of a benchmark: its figures as one line of JSON, with what another run needs to be compared with it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "wardround",
    "torch",
    "numpy",
    "safetensors",
    "cryptography",
    "dp-accounting",
    "scikit-learn",
    "opacus",
    "prv-accountant",
)
"""Those whose speed or figures the benchmarks show. One that is not installed is left out."""


def last_line(figures: Mapping[str, object], seed: int | Sequence[int] | None) -> str:
    """The figures under their own names, then `seed`, `machine` and `versions`.

    seed: of the figures, or several, or None where nothing is seeded.
    """
    return json.dumps({**figures, "seed": seed, "machine": machine(), "versions": versions()})


def machine() -> dict[str, object]:
    """The processor, its cores, the memory in GiB, the system; no name of a host or a user, since the line is published."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_at_end": round(os.getloadavg()[0], 1),
    }


def versions() -> dict[str, str | None]:
    """Python and the packages installed. commit: of the checkout, with `+` where files were changed since; None outside git."""
    installed: dict[str, str | None] = {"python": platform.python_version(), "commit": _commit()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _commit() -> str | None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).resolve().parent), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
