"""What a long-lived process does with memory that it needs no more."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
import numpy as np
from wardround.values.allocator import give_back_at_once

def resident_mib():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024

def add():
    for _ in range(3):  # arrays as a model has them, and small things that outlive them
        arrays = [np.ones(1_700_000, np.float32) for _ in range(30)]
        kept.extend(bytes(1000) for _ in range(1000))
        del arrays

print(give_back_at_once() if sys.argv[1] == "yes" else False)
kept, before = [], resident_mib()
for thread in [threading.Thread(target=add) for _ in range(4)]:
    thread.start()
    thread.join()
print(resident_mib() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator that is asked is glibc")
def test_what_was_added_up_is_given_back() -> None:
    """A hub runs for years, and adds a model of hundreds of megabytes for some seconds of them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, "yes"], capture_output=True, text=True, check=True)
    asked, grown_mib = done.stdout.split()
    if asked == "False":
        pytest.skip("another libc")
    assert float(grown_mib) < 30.0
