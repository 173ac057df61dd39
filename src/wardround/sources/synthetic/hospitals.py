"""The embedded default: three hospitals with drawn chest radiographs, made in seconds from a seed.

    (seed, hospital, patient) -> random rows -> chest -> pneumonia or none -> the hospital's machine -> uint8 picture

No patient, atlas or real radiograph stands behind any picture. They are for trying Wardround out: a model that has learned on
them knows nothing about people. Every room that shows such pictures or a model made from them shows SYNTHETIC_NOTICE too.

What makes the task worth a network and a federation: pneumonia is local and of three kinds, while brightness, lung volume,
breasts and vessels vary in everybody; and each hospital has its own machine, mix of pneumonias and number of patients.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.sources.synthetic.anatomy import COARSE_KNOTS, PATIENT_COLUMNS, VESSEL_KNOTS, VIEW_COLUMNS, draw_chest, place
from wardround.sources.synthetic.disease import DISEASE_COLUMNS, NET_KNOTS, RAGGED_KNOTS, CaseMix, add_pneumonia
from wardround.sources.synthetic.drawing import Draws, Pixels
from wardround.sources.synthetic.scanner import SCANNER_COLUMNS, SCANNERS, ScannerName, expose
from wardround.values.randomness import generator
from wardround.values.records import SPLITS, Records

__all__ = [
    "DEMO_HOSPITALS",
    "LARGER_HOSPITALS",
    "SYNTHETIC_NOTICE",
    "DemoHospital",
    "ScannerName",
    "demo_hospitals",
    "larger_hospitals",
    "split_patients",
    "synthetic_hospital",
]

SYNTHETIC_NOTICE = (
    "Synthetic pictures: drawn by a program, not taken from patients. A model trained on them must not be used on anyone."
)

SECOND_IMAGE_CHANCE = 0.25
_BATCH = 32  # pictures drawn together; their bytes do not depend on it
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class DemoHospital:
    """One hospital of the demo: number of patients, share of them with pneumonia (0..1)."""

    patients: int
    prevalence: float


DEMO_HOSPITALS: dict[ScannerName, DemoHospital] = {
    "north": DemoHospital(patients=220, prevalence=0.6),
    "harbour": DemoHospital(patients=300, prevalence=0.45),
    "valley": DemoHospital(patients=60, prevalence=0.3),
}
"""Two that can nearly do alone, and a small one: what learning together is worth differs between them. North has enough patients
for a choice: with 140, of whom 28 chose, it lost 0.013 of its area at home in one seed."""
LARGER_HOSPITALS: dict[ScannerName, DemoHospital] = {
    "north": DemoHospital(patients=280, prevalence=0.6),
    "harbour": DemoHospital(patients=500, prevalence=0.45),
    "valley": DemoHospital(patients=400, prevalence=0.3),
}
"""For trials that need more patients than the demo has time for."""
CASE_MIX: dict[ScannerName, CaseMix] = {
    "north": CaseMix(lobar=0.7, patchy=0.22),
    "harbour": CaseMix(lobar=0.15, patchy=0.3),
    "valley": CaseMix(lobar=0.2, patchy=0.45),
}
DEMO_SHARES, LARGER_SHARES = (0.5, 0.2, 0.3), (0.65, 0.1, 0.25)


def demo_hospitals(seed: int, *, size: int = 64) -> dict[str, Records]:
    """The demo's three hospitals, uneven in size and in how many are ill, split by patient."""
    return _drawn(DEMO_HOSPITALS, seed, size, DEMO_SHARES)


def larger_hospitals(seed: int, *, size: int = 64) -> dict[str, Records]:
    """The same three with more patients."""
    return _drawn(LARGER_HOSPITALS, seed, size, LARGER_SHARES)


def _drawn(
    hospitals: dict[ScannerName, DemoHospital], seed: int, size: int, shares: tuple[float, float, float]
) -> dict[str, Records]:
    return {
        name: synthetic_hospital(name, patients=h.patients, prevalence=h.prevalence, seed=seed, size=size, shares=shares)
        for name, h in hospitals.items()
    }


def synthetic_hospital(
    scanner: ScannerName,
    *,
    patients: int,
    prevalence: float,
    seed: int,
    size: int = 64,
    shares: tuple[float, float, float] | None = None,
) -> Records:
    """Drawn radiographs of one hospital: uint8 (n, size, size), label 1 = pneumonia, one or two images a patient.

    A patient's pictures and label depend on seed, scanner, size, prevalence and the patient's number only, not on how many
    patients there are. (Another processor or build of numpy may round a few pixels to the next grey level.)
    shares: of patients in train, validation and test (each >= 0, sum 1); without it every record is "train".
    ValueError when patients < 1, size < 16 or prevalence is outside 0..1.
    """
    if patients < 1 or size < 16 or not 0.0 <= prevalence <= 1.0:
        raise ValueError(f"patients >= 1, size >= 16, 0 <= prevalence <= 1 expected; got {patients}, {size}, {prevalence}")
    ill = _who_is_ill(scanner, patients, prevalence, seed)
    batches = [(numbers, _draw(scanner, rows, size)) for numbers, rows in _batches(scanner, ill, seed, size)]
    numbers = np.concatenate([numbers for numbers, _ in batches])
    names = np.array([f"{scanner}-{number + 1:04d}" for number in numbers])
    images = np.concatenate([images for _, images in batches])
    records = Records(images, ill[numbers].astype(np.int8), names, np.full(len(names), "train"))
    return records if shares is None else split_patients(records, shares, seed=seed)


