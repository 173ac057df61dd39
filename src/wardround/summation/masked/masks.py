"""Masks laid over words, and taken off again (spec, 5.2). Signs: +1 adds a seed's stream, -1 subtracts it."""

from collections.abc import Mapping
from typing import Literal

from wardround.crypto.key_derivation import mask_key
from wardround.crypto.keystream import Mask, apply_masks
from wardround.values.cores import usable_cores
from wardround.values.ids import SiteId
from wardround.values.tree import Tree

Sign = Literal[1, -1]
Seeds = list[tuple[bytes, Sign]]


def seeds_of(site: SiteId, own: bytes, pairs: Mapping[SiteId, bytes]) -> Seeds:
    """What a site lays over its words: its own mask, and each pair's, whose two ends have opposite signs."""
    return [(own, 1), *((seed, pair_sign(site, other)) for other, seed in sorted(pairs.items()))]


def pair_sign(site: SiteId, other: SiteId) -> Sign:
    return 1 if other > site else -1


def mask(words: Tree, seeds: Seeds) -> Tree:
    """Every seed's stream laid over every array, in place. Returns the same arrays."""
    for name, array in words.items():
        apply_masks(array, [Mask(mask_key(seed, name), sign) for seed, sign in seeds], threads=usable_cores())
    return words


def inverse(seeds: Seeds) -> Seeds:
    """What takes off what `seeds` laid on."""
    return [(seed, -1 if sign == 1 else 1) for seed, sign in seeds]
