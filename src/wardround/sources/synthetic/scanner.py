"""Three X-ray machines that do not exist, each with its own habits, so that a model of one hospital meets strangers at the next.

density -> focus blur -> exposure and window -> contrast curve -> grain, flaws of the plate -> detector resolution
        -> edge enhancement -> heel shading -> collimator, side marker -> grey levels 0..255
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wardround.sources.synthetic.drawing import Draws, Pixels, disc, pixel_centres, ramp

ScannerName = Literal["north", "harbour", "valley"]
SCANNER_COLUMNS = 80
MOST_STAINS, MOST_ELECTRODES = 5, 4


@dataclass(frozen=True)
class Scanner:
    """One machine and how it is used. Lengths are in units of half the picture; grey is 0..1."""

    level: float  # density shown as black
    window: float  # density from black to white
    exposure_spread: float  # standard deviation of level and window from film to film
    gamma: float  # of the contrast curve
    s_curve: float  # 0: straight, 1: steep in the middle, flat at both ends
    grain: float  # standard deviation of noise in mid grey
    blur: float  # standard deviation of focus blur
    detector: float  # standard deviation of the detector's own blur, also of its grain
    enhancement: float  # strength of edge enhancement
    stains: float  # strength of stains on the plate
    grid: float  # strength of the lines of a grid that does not move
    electrodes: float  # probability that a monitor's electrodes are on the chest
    heel: float  # spread of shading across the plate
    collimation: float  # probability that the borders are cut off
    border: float  # grey of what is cut off
    marker: tuple[float, float]  # where the side marker usually lies (x, y)
    marker_chance: float
    turn_degrees: float  # how much patients lean
    near: float  # how much larger patients appear


SCANNERS: dict[ScannerName, Scanner] = {
    "north": Scanner(  # a new digital room: crisp, edges enhanced, well centred
        level=0.02, window=0.95, exposure_spread=0.04, gamma=1.0, s_curve=0.5,
        grain=0.014, blur=0.01, detector=0.012, enhancement=0.6, stains=0.0, grid=0.0, electrodes=0.03, heel=0.02,
        collimation=0.15, border=0.0, marker=(0.82, -0.86), marker_chance=0.7, turn_degrees=2.0, near=1.12,
    ),
    "harbour": Scanner(  # old cassettes: pale, blurred, stained, borders whitened
        level=-0.05, window=1.0, exposure_spread=0.06, gamma=0.8, s_curve=0.0,
        grain=0.018, blur=0.016, detector=0.017, enhancement=0.0, stains=0.15, grid=0.0, electrodes=0.05, heel=0.05,
        collimation=0.6, border=0.95, marker=(-0.8, -0.8), marker_chance=0.4, turn_degrees=3.0, near=1.0,
    ),
    "valley": Scanner(  # a machine wheeled to the bed: dark, grainy, uneven, patients lean and lie near, a grid that shows
        level=-0.05, window=1.1, exposure_spread=0.08, gamma=1.5, s_curve=0.2,
        grain=0.026, blur=0.014, detector=0.014, enhancement=0.2, stains=0.0, grid=0.04, electrodes=0.7, heel=0.08,
        collimation=0.45, border=0.05, marker=(0.6, 0.85), marker_chance=0.3, turn_degrees=5.0, near=1.2,
    ),
}  # fmt: skip


def expose(scanner: Scanner, density: Pixels, film: Draws, grain: Pixels) -> NDArray[np.uint8]:
    """The picture this machine makes of a density map: uint8 (n, size, size). grain: standard normal (n, size, size)."""
    size = density.shape[-1]
    focus = _blur(size, scanner.blur)
    black = film.near(scanner.level, scanner.exposure_spread)
    window = scanner.window * (np.float32(1) + film.near(0.0, scanner.exposure_spread))
    density = density + _electrodes(scanner, size, film)
    light = np.clip((focus @ density @ focus.T - black) / window, 0, 1)
    bent = light ** (film.near(1.0, 0.06) * np.float32(scanner.gamma))
    grey = bent + np.float32(scanner.s_curve) * (ramp(bent) - bent)
    # Fewer photons pass where the body is dense, so grain grows with grey.
    strength = np.float32(scanner.grain * _grain_gain(size, scanner.detector)) * film.between(0.7, 1.3)
    grey = grey + strength * (np.float32(0.5) + grey) * grain
    grey = grey + _flaws(scanner, size, film)
    plate = _blur(size, scanner.detector)
    grey = plate @ grey @ plate.T
    if scanner.enhancement:
        wide = _blur(size, 0.08)
        grey = grey + np.float32(scanner.enhancement) * (grey - wide @ grey @ wide.T)
    grey = _collimate(scanner, _shade(scanner, grey, film), film)
    return np.asarray(np.rint(np.clip(_mark(scanner, grey, film), 0, 1) * np.float32(255)), dtype=np.uint8)


@lru_cache(maxsize=32)
def _blur(size: int, deviation: float) -> Pixels:
    """(size, size): a Gaussian blur along one axis; rows sum to 1."""
    centres = pixel_centres(size).astype(np.float64)
    # A pixel is itself a blur: never narrower than that, so that no row is empty.
    spread = max(deviation, 0.4 / size)
    weights = np.exp(-((centres[:, None] - centres[None, :]) ** 2) / (2.0 * spread * spread))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


@lru_cache(maxsize=32)
def _grain_gain(size: int, deviation: float) -> float:
    """What white noise must be multiplied with so that its deviation is 1 after the detector's blur."""
    middle = _blur(size, deviation)[size // 2].astype(np.float64)
    return float(1.0 / (middle**2).sum())


def _electrodes(scanner: Scanner, size: int, film: Draws) -> Pixels:
    """Round sharp metal on the skin, over lung or beside it: its density."""
    centres = pixel_centres(size)
    x, y = centres[None, None, :], centres[None, :, None]
    worn = film.chance(scanner.electrodes)
    metal = np.zeros((len(worn), size, size), dtype=np.float32)
    for _ in range(MOST_ELECTRODES):
        spot = disc(x - film.between(-0.75, 0.75), y - film.between(-0.65, 0.5), 0.06, 0.06, 0.25)
        metal = np.maximum(metal, film.chance(0.75) * spot)
    return np.float32(0.3) * worn * metal


def _flaws(scanner: Scanner, size: int, film: Draws) -> Pixels:
    """What is on the plate and not in the patient: round stains, lines of the grid."""
    centres = pixel_centres(size)
    x, y = centres[None, None, :], centres[None, :, None]
    flaws = np.float32(scanner.grid) * film.unit() * np.sin(y * film.between(50, 60) + film.between(0, 6))
    if scanner.stains:
        for _ in range(MOST_STAINS):
            radius = film.between(0.05, 0.16)
            stain = disc(x - film.between(-0.9, 0.9), y - film.between(-0.9, 0.9), radius, radius, 0.6)
            flaws = flaws + np.float32(scanner.stains) * film.unit() * film.chance(0.6) * stain
    return flaws


def _shade(scanner: Scanner, grey: Pixels, film: Draws) -> Pixels:
    """The heel effect: one end of the plate gets more light."""
    centres = pixel_centres(grey.shape[-1])
    return grey + film.near(0.0, scanner.heel) * centres[None, None, :] + film.near(0.0, scanner.heel) * centres[None, :, None]


def _collimate(scanner: Scanner, grey: Pixels, film: Draws) -> Pixels:
    """Borders that the shutters kept dark (or that the software whitened)."""
    centres = pixel_centres(grey.shape[-1])
    sharp = np.float32(grey.shape[-1] / 3)
    used, opened = film.chance(scanner.collimation), np.ones_like(grey)
    for distance in (centres[None, None, :], -centres[None, None, :], centres[None, :, None], -centres[None, :, None]):
        opened = opened * ramp((film.between(0.8, 1.05) - distance) * sharp)
    shut: Pixels = used * (np.float32(1) - opened)
    return grey + shut * (np.float32(scanner.border) - grey)


def _mark(scanner: Scanner, grey: Pixels, film: Draws) -> Pixels:
    """A lead letter at the edge of the plate: an upright with a foot."""
    centres = pixel_centres(grey.shape[-1])
    x = centres[None, None, :] - film.near(scanner.marker[0], 0.03)
    y = centres[None, :, None] - film.near(scanner.marker[1], 0.03)
    upright = (np.abs(x + 0.03) < 0.018) & (np.abs(y) < 0.07)
    foot = (np.abs(x) < 0.048) & (np.abs(y - 0.055) < 0.018)
    shown = film.chance(scanner.marker_chance)
    return grey + shown * (upright | foot) * (np.float32(0.95) - grey)
