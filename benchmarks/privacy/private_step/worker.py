"""One kind of step in a process of its own: `python -m private_step.worker KIND NETWORK SIDE BATCH SEED`.

A line on standard input asks for a step; the answer is a line with its seconds. At the end of the input: the most memory held, in
bytes.
"""

import resource
import sys
import time
import warnings

import torch

from private_step.network import small_network, wardround_cnn
from private_step.steps import STEPS


def main(kind: str, network: str, side: int, batch: int, seed: int) -> None:
    warnings.simplefilter("ignore")  # of libraries under comparison, about hooks and secure noise
    torch.manual_seed(seed)
    module = small_network() if network == "cnn" else wardround_cnn(side)
    inputs, targets = torch.rand(batch, 1, side, side), torch.randint(0, 10, (batch,))
    step = STEPS[kind](module, inputs, targets)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
