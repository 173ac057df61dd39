"""A clinic served by its command, in a process of its own, at a free port."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(folder: Path, listen: str = "127.0.0.1:0") -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of `wardround clinic up` while the block runs, and its process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "wardround", "clinic", "up", "--clinic", str(folder), "--listen", listen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        said = ""
        try:
            while "http://" not in said:
                line = process.stdout.readline()
                said += line
                assert line, f"the clinic did not start: {said}"
            yield said.rpartition("http://")[2].partition("/")[0].strip(), process
        finally:
            process.terminate()
            process.communicate(timeout=30)
