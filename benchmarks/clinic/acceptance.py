"""What an acceptance is worth: true probabilities, a kept promise, and films of other kinds noticed.

    python benchmarks/clinic/acceptance.py [--run RUN-FOLDER] [--samples 20]

A small federated model (the reference job, 5 rounds) is accepted by `wardround.clinic` on 100 cases of kermany_cxr's official
test split, 20 times anew, and judged on the patients of that split that were not among the 100. What was chosen on that
split is said in docs/benchmarks.md.

Other films: the hospital accepts on 1,000 films of a third of the training patients (and on 100); its own films are those of
another third. Views and their sum were chosen on the remaining third, with other ultrasound, adults, noise and text. As a
control, the hospital is Guangzhou in cxr_multisite, whose films were prepared as those of the adults were.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

import wardround as wr
from last_line import last_line

sys.path.insert(0, str(Path(__file__).parent))

from odd_films import Films, kinds, resized
from wardround.clinic.acceptance.accepting import AcceptanceSettings, accept, candidates_of
from wardround.clinic.answering.answer import Answer
from wardround.clinic.answering.serving import ServingModel, load_serving
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.study.reading import load_study
from wardround.tasks.binary.figures import calibration_error
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.values.randomness import generator

ROOT = Path(__file__).parents[2]
SEED, CASES, PROMISE = 5, 100, 0.9
Arrays = dict[str, NDArray[Any]]


def model_of(run: Path | None, folder: Path) -> Path:
    """The run folder: the one that was named, or a new one."""
    if run is not None:
        return run
    example = ROOT / "examples/chest_xray.toml"
    study = load_study(example)
    study = study.changed(algorithm=study.algorithm.changed(rounds=5))
    wr.simulate(study, run=example.with_suffix(".run.toml"), out=folder / "run", own=False, register=False)
    return folder / "run"


def accepted(folder: Path, run: Path, films: Films, labels: NDArray[np.integer], patients: NDArray[np.str_]) -> ServingModel:
    """A clinic of its own that accepted the model on these films."""
    np.savez(folder / "cases.npz", images=films, label=labels, patient=patients)
    clinic = ClinicPlace.begin(folder / "clinic", ClinicSettings(hospital="benchmark"))
    record = accept(clinic, candidates_of(clinic, str(run)), str(folder / "cases.npz"), AcceptanceSettings(promise=PROMISE))
    return load_serving(clinic, record.id)


def inputs_of(films: Films) -> NDArray[np.float32]:
    return np.asarray(films.astype(np.float32) / np.float32(255))[:, None]


def samples(patients: NDArray[np.str_], count: int) -> Iterator[NDArray[np.bool_]]:
    """Whole patients, drawn until CASES cases are together."""
    for number in range(count):
        rng = generator("acceptance benchmark", number)
        taken = np.zeros(len(patients), bool)
        for patient in rng.permutation(np.unique(patients)):
            own = patients == patient
            if taken.sum() + own.sum() <= CASES:
                taken |= own
            if taken.sum() == CASES:
                break
        yield taken


def calibration(run: Path, data: Arrays, count: int) -> dict[str, float]:
    """Means over the samples."""
    films, labels, patients = data["test_images"], data["test_labels"].reshape(-1).astype(np.int64), data["test_patient"]
    rows = []
    for taken in samples(patients, count):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            model = accepted(Path(folder), run, films[taken], labels[taken], patients[taken])
            rest = ~taken
            answers = model.answer_many(inputs_of(films[rest]))
            rows.append(
                _judged(model, tuple(one for one in answers if isinstance(one, Answer)), labels[rest], inputs_of(films[rest]))
            )
            print(
                "  ".join(f"{name} {value:.3f}" for name, value in rows[-1].items()),
                model.acceptance.yes_or_no.calibration.chosen.name,
                flush=True,
            )
    names = rows[0]
    means = {name: float(np.mean([row[name] for row in rows])) for name in names}
    print("means:", "  ".join(f"{name} {value:.4f}" for name, value in means.items()))
    return means


def _judged(
    model: ServingModel, answers: tuple[Answer, ...], labels: NDArray[np.integer], inputs: NDArray[np.float32]
) -> dict[str, float]:
    chance = np.array([answer.probability for answer in answers])
    raw = np.array([answer.raw_probability for answer in answers])
    verdict = np.array([answer.verdict for answer in answers])
    positive, negative = model.acceptance.yes_or_no.conformal.limits.may_be(model.network.scores(inputs))
    ill = labels == 1
    return {
        "ece": calibration_error(ScoreSums.from_scores(_logit(chance), labels)),
        "raw_ece": calibration_error(ScoreSums.from_scores(_logit(raw), labels)),
        "coverage_positive": float(positive[ill].mean()),
        "coverage_negative": float(negative[~ill].mean()),
        "cannot_tell": float((verdict == "cannot-tell").mean()),
        "ill_called_negative": float((verdict[ill] == "negative").mean()),
        "well_called_positive": float((verdict[~ill] == "positive").mean()),
        "called_unusual": float(np.mean([answer.unusual is not None and answer.unusual.beyond for answer in answers])),
        "accuracy": float(((chance >= model.acceptance.threshold) == ill).mean()),
    }


def _logit(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.clip(chance, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def area(own: NDArray[np.float64], odd: NDArray[np.float64]) -> float:
    """AUROC of telling odd films from own ones."""
    ordered = np.sort(own)
    below = np.searchsorted(ordered, odd, "left") + np.searchsorted(ordered, odd, "right")
    return float(below.mean() / (2 * len(ordered)))


def unusual(model: ServingModel, films: Films) -> NDArray[np.float64]:
    inputs = inputs_of(films)
    assert model.reference is not None
    return model.reference.scores(inputs, model.network.outputs(inputs).embedding)


def warned(model: ServingModel, own: Films, odd: dict[str, Films]) -> dict[str, float]:
    """AUROC by kind; the shares beyond the limit are printed."""
    limit = model.acceptance.unusual.limit if model.acceptance.unusual else float("inf")
    usual = unusual(model, own)
    print(f"  own films beyond the limit: {(usual > limit).mean():.3f} of {len(own)}")
    areas = {}
    for name, films in odd.items():
        scores = unusual(model, films)
        areas[name] = area(usual, scores)
        print(f"  {name:<24} AUROC {areas[name]:.3f}  beyond the limit {(scores > limit).mean():.3f} of {len(films)}", flush=True)
    return areas


def other_films(run: Path, data: Arrays, root: Path) -> dict[str, dict[str, float]]:
    """AUROC by kind: accepted on 1,000 films, on 100, and the control."""
    rng = np.random.default_rng(SEED)
    films, patients = data["train_images"], data["train_patient"]
    labels = data["train_labels"].reshape(-1)
    people = rng.permutation(np.unique(patients))
    part = {str(person): min(3 * row // len(people), 2) for row, person in enumerate(people)}
    which = np.array([part[str(person)] for person in patients])
    fit, own = (rng.permutation(np.flatnonzero(which == number)) for number in (0, 2))
    with (
        np.load(root / "cxr_multisite/cxr_multisite_128.npz") as several,
        np.load(root / "breastmnist/breastmnist.npz") as breast,
    ):
        sites = {name: several["images"][several["site"] == name] for name in np.unique(several["site"])}
        guangzhou = {name: several[name][several["site"] == "guangzhou_wcmc"] for name in ("label", "patient")}
        ultrasound = breast["test_images"]
    adults = {"NIH": rng.permutation(sites["nih_clinical_center"])[:400], "Hannover": sites["hannover_mhh"]}
    odd = kinds(films[own[:400]], ultrasound, adults, rng)
    results = {}
    for name, count in (("accepted on 1000", 1000), ("accepted on 100", 100)):
        print(f"{name}:")
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            model = accepted(Path(folder), run, films[fit[:count]], labels[fit[:count]], patients[fit[:count]])
            results[name] = warned(model, films[own[:400]], odd)
    print("control, the same preparation:")
    here = resized(sites["guangzhou_wcmc"])
    half = rng.permutation(len(here))
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        first, second = half[:500], half[500:]
        model = accepted(Path(folder), run, here[first], guangzhou["label"][first], guangzhou["patient"][first])
        results["control"] = warned(
            model, here[second], {name: films for name, films in odd.items() if name.startswith("adults")}
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=None)
    parser.add_argument("--samples", type=int, default=20)
    chosen = parser.parse_args()
    root = Path(os.environ["WARDROUND_DATA"])
    with np.load(root / "kermany_cxr/kermany_cxr_64.npz") as file:
        data = {name: file[name] for name in file.files}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        run = model_of(chosen.run, Path(folder))
        means = calibration(run, data, chosen.samples)
        areas = other_films(run, data, root)
    first = areas["accepted on 1000"]
    figures = {
        "ece": round(means["ece"], 4),
        "coverage_error": round(max(abs(means[f"coverage_{side}"] - PROMISE) for side in ("positive", "negative")), 4),
        "ood_auroc": round(min(first.values()), 4),
        "ood_auroc_by_kind": {name: round(value, 4) for name, value in first.items()},
        "ood_auroc_accepted_on_100": {name: round(value, 4) for name, value in areas["accepted on 100"].items()},
        "ood_auroc_control": {name: round(value, 4) for name, value in areas["control"].items()},
        "means": {name: round(value, 4) for name, value in means.items()},
        "samples": chosen.samples,
    }
    print(last_line(figures, SEED))


if __name__ == "__main__":
    main()
