"""The benchmark of many sites goes through the real machines, so a change of the protocol can break it unseen."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROGRAM = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/summation"]
from masking import many_sites
many_sites.WORDS = 50
print(sorted(many_sites.measure(((3, 0, 1), (3, 1, 0), (10, 1, 1)))))
"""


def test_whole_sums_with_and_without_a_loss_open_in_the_benchmark() -> None:
    """It compares each total with the sum of the words, and failed unnoticed when new sites began to need witnesses."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(BENCHMARKS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['many_open_s_10_lost', 'many_site_s_10_lost']"
