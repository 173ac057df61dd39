"""Pneumonia drawn into the lungs of a synthetic chest: water where air was.

Three patterns: a lobe filled as one (often with a straight border at a fissure), several soft patches, and a net of fine lines
with a little haze. What is filled hides the vessels in it. Density changes only where there is air to replace, so the heart,
the diaphragm and everything outside the lungs stay as they are.
"""

from dataclasses import dataclass

import numpy as np

from wardround.sources.synthetic.anatomy import Chest
from wardround.sources.synthetic.drawing import Draws, Pixels, disc, ramp, smooth_field, turned

DISEASE_COLUMNS = 64
RAGGED_KNOTS, NET_KNOTS = 20, 38
MOST_PATCHES = 6


@dataclass(frozen=True)
class CaseMix:
    """Which pneumonia a hospital's patients have: shares of lobar and patchy; the rest is diffuse."""

    lobar: float
    patchy: float


def add_pneumonia(chest: Chest, mix: CaseMix, disease: Draws, follow_up: Pixels, ragged: Pixels, net: Pixels) -> Pixels:
    """Density with disease (n, size, size). follow_up: (n, 1, 1), strength of this image against the patient's first (about 1).

    ragged: (n, 20, 20) and net: (n, 38, 38) standard normal knots.
    """
    size = chest.density.shape[-1]
    torn = smooth_field(ragged, size)
    pattern = disease.unit()
    lobar, patchy = pattern < mix.lobar, (pattern >= mix.lobar) & (pattern < mix.lobar + mix.patchy)
    filled = np.where(lobar, _lobe(chest, disease, torn), np.float32(0))
    filled = filled + np.where(patchy, _patches(chest, disease, torn), np.float32(0))
    haze, lines = _net(chest, disease, smooth_field(net, size))
    diffuse = ~(lobar | patchy)
    filled = np.clip((filled + np.where(diffuse, haze, np.float32(0))) * follow_up, 0, np.float32(0.95))
    hidden = chest.vessels * np.clip(np.float32(2) * filled, 0, 1)
    drawn_lines = np.where(diffuse, lines * follow_up, np.float32(0))
    return np.asarray(chest.density + chest.air * filled - hidden + drawn_lines, dtype=np.float32)


def _lobe(chest: Chest, disease: Draws, torn: Pixels) -> Pixels:
    """One large opacity on one side: the share of air that is replaced."""
    f = chest.frame
    side = disease.side()
    across, along = f.x * side - disease.between(0.26, 0.5), chest.height - disease.between(0.25, 0.85)
    x, y = turned(across, along, disease.between(-0.6, 0.6))
    wide, tall = disease.between(0.26, 0.42), disease.between(0.26, 0.42)
    edge = disease.between(0.2, 0.6)
    shape = disc(x + np.float32(0.03) * torn, y + np.float32(0.04) * torn, wide, tall, edge)
    fissure = ramp((y * disease.side() + tall * np.float32(0.45)) * 14)
    shape = shape * np.where(disease.unit() < 0.5, fissure, np.float32(1)) * (f.x * side > 0)
    return shape * disease.between(0.7, 1.1) * (np.float32(1) + np.float32(0.8) * torn)


def _patches(chest: Chest, disease: Draws, torn: Pixels) -> Pixels:
    """Three to six soft patches in both lungs, more of them low down."""
    f = chest.frame
    left_over = np.ones_like(chest.density)
    number = np.floor(disease.between(3, MOST_PATCHES + 1))
    strength = disease.between(0.7, 1.0)
    favoured = disease.between(0.2, 0.8)
    for patch in range(MOST_PATCHES):
        side = np.where(disease.unit() < favoured, np.float32(-1), np.float32(1))
        x, y = f.x * side - disease.between(0.2, 0.6), chest.height - np.sqrt(disease.between(0.05, 0.95))
        radius = disease.between(0.11, 0.2)
        shape = disc(x + np.float32(0.03) * torn, y - np.float32(0.03) * torn, radius, radius, 0.6)
        left_over = left_over * (np.float32(1) - shape * strength * (patch < number))
    return (np.float32(1) - left_over) * (np.float32(1) + np.float32(0.8) * torn)


def _net(chest: Chest, disease: Draws, net: Pixels) -> tuple[Pixels, Pixels]:
    """Haze (share of air replaced) and fine lines (density) through both lungs, stronger low down or around the hila."""
    weight = ramp(chest.height * disease.between(0.8, 2.0)) * chest.air / np.float32(0.4)
    lines = ramp(np.float32(1) - np.abs(net) / np.float32(0.35)) - np.float32(0.35)
    return ramp(weight) * disease.between(0.15, 0.45), weight * lines * disease.between(0.26, 0.44)
