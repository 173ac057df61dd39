"""A drawn chest: what a synthetic patient looks like before disease and before the X-ray machine.

The picture is a map of density (how much the body holds back the rays; lung about 0.2, heart about 0.75). As on a real film
the patient's right side is on the left.

    view (position, turn, size) -> body -> lungs -> heart and great vessels -> bones -> breasts, devices

Nothing here follows an atlas or a real patient: the curves are simple enough to be written down, and only resemble.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.sources.synthetic.drawing import Draws, Pixels, band, disc, pixel_centres, ramp, smooth_field, turned

PATIENT_COLUMNS = 128
VIEW_COLUMNS = 40
COARSE_KNOTS, VESSEL_KNOTS = 7, 14


@dataclass(frozen=True)
class BodyFrame:
    """Where each pixel lies in the patient, all (n, size, size): x from the spine (positive: the patient's left), y down."""

    x: Pixels
    y: Pixels
    u: Pixels  # |x|
    left: Pixels  # 1 where x > 0

    def only(self, index: NDArray[np.int64]) -> "BodyFrame":
        return BodyFrame(self.x[index], self.y[index], self.u[index], self.left[index])


@dataclass(frozen=True)
class Chest:
    """Density without disease, and the parts that disease must know of; all (n, size, size).

    height: 0 at the apex of the lung, 1 at the dome of the diaphragm. vessels: their density (already in `density`).
    air: how much density a full consolidation would add at this pixel.
    """

    frame: BodyFrame
    density: Pixels
    height: Pixels
    vessels: Pixels
    air: Pixels

    def only(self, index: NDArray[np.int64]) -> "Chest":
        """The chests at these positions."""
        parts = (self.density, self.height, self.vessels, self.air)
        return Chest(self.frame.only(index), *(part[index] for part in parts))


def place(view: Draws, size: int, turn_degrees: float, near: float) -> BodyFrame:
    """How the patient stands before the plate: shifted, turned, nearer or further, and a little sheared."""
    centres = pixel_centres(size)
    scale = view.near(near, 0.065)
    x: Pixels = (centres[None, None, :] - view.near(0.0, 0.06)) / scale
    y: Pixels = (centres[None, :, None] - view.near(0.0, 0.07)) / scale
    x, y = turned(x, y, view.near(0.0, 1.0) * np.float32(np.deg2rad(turn_degrees)))
    x = x + view.near(0.0, 0.02) * y
    return BodyFrame(x, y, np.abs(x), (x > 0).astype(np.float32))


def draw_chest(patient: Draws, view: Draws, coarse: Pixels, tangle: Pixels, frame: BodyFrame) -> Chest:
    """A healthy chest. coarse: (n, 7, 7) and tangle: (n, 14, 14) standard normal knots."""
    size = frame.x.shape[-1]
    build = patient.near(1.0, 0.07)  # width of the body against its height
    age = patient.unit()  # older: thinner bones, wider heart, longer aorta, clearer lungs
    drift = smooth_field(coarse, size)
    inspiration = patient.near(0.0, 0.05) + view.near(0.0, 0.05) - view.chance(0.18) * view.between(0.05, 0.2)

    body = _body(patient, frame, build)
    lungs, height, belly = _lungs(patient, frame, build, inspiration)
    aeration = patient.near(0.40, 0.05) + np.float32(0.05) * age + np.float32(0.3) * inspiration
    heart = _heart(patient, frame, age, inspiration)
    vessels = _vessels(patient, frame, smooth_field(tangle, size)) * lungs * patient.between(0.06, 0.2)
    bones = _bones(patient, frame, build, body) * (np.float32(1.15) - np.float32(0.4) * age)
    soft = _breasts(patient, frame) + view.near(0.0, 0.03) * frame.x + np.float32(0.05) * drift
    air = aeration * lungs * (np.float32(1) - np.float32(0.85) * heart) * (np.float32(1) + np.float32(0.12) * drift)
    flesh = body * (np.float32(0.58) + soft + np.float32(0.17) * np.maximum(heart, belly))
    density = flesh - air + vessels + bones + _devices(patient, view, frame)
    return Chest(frame, density, height, vessels, air)


def _body(patient: Draws, f: BodyFrame, build: Pixels) -> Pixels:
    """Neck, shoulders and trunk: 1 inside, thinner towards the skin."""
    shoulder = patient.near(-0.78, 0.04)
    neck = patient.near(0.24, 0.02)
    trunk = build * patient.near(1.0, 0.03)
    slope = ramp((f.y - shoulder + np.float32(0.16)) / np.float32(0.24))
    width = neck + (trunk - neck) * slope
    inside = np.clip(np.float32(1) - (f.u / width) ** 2, 0, 1)
    return np.asarray(np.sqrt(np.sqrt(inside)), dtype=np.float32)


def _lungs(patient: Draws, f: BodyFrame, build: Pixels, inspiration: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Two lungs between apex, ribs, mediastinum and the two domes of the diaphragm; their height; the belly below."""
    apex = patient.near(-0.80, 0.03)
    base = patient.near(0.44, 0.03) + inspiration
    dome = base + np.float32(0.06) * f.left * patient.between(0.2, 1.4)
    outer = build * patient.near(0.76, 0.025) * (np.float32(1) + patient.near(0.0, 0.04) * np.sign(f.x))
    height = (f.y - apex) / (base - apex)
    below = np.clip(np.float32(1) - height, 0, 1)
    arch = np.sqrt(np.float32(1) - below * below)
    middle = np.float32(0.27)
    wall = middle + (outer - middle) * np.sqrt(arch) - np.float32(0.04) * np.clip(height - 0.75, 0, 1)
    inner = middle - np.float32(0.17) * arch
    floor = dome + patient.between(1.0, 2.0) * (f.u - np.float32(0.38)) ** 2
    edge = np.float32(0.035)
    lungs = ramp((wall - f.u) / edge) * ramp((f.u - inner) / edge) * ramp((floor - f.y) / np.float32(0.04)) * ramp(height * 12)
    return lungs, height, ramp((f.y - floor) * 6) * ramp((outer - f.u) * 8)


def _heart(patient: Draws, f: BodyFrame, age: Pixels, inspiration: Pixels) -> Pixels:
    """Heart, aortic arch and mediastinum as one silhouette: 1 inside."""
    size = patient.near(1.0, 0.08) + np.float32(0.12) * age - np.float32(0.5) * inspiration
    middle_x, middle_y = patient.near(0.11, 0.025), patient.near(0.20, 0.03) + np.float32(0.8) * inspiration
    x, y = turned(f.x - middle_x, f.y - middle_y, patient.near(0.55, 0.12))
    ventricles = disc(x, y, np.float32(0.36) * size, np.float32(0.25) * size, 0.2)
    arch = disc(f.x - np.float32(0.11), f.y - patient.near(-0.33, 0.03), np.float32(0.08) + np.float32(0.05) * age, 0.11, 0.5)
    spread = np.float32(0.06) + np.float32(0.10) * ramp((f.y + np.float32(0.45)) / np.float32(0.6))
    trunk = band(f.x - np.float32(0.03), spread * size, 0.09) * ramp((f.y + np.float32(0.95)) / np.float32(0.5))
    hila = disc(f.u - np.float32(0.2), f.y + np.float32(0.08), 0.09, 0.15, 0.9) * patient.between(0.1, 0.6)
    return np.maximum(np.maximum(ventricles, arch), np.maximum(trunk, hila))


def _vessels(patient: Draws, f: BodyFrame, tangle: Pixels) -> Pixels:
    """Branches that leave the hilum in all directions, thinner and fainter outwards: 0..1."""
    du, dv = f.u - np.float32(0.15), f.y + np.float32(0.06)
    far = np.sqrt(du * du + dv * dv) + np.float32(0.01)
    angle = np.arctan2(dv, du) + np.float32(0.22) * tangle * ramp(far * 3) + f.left * patient.between(0.3, 1.5)
    width = np.float32(0.024) - np.float32(0.022) * far
    wide = far / np.maximum(width, np.float32(0.002))
    trunk = ramp(np.float32(1.3) - np.abs(np.sin(np.float32(4) * angle)) * wide / np.float32(4))
    twigs = ramp(np.float32(1.3) - np.abs(np.sin(np.float32(7.5) * angle + np.float32(6) * far)) * wide / np.float32(7.5))
    fading: Pixels = np.clip(np.float32(1.15) - np.float32(1.5) * far, 0, 1)
    return (trunk * np.float32(0.8) + twigs * ramp((far - np.float32(0.12)) * 5) * np.float32(0.6)) * fading


def _bones(patient: Draws, f: BodyFrame, build: Pixels, body: Pixels) -> Pixels:
    """Spine, ribs (behind and in front), clavicles and the edges of the shoulder blades."""
    gap = patient.near(0.148, 0.008)
    fan = patient.near(0.30, 0.05)
    cage = ramp((build * np.float32(0.82) - f.u) / np.float32(0.04)) * ramp((f.u - np.float32(0.05)) * 12)
    rib_span = ramp((f.y + np.float32(0.84)) * 8) * ramp((np.float32(0.72) - f.y) * 4)
    bow = f.u * f.u
    behind = _rib_wave((f.y - fan * f.u + np.float32(0.5) * bow - patient.between(0.0, 0.15)) / gap)
    front = _rib_wave(
        (f.y + np.float32(0.75) * f.u - np.float32(0.1) * bow - patient.between(0.0, 0.15)) / (gap * np.float32(1.15))
    )
    front = front * ramp((f.u - np.float32(0.3)) * 5)
    ribs = cage * rib_span * (np.float32(0.095) * behind + np.float32(0.045) * front)
    lift = patient.near(-0.60, 0.03)
    collar = f.y - lift + patient.near(0.22, 0.06) * (f.u - np.float32(0.1)) - np.float32(0.14) * np.clip(f.u - 0.42, 0, 1)
    clavicles = band(collar, 0.022, 0.02) * ramp((f.u - np.float32(0.07)) * 20) * ramp((np.float32(0.78) - f.u) * 12)
    blade_x, blade_y = turned(f.u - patient.between(0.66, 0.80), f.y - np.float32(-0.36), np.full_like(lift, 0.2))
    blades = disc(blade_x, blade_y, 0.13, 0.34, 0.25) * patient.between(0.02, 0.09)
    spine = band(f.x, 0.055, 0.025) * (np.float32(0.045) + np.float32(0.035) * _rib_wave(f.y / np.float32(0.105)))
    return (ribs + np.float32(0.12) * clavicles + blades + spine) * body


def _rib_wave(phase: Pixels) -> Pixels:
    """1 on a bone, 0 between bones, once per unit of phase; bones take about half of it."""
    off = np.abs(phase - np.floor(phase) - np.float32(0.5))
    return ramp((np.float32(0.31) - off) * 7)


def _breasts(patient: Draws, f: BodyFrame) -> Pixels:
    """Two soft shadows over the lower lungs in about half of the patients, with a rounded lower edge."""
    weight = patient.chance(0.5) * patient.between(0.03, 0.13)
    lower, wide = patient.between(0.18, 0.4), patient.between(0.24, 0.36)
    shape = disc(f.u - np.float32(0.42), f.y - lower, wide, wide * np.float32(0.9), 0.45)
    return weight * shape * (np.float32(1) + patient.near(0.0, 0.15) * np.sign(f.x))


def _devices(patient: Draws, view: Draws, f: BodyFrame) -> Pixels:
    """Now and then a pacemaker with its lead, a monitor's wire, a healed scar or a hard small nodule."""
    side = patient.side()
    box = disc(f.x * side - np.float32(0.42), f.y + np.float32(0.48), 0.10, 0.075, 0.25)
    lead = band(f.x * side - np.float32(0.36) + np.float32(0.5) * (f.y + np.float32(0.45)) ** 2, 0.006, 0.012)
    lead = lead * ramp((f.y + np.float32(0.5)) * 20) * ramp((np.float32(0.15) - f.y) * 20)
    pacemaker = patient.chance(0.04) * (np.float32(0.5) * box + np.float32(0.3) * lead)
    bow = view.between(-0.6, 0.6) * f.y * f.y + view.between(-0.5, 0.5) * f.y + view.between(-0.6, 0.6)
    wire = view.chance(0.15) * np.float32(0.2) * band(f.x - bow, 0.006, 0.014)
    nodule = disc(f.x - patient.between(-0.6, 0.6), f.y - patient.between(-0.5, 0.3), 0.035, 0.035, 0.6)
    return pacemaker + wire + patient.chance(0.15) * patient.between(0.06, 0.2) * nodule
