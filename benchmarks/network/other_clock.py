"""Clocks of their own for processes of this machine, each of which can be stepped while they run.

    clocks = OtherClocks(folder)      clocks.environment("ada") -> for ada's processes      clocks.step("ada", 310.0)

A small library (`other_clock.c`) that is loaded before a process' own adds so many seconds to the time of day, and to nothing
else: what waits, waits as long as before. It is built when it is needed, by the compiler of this machine.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def can_be_built() -> bool:
    """Whether this machine has what it takes: Linux and a compiler of C."""
    return sys.platform == "linux" and shutil.which("cc") is not None


class OtherClocks:
    """folder: holds the library, and a file for each clock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._library = folder / "other_clock.so"
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self._library, SOURCE], check=True)

    def environment(self, name: str) -> dict[str, str]:
        """What makes a process go by this clock, which agrees with this machine's until it is stepped."""
        if not self._file(name).exists():
            self.step(name, 0.0)
        return {"LD_PRELOAD": str(self._library), "OTHER_CLOCK": str(self._file(name))}

    def step(self, name: str, ahead_s: float) -> None:
        """From now on the clock is so many seconds ahead of this machine's; less than 0: behind it."""
        with self._file(name).open("r+b" if self._file(name).exists() else "wb", buffering=0) as file:
            file.write(struct.pack("=q", int(ahead_s * 1e9)))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.clock"
