"""A fresh virtual environment for each competitor, filled from the package index that pip is set up with."""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

TORCH = "torch<2.14"
"""Wardround's own upper bound: everyone runs on the same torch."""


def make_environment(folder: Path, packages: Sequence[str]) -> Path:
    """The environment's Python; an environment that a former run finished is used again."""
    python = folder / "bin" / "python"
    finished = folder / "finished.txt"
    if not finished.exists():
        print(f"installing {', '.join(packages)} ...", flush=True)
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        _install(python, (*packages, TORCH, "numpy"))
        finished.write_text("\n".join(packages))
    return python


def _install(python: Path, packages: Sequence[str]) -> None:
    """Ends the benchmark with pip's own last lines where the package index cannot be reached or has no such package."""
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise SystemExit(
            f"{packages[0]} could not be installed for the comparison; leave it out with --only. pip says:\n{reason}"
        )


def versions(python: Path, names: Sequence[str]) -> str:
    """`name version, ...` of the installed ones among `names`."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True)
    installed = {package["name"].lower(): package["version"] for package in json.loads(listed.stdout)}
    return ", ".join(f"{name} {installed[name]}" for name in names if name in installed)
