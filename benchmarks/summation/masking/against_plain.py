"""One sum of three sites without a network: masked 16-bit words against plain float32, both sealed by AES-256-GCM.

    plain   site: safetensors.numpy.save, seal          coordinator: open, safetensors.numpy.load, add in place
    masked  site: encode + two pair masks + own mask,   coordinator: open, safetensors.numpy.load, add in place,
                  safetensors.numpy.save, seal                       after the last one take the three own masks away

The lean form of both leaves the serialiser out, and with it every fresh allocation: what is sealed is the array's own memory,
what is added is the opened buffer's. Buffers for words, sealed bytes and totals (lean: opened bytes too) are made once and used
again on both paths alike; with the serialiser both open into new bytes, since it reads nothing else.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray
from safetensors.numpy import load, save

from wardround.crypto.key_derivation import mask_key
from wardround.crypto.keystream import Mask, apply_masks
from wardround.privacy.fixed_point import Grid, WordBits

SITES = 3
BITS: WordBits = 16
ARRAY = "model/words"
_TAG, _FRONT = 16, 1024


@dataclass
class Clock:
    """CPU seconds of this process by step."""

    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.steps[step] = self.steps.get(step, 0.0) + time.process_time() - began

    @property
    def total(self) -> float:
        return sum(self.steps.values())


class Channel:
    """Seals at a site and opens at the coordinator, in buffers that are used again. lean: without the serialiser."""

    def __init__(self, largest: int, *, lean: bool) -> None:
        self._aead, self._lean = AESGCM(AESGCM.generate_key(256)), lean
        self._sealed, self._opened = np.zeros(largest + _FRONT + _TAG, np.uint8), np.zeros(largest + _FRONT, np.uint8)
        self.sealed_bytes = 0

    def seal(self, array: NDArray[np.generic], clock: Clock) -> tuple[bytes, int]:
        """The nonce and the length of what is sealed."""
        raw: bytes | memoryview = array.data.cast("B")
        if not self._lean:
            with clock.of("serialise"):
                raw = save({ARRAY: array})
        nonce = os.urandom(12)
        with clock.of("seal"):
            self._aead.encrypt_into(nonce, raw, None, self._sealed.data[: len(raw) + _TAG])
        self.sealed_bytes = len(raw) + _TAG + len(nonce)
        return nonce, len(raw)

    def open(self, nonce: bytes, length: int, dtype: type, clock: Clock) -> NDArray[np.generic]:
        sealed = self._sealed.data[: length + _TAG]
        with clock.of("open"):
            if self._lean:
                self._aead.decrypt_into(nonce, sealed, None, self._opened.data[:length])
                return self._opened[:length].view(dtype)
            raw = self._aead.decrypt(nonce, sealed, None)
        with clock.of("load"):
            return load(raw)[ARRAY]


class PlainSum:
    """float32 all the way."""

    def __init__(self, updates: Sequence[NDArray[np.float32]], *, lean: bool) -> None:
        self._updates = updates
        self.channel = Channel(updates[0].nbytes, lean=lean)
        self.total = np.zeros_like(updates[0])

    def run(self) -> Clock:
        clock = Clock()
        self.total[:] = 0
        for update in self._updates:
            opened_update = self.channel.open(*self.channel.seal(update, clock), np.float32, clock)
            with clock.of("add"):
                np.add(self.total, opened_update, out=self.total)
        return clock


class MaskedSum:
    """What a site and the coordinator do in the masked sum with the model's words, keys and shares left out."""

    def __init__(self, updates: Sequence[NDArray[np.float32]], bound: float, *, lean: bool, threads: int) -> None:
        self._updates, self._threads = updates, threads
        self.grid = Grid(bound, SITES, BITS)
        self._words = np.zeros(updates[0].size, self.grid.word)
        self.channel = Channel(self._words.nbytes, lean=lean)
        self.total = np.zeros(updates[0].size, self.grid.word)

    def run(self) -> Clock:
        clock = Clock()
        self.total[:] = 0
        pairs = {(low, high): os.urandom(32) for high in range(SITES) for low in range(high)}
        own = [os.urandom(32) for _ in range(SITES)]
        for site, update in enumerate(self._updates):
            with clock.of("encode + mask"):
                self._encode(update, site_masks(site, pairs, own[site]))
            opened_update = self.channel.open(*self.channel.seal(self._words, clock), self.grid.word, clock)
            with clock.of("add"):
                np.add(self.total, opened_update, out=self.total)
        with clock.of("unmask"):
            apply_masks(self.total, [Mask(mask_key(seed, ARRAY), -1) for seed in own], threads=self._threads)
        return clock

    def _encode(self, update: NDArray[np.float32], masks: Sequence[Mask]) -> None:
        def read(start: int, stop: int) -> NDArray[np.float32]:
            return update[start:stop]

        self.grid.encode_into(self._words, read, os.urandom(32), masks, threads=self._threads)


