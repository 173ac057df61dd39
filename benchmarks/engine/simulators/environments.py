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
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages, TORCH, "numpy"], check=True, capture_output=True)
        finished.write_text("\n".join(packages))
    return python


def versions(python: Path, names: Sequence[str]) -> str:
    """`name version, ...` of the installed ones among `names`."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True)
    installed = {package["name"].lower(): package["version"] for package in json.loads(listed.stdout)}
    return ", ".join(f"{name} {installed[name]}" for name in names if name in installed)
