"""One site's masked words by Wardround: python -m masking.wardround_site DIMENSION NEIGHBOURS REPEATS THREADS

Encode, own mask, one mask for each neighbour, 16-bit words, written straight into a safetensors payload. As with Flower, seeds
are given and the update is float32; the payload's memory is allocated anew every time.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from masking.against_plain import ARRAY
from masking.own_process import report
from wardround.crypto.key_derivation import mask_key
from wardround.crypto.keystream import Mask
from wardround.privacy.fixed_point import Grid

CLIP = 8.0


def payload(words: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A safetensors payload, and the words in it, which are yet to be written."""
    entry = {ARRAY: {"dtype": "U16", "shape": [words], "data_offsets": [0, 2 * words]}}
    header = json.dumps(entry).encode()
    header += b" " * (-len(header) % 8)
    front = len(header).to_bytes(8, "little") + header
    whole = np.empty(len(front) + 2 * words, np.uint8)
    whole[: len(front)] = np.frombuffer(front, np.uint8)
    return whole, whole[len(front) :].view(np.uint16)


def masked(update: NDArray[np.float32], neighbours: int, threads: int) -> NDArray[np.uint8]:
    def read(start: int, stop: int) -> NDArray[np.float32]:
        return update[start:stop]

    masks = [Mask(mask_key(os.urandom(32), ARRAY))]
    masks += [Mask(mask_key(os.urandom(32), ARRAY), 1 if number % 2 else -1) for number in range(neighbours)]
    whole, words = payload(update.size)
    Grid(CLIP, neighbours + 1, 16).encode_into(words, read, os.urandom(32), masks, threads=threads)
    return whole


def main() -> None:
    dimension, neighbours, repeats, threads = map(int, sys.argv[1:])
    update = np.random.Generator(np.random.Philox(7)).standard_normal(dimension, np.float32)
    if load(masked(update[:10], 1, 1).tobytes())[ARRAY].size != 10:  # first calls load what they need
        raise RuntimeError("the payload cannot be read")
    report(lambda: masked(update, neighbours, threads).size, repeats)


if __name__ == "__main__":
    main()