def split_patients(records: Records, shares: tuple[float, float, float], *, seed: int) -> Records:
    """The same records with splits dealt by patient, each label on its own, so that all three splits hold about the same mix.

    ValueError when the shares are negative or do not sum to 1.
    """
    if min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"three shares >= 0 that sum to 1 expected; got {shares}")
    names, first, owner = np.unique(records.patients, return_index=True, return_inverse=True)
    splits = np.full(len(names), SPLITS[0], dtype="<U10")
    for label in (0, 1):
        group = np.flatnonzero(records.labels[first] == label)
        group = generator("synthetic split", seed, label, str(names[0])).permutation(group)
        train, validation = np.rint(np.cumsum(shares)[:2] * len(group)).astype(int)
        splits[group[train:]] = SPLITS[1]
        splits[group[validation:]] = SPLITS[2]
    return Records(records.inputs, records.labels, records.patients, splits[owner])


def _who_is_ill(scanner: ScannerName, patients: int, prevalence: float, seed: int) -> NDArray[np.bool_]:
    """One per patient. Multiples of the golden ratio spread so evenly that any stretch of patients has nearly this prevalence."""
    start = generator("synthetic labels", seed, scanner).random()
    return (start + _GOLDEN * np.arange(patients)) % 1.0 < prevalence


@dataclass(frozen=True)
class _Rows:
    """The random numbers behind n pictures; everything a picture shows comes from its own row."""

    ill: NDArray[np.bool_]
    patient: Pixels
    disease: Pixels
    image: Pixels
    coarse: Pixels
    vessels: Pixels
    ragged: Pixels
    net: Pixels
    grain: Pixels


def _batches(scanner: ScannerName, ill: NDArray[np.bool_], seed: int, size: int) -> Iterator[tuple[NDArray[np.int64], _Rows]]:
    """(number of the patient of each picture, its rows), some pictures at a time."""
    numbers: list[int] = []
    rows: list[tuple[object, ...]] = []
    for number, is_ill in enumerate(ill):
        for row in _patient_rows(scanner, number, bool(is_ill), seed, size):
            numbers.append(number)
            rows.append(row)
        if len(rows) >= _BATCH or number == len(ill) - 1:
            yield np.array(numbers), _Rows(*(np.stack([np.asarray(part) for part in parts]) for parts in zip(*rows, strict=True)))
            numbers, rows = [], []


def _patient_rows(scanner: ScannerName, number: int, ill: bool, seed: int, size: int) -> Iterator[tuple[object, ...]]:
    random = generator("synthetic patient", seed, scanner, number)
    images = 2 if random.random() < SECOND_IMAGE_CHANCE else 1
    patient = random.random(PATIENT_COLUMNS, dtype=np.float32)
    disease = random.random(DISEASE_COLUMNS, dtype=np.float32)
    knots = [random.standard_normal((k, k), dtype=np.float32) for k in (COARSE_KNOTS, VESSEL_KNOTS, RAGGED_KNOTS, NET_KNOTS)]
    views = [random.random(VIEW_COLUMNS + SCANNER_COLUMNS, dtype=np.float32) for _ in range(images)]
    for view in views:
        yield ill, patient, disease, view, *knots, random.standard_normal((size, size), dtype=np.float32)


def _draw(name: ScannerName, rows: _Rows, size: int) -> NDArray[np.uint8]:
    """uint8 (n, size, size)."""
    scanner = SCANNERS[name]
    view = Draws(rows.image[:, :VIEW_COLUMNS])
    film = Draws(rows.image[:, VIEW_COLUMNS:])
    frame = place(view, size, scanner.turn_degrees, scanner.near)
    chest = draw_chest(Draws(rows.patient), view, rows.coarse, rows.vessels, frame)
    density = chest.density.copy()
    sick = np.flatnonzero(rows.ill)
    follow_up = view.between(0.85, 1.15)[sick]
    disease = Draws(rows.disease[sick])
    density[sick] = add_pneumonia(chest.only(sick), CASE_MIX[name], disease, follow_up, rows.ragged[sick], rows.net[sick])
    return expose(scanner, density, film, rows.grain)