def site_masks(site: int, pairs: Mapping[tuple[int, int], bytes], own: bytes) -> list[Mask]:
    """The masks of the specification, 5.2: own, plus those with later sites, less those with earlier ones."""
    masks = [Mask(mask_key(own, ARRAY))]
    for (low, high), seed in pairs.items():
        if site in (low, high):
            masks.append(Mask(mask_key(seed, ARRAY), 1 if site == low else -1))
    return masks


def check(masked: MaskedSum, updates: Sequence[NDArray[np.float32]]) -> None:
    """The masks must have cancelled: a fast wrong sum is none."""
    some = slice(0, 100_000)
    exact = np.sum([update[some].astype(np.float64) for update in updates], axis=0)
    if np.abs(masked.grid.decode(masked.total[some]) - exact).max() > masked.grid.error_bound:
        raise RuntimeError("the masked sum is not the sum")


def compare(dimension: int, repeats: int, bound: float, threads: int, seed: int) -> dict[str, float]:
    draw = np.random.Generator(np.random.Philox(seed))
    updates = [(draw.standard_normal(dimension, np.float32) * np.float32(bound / 50)) for _ in range(SITES)]
    ratios: dict[str, float] = {}
    for lean in (False, True):
        plain, masked = PlainSum(updates, lean=lean), MaskedSum(updates, bound, lean=lean, threads=threads)
        runs: dict[str, list[Clock]] = {"plain": [], "masked": []}
        for each in (plain, masked):
            each.run()  # touches all buffers for the first time
        check(masked, updates)
        for _ in range(repeats):
            runs["plain"].append(plain.run())
            runs["masked"].append(masked.run())
        ratio = _report(runs, "lean: no serialiser" if lean else "with safetensors on both paths")
        ratios["cpu_vs_plain_lean" if lean else "cpu_vs_plain"] = ratio
        ratios["bytes_vs_plain"] = masked.channel.sealed_bytes / plain.channel.sealed_bytes
    began = time.process_time()
    masked.grid.decode(masked.total)
    print(f"  (not counted: decoding the total to float64, {time.process_time() - began:.3f} s)")
    return ratios


def _report(runs: Mapping[str, Sequence[Clock]], title: str) -> float:
    print(f"\n{title}: CPU seconds of {SITES} sites and the coordinator, median (spread)")
    print(f"  {'sum':7} {'seconds':>8} {'spread':>16}  steps")
    for name, clocks in runs.items():
        steps = ", ".join(f"{step} {statistics.median(c.steps[step] for c in clocks):.3f}" for step in clocks[0].steps)
        print(f"  {name:7} {_cells([clock.total for clock in clocks])}  {steps}")
    ratios = [masked.total / plain.total for plain, masked in zip(runs["plain"], runs["masked"], strict=True)]
    print(f"  {'ratio':7} {_cells(ratios)}  masked over plain, run by run")
    return statistics.median(ratios)


def _cells(values: Sequence[float]) -> str:
    spread = f"{min(values):.3f} to {max(values):.3f}"
    return f"{statistics.median(values):8.3f} {spread:>16}"
