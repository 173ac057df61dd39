"""One site's masked vector by Flower's own SecAgg+ client functions: python -m masking.flower_site DIMENSION NEIGHBOURS REPEATS

The order of calls is that of flwr 1.41.0, client/mod/secure_aggregation/secaggplus_mod.py, `_collect_masked_vectors`, with the
ranges that are its workflow's defaults. Key agreement and shares are left out on both sides: seeds are given. The update is
layers of equal size, as float32.
"""

from __future__ import annotations

import os
import sys

import numpy as np
from flwr.common import ndarray_to_bytes
from flwr.common.secure_aggregation.ndarrays_arithmetic import (
    factor_combine,
    parameters_addition,
    parameters_mod,
    parameters_multiply,
    parameters_subtraction,
)
from flwr.common.secure_aggregation.quantization import quantize
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

from masking.own_process import report

CLIPPING_RANGE, TARGET_RANGE, MOD_RANGE, MAX_WEIGHT = 8.0, 1 << 22, 1 << 32, 1000.0
EXAMPLES = 500
LAYERS = 50


def masked(update: list[np.ndarray], neighbours: int) -> int:
    q_ratio = round(EXAMPLES / MAX_WEIGHT * TARGET_RANGE)
    parameters = parameters_multiply(update, q_ratio / TARGET_RANGE)
    quantized = factor_combine(q_ratio, quantize(parameters, CLIPPING_RANGE, TARGET_RANGE))
    shapes = [array.shape for array in quantized]
    private_mask = pseudo_rand_gen(os.urandom(32), MOD_RANGE, shapes)
    quantized = parameters_addition(quantized, private_mask)
    for neighbour in range(neighbours):
        pairwise_mask = pseudo_rand_gen(os.urandom(32), MOD_RANGE, shapes)
        apply = parameters_addition if neighbour % 2 else parameters_subtraction
        quantized = apply(quantized, pairwise_mask)
    quantized = parameters_mod(quantized, MOD_RANGE)
    return sum(len(ndarray_to_bytes(array)) for array in quantized)


def main() -> None:
    dimension, neighbours, repeats = map(int, sys.argv[1:])
    draw = np.random.Generator(np.random.Philox(7))
    layer = dimension // LAYERS
    update = [draw.standard_normal(layer + (dimension % LAYERS if not i else 0), np.float32) for i in range(LAYERS)]
    masked([array[:10] for array in update], 1)  # first calls load what they need
    report(lambda: masked(update, neighbours), repeats)


if __name__ == "__main__":
    main()
