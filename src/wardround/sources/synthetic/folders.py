"""Made-up hospitals as files, as a hospital would lay them out: for following the tutorial without data of one's own.

FOLDER/north, south, west    LABEL/PATIENT/IMAGE.png, each hospital with its own machine
FOLDER/all_images            one data set to divide, 64 % of its records with the finding
FOLDER/all_hospitals.npz     one data set that names its hospitals
FOLDER/scans, scan.png       pictures to ask a model about
FOLDER/export.csv, table.toml    a table as a German hospital exports it, and the study that it has to fit
"""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from wardround.sources.synthetic.hospitals import ScannerName, synthetic_hospital
from wardround.values.errors import DataError
from wardround.values.randomness import generator
from wardround.values.records import Records

HOSPITALS: dict[str, ScannerName] = {"north": "north", "south": "harbour", "west": "valley"}
PATIENTS_EACH, PATIENTS_OF_ALL, POSITIVE_OF_ALL = 60, 200, 0.64
TABLE_ROWS = 120
TABLE_STUDY = """format = 1
question = { title = "Heart disease, a made-up table" }

[data]
kind = "table"
label = { name = "heart disease", column = "disease" }

[[data.columns]]
name = "age"
unit = "years"
range = [18, 110]

[[data.columns]]
name = "chol"
unit = "mg/dl"
range = [80, 700]

[[data.columns]]
name = "sex"
kind = "binary"
categories = ["f", "m"]

[network]
name = "logistic"
"""


def make_folders(folder: Path, seed: int = 1, told: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Write all of it; returns what was written. DataError where something is there already.

    A hospital appears in the folder when it is whole: half of one would pass for all of it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty", hint="name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _unfinished(folder) as unfinished:
        _write_all(unfinished, seed, told)
        folder.mkdir(exist_ok=True)
        for part in sorted(unfinished.iterdir()):
            part.rename(folder / part.name)
    return sorted(folder.iterdir())


def make_cases(folder: Path, seed: int, patients: int) -> Path:
    """One more hospital that no study has seen, as 0|1/PATIENT/IMAGE.png: its own labelled cases, to test a model on. The folder
    appears when it is whole."""
    return _made(folder, lambda part: _write_images(part, _drawn("north", patients, 0.5, seed), ("0", "1")))


def make_films(folder: Path, seed: int, count: int) -> Path:
    """Films of that hospital without labels, as film-NN.png, to ask a model about. The folder appears when it is whole."""

    def write(part: Path) -> None:
        for number, pixels in enumerate(_drawn("north", count, 0.5, seed).inputs[:count], 1):
            Image.fromarray(pixels).save(part / f"film-{number:02d}.png")

    return _made(folder, write)


def _made(folder: Path, write: Callable[[Path], None]) -> Path:
    """`folder` as `write` fills it. An empty one there is filled."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _unfinished(folder) as unfinished:
        whole = unfinished / folder.name
        whole.mkdir()
        write(whole)
        whole.replace(folder)
    return folder


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A hidden folder beside it, which goes at the end. What a killed program left of such goes first."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.{'[a-z0-9_]' * 8}.part"):
        with contextlib.suppress(OSError), _locked(left) as is_ours:
            if is_ours:
                shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        with _locked(part):
            yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[bool]:
    """Whether this program now has the folder to itself: then no other is writing it. Never on Windows and on disks without
    locks, where nobody can tell and nothing is swept."""
    if os.name != "posix":
        yield False
        return
    import fcntl

    handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        os.close(handle)


def _write_all(folder: Path, seed: int, told: Callable[[str], None]) -> None:
    hospitals = {name: _drawn(scanner, PATIENTS_EACH, 0.5, seed) for name, scanner in HOSPITALS.items()}
    for name, records in hospitals.items():
        told(name)
        _write_images(folder / name, records)
    told("all_images")
    _write_images(folder / "all_images", _drawn("harbour", PATIENTS_OF_ALL, POSITIVE_OF_ALL, seed + 1))
    _write_arrays(folder / "all_hospitals.npz", hospitals)
    scans = _drawn("valley", 3, 0.5, seed + 2)
    (folder / "scans").mkdir()
    for number, pixels in enumerate(scans.inputs, 1):
        Image.fromarray(pixels).save(folder / "scans" / f"scan-{number}.png")
    Image.fromarray(scans.inputs[0]).save(folder / "scan.png")
    _write_table(folder, seed)


def _drawn(scanner: ScannerName, patients: int, prevalence: float, seed: int) -> Records:
    return synthetic_hospital(scanner, patients=patients, prevalence=prevalence, seed=seed)


def _write_images(folder: Path, records: Records, names: tuple[str, str] = ("NORMAL", "PNEUMONIA")) -> None:
    for number, (pixels, label, patient) in enumerate(zip(records.inputs, records.labels, records.patients, strict=True)):
        path = folder / names[int(label)] / str(patient) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def _write_arrays(path: Path, hospitals: dict[str, Records]) -> None:
    np.savez(
        path,
        images=np.concatenate([records.inputs for records in hospitals.values()]),
        label=np.concatenate([records.labels for records in hospitals.values()]),
        patient=np.concatenate([records.patients for records in hospitals.values()]),
        site=np.concatenate([np.full(len(records), name) for name, records in hospitals.items()]),
    )


def _write_table(folder: Path, seed: int) -> None:
    """Semicolons, decimal commas, cp1252, a title line, mmol/l and w for women: everything that a mapping is for."""
    random = generator("synthetic table", seed)
    lines = ["Klinik Süd, Export vom 03.01.2026;;;;", "Patienten-ID;Alter;Cholesterin [mmol/l];Geschlecht;Erkrankung"]
    for number in range(TABLE_ROWS):
        age, chol, woman = random.integers(30, 85), random.normal(5.4, 1.0), random.random() < 0.5
        ill = random.random() < 1 / (1 + np.exp(-(age - 58) / 9 - (chol - 5.4)))
        written = f"{max(chol, 2.5):.1f}".replace(".", ",")
        lines.append(f"S-{number + 1:04d};{age};{written};{'w' if woman else 'm'};{'ja' if ill else 'nein'}")
    (folder / "export.csv").write_bytes("\r\n".join([*lines, ""]).encode("cp1252"))
    (folder / "table.toml").write_text(TABLE_STUDY, "utf-8")
