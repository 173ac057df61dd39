"""Which frozen features the private reference job should read: folds of training patients alone, never a published test split.

    python benchmarks/model_quality/private_folds.py                          those of the example, with and without maxima
    python benchmarks/model_quality/private_folds.py --epsilons 2 --noises 4      shorter

Folds of `kermany_cxr`, unlike those trained on. *A*: one series of normals and bacterial pneumonia are trained on, the other
series and viral pneumonia are scored; *B*: the other way round; *high*, *low*: without the fifth of the patients with the
highest (lowest) numbers in each series, which are scored. Of `cxr_multisite`: five folds of the training patients of Guangzhou
and NIH together, scored at each hospital, and a model of one hospital's other folds.

Steps and averages are the study's algorithm. Clipping, the hospitals' sum and the noise are worked out here, in floating point,
with the noise of the study's mean step, whatever the number of patients in a fold. Whole masked runs: `dp_accuracy.py`.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.plan.plan import Plan
from wardround.plan.pricing import with_noise, with_sites
from wardround.plan.public_scaling import drawn
from wardround.simulation.hospitals import read_whole
from wardround.site.work import fingerprint
from wardround.study.declaration import Study
from wardround.study.reading import load_study
from wardround.study.sections.backbone import BackboneSection
from wardround.tasks.binary.figures import auc
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.training.backbone import Backbone, statistics
from wardround.training.inputs import FEATURE_MEAN
from wardround.training.model_tree import initial_tree
from wardround.training.networks.scaling import FeatureScaling
from wardround.values.contribution import Contribution
from wardround.values.randomness import generator
from wardround.values.records import Records

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "chest_xray_private.toml"
KINDS = {
    "with maxima": {"average": [3, 4, 5, 6, 7], "maximum": [3, 4, 5, 6, 7]},
    "averages 4 to 6": {"average": [4, 5, 6], "maximum": []},
}
STEP = {"algorithm": {"server_learning_rate": 15.0, "server_average": 0.8}, "training": {"label_smoothing": 0.2}}
GENTLE = {
    "algorithm": {"server_learning_rate": 5.0, "server_average": 0.5},
    "training": {"label_smoothing": 0.4},
}
EVERY = BackboneSection(average=(3, 4, 5, 6, 7), maximum=(3, 4, 5, 6, 7))
FOLDS, FIFTH = 5, 0.2
Rows = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """name: of the data and the fold. train, scored: rows of the records; no patient is in both."""

    name: str
    train: Rows
    scored: Rows


@dataclass(frozen=True)
class Described:
    """Records, and their features by all stages, averages and maxima."""

    records: Records
    features: NDArray[np.float32]
    folds: tuple[Fold, ...]


def series_of(patients: NDArray[np.str_]) -> NDArray[np.str_]:
    """The series that a patient's name belongs to: its letters, without its number."""
    return np.array([name.rpartition("-")[0] for name in patients.tolist()])


def unlike_folds(records: Records) -> Iterator[Fold]:
    series = series_of(records.patients)
    kinds = sorted(set(series.tolist()))
    if kinds != ["bacteria", "normal-IM", "normal-NORMAL2-IM", "virus"]:
        raise SystemExit(f"the patients of kermany_cxr are named otherwise: {', '.join(kinds)}")
    first = np.isin(series, ["normal-IM", "bacteria"])
    yield Fold("A", np.flatnonzero(first), np.flatnonzero(~first))
    yield Fold("B", np.flatnonzero(~first), np.flatnonzero(first))
    numbers = np.array([int(name.rpartition("-")[2]) for name in records.patients.tolist()])
    for name, share in (("high", 1 - FIFTH), ("low", FIFTH)):
        scored = np.zeros(len(records), bool)
        for kind in kinds:
            inside = series == kind
            border = np.quantile(np.unique(numbers[inside]), share)
            scored |= inside & ((numbers > border) if name == "high" else (numbers < border))
        yield Fold(name, np.flatnonzero(~scored), np.flatnonzero(scored))


def patient_folds(records: Records, sites: NDArray[np.str_]) -> Iterator[Fold]:
    """Five folds of two hospitals' training patients: trained on both, scored at each."""
    names = np.unique(records.patients)
    turn = dict(zip(names.tolist(), generator("private folds").permutation(len(names)) % FOLDS, strict=True))
    turns = np.array([turn[name] for name in records.patients.tolist()])
    for number in range(FOLDS):
        for site in np.unique(sites).tolist():
            others = turns != number
            yield Fold(f"both -> {site}", np.flatnonzero(others), np.flatnonzero(~others & (sites == site)))
            yield Fold(f"{site} alone", np.flatnonzero(others & (sites == site)), np.flatnonzero(~others & (sites == site)))


def kermany(study: Study, folder: Path | None) -> Described:
    records, _ = read_whole(study, None)
    return Described(records, features_of(study, records, folder), tuple(unlike_folds(records)))


def two_hospitals(study: Study, folder: Path | None) -> Described:
    """Training patients of Guangzhou and NIH; Hannover has patients of one class only."""
    contract = study.revised(data={"dataset": "cxr_multisite", "label": {"negative": [0], "positive": [1]}})
    records, sites = read_whole(contract, None)
    assert sites is not None
    kept = (sites != "hannover_mhh") & (records.splits != "test")
    records, sites = records.select(np.flatnonzero(kept)), sites[kept]
    return Described(records, features_of(study, records, folder), tuple(patient_folds(records, sites)))


DATA = {"kermany_cxr": kermany, "cxr_multisite": two_hospitals}


def features_of(study: Study, records: Records, folder: Path | None) -> NDArray[np.float32]:
    """From the folder where an earlier run left them there, by what they were made of."""
    kept = None if folder is None else folder / f"{fingerprint(records)[:16]}.npy"
    if kept is not None and kept.exists():
        stored: NDArray[np.float32] = np.load(kept)
        return stored
    features = Backbone(EVERY, Plan(study).records).features(records)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, features)
    return features


def columns_of(section: BackboneSection) -> Rows:
    """Where a section's features stand among those of the section with maxima."""
    starts, parts = np.concatenate([[0], np.cumsum(EVERY.parts)]), parts_of(EVERY)
    numbers = [parts.index(part) for part in parts_of(section)]
    return np.concatenate([np.arange(starts[number], starts[number + 1]) for number in numbers])


def parts_of(section: BackboneSection) -> list[tuple[str, int]]:
    return [("average", stage) for stage in section.average] + [("maximum", stage) for stage in section.maximum]


class PrivateSteps:
    """A study's noised steps on some rows: the algorithm is the study's, clipping and noise are worked out here."""

    def __init__(self, study: Study, scaled: NDArray[np.float32], records: Records, noise: np.random.Generator | None) -> None:
        self.plan = Plan(study)
        _, self._owner, self._counts = np.unique(records.patients, return_inverse=True, return_counts=True)
        self._rows, self._same, self._alike = scaled, same_patient(self._owner), np.zeros(0)
        smoothing = study.training.label_smoothing
        self._targets = records.labels * (1 - smoothing) + smoothing / 2
        private, privacy = self.plan.private, study.privacy
        assert private is not None and privacy.noise_multiplier is not None
        share = private.noise_of_mean(privacy.noise_multiplier, 1.0)
        self._noise, self._clip, self._deviation = noise, privacy.clip_norm, share * privacy.clip_norm * len(self._counts)

    def model(self) -> dict[str, NDArray[np.float32]]:
        """The head's arrays after all rounds, and what is taken from the features."""
        start = initial_tree(self.plan.study.learned, self.plan.inputs, self.plan.study.training.seed, 1)
        algorithm, learned = self.plan.algorithm, self.plan.trainable(start)
        state = algorithm.start(learned, len(self._counts))
        for number in range(self.plan.study.algorithm.rounds):
            order = algorithm.order(state)
            sums = self._gradient_sum(order["model"]) if number else self._feature_sum()
            total = {name: sums.get(name, np.zeros(array.shape)) for name, array in learned.items()}
            state = algorithm.update(state, Contribution({"gradient": total}, len(self._counts)))
            if not number:  # the features are centred from now on, and no step changes that
                self._rows = centred(self._rows, state["model"][FEATURE_MEAN])
                first, second = self._same
                self._alike = np.einsum("ij,ij->i", self._rows[first], self._rows[second]) + 1.0
        return dict(state["model"])

    def _feature_sum(self) -> dict[str, Floats]:
        """Of each patient's mean row; one of length 1 counts as clip_norm."""
        return {FEATURE_MEAN: self._noised(self._clip * (1 / self._counts[self._owner]) @ self._rows.astype(np.float64))}

    def _gradient_sum(self, model: Mapping[str, NDArray[np.float32]]) -> dict[str, Floats]:
        """Of each patient's mean gradient, clipped; its length follows from the products of the patient's own rows."""
        logits = (self._rows @ model["head.weight"][0] + model["head.bias"][0]).astype(np.float64)
        wrong = (1 / (1 + np.exp(-logits)) - self._targets) / self._counts[self._owner]
        first, second = self._same
        squares = np.bincount(self._owner[first], weights=wrong[first] * wrong[second] * self._alike)
        kept = wrong * np.minimum(1.0, self._clip / np.sqrt(np.maximum(squares, 1e-30)))[self._owner]
        total = self._noised(np.append(kept.astype(np.float32) @ self._rows, kept.sum()).astype(np.float64))
        return {"head.weight": total[None, :-1], "head.bias": total[-1:]}

    def _noised(self, total: Floats) -> Floats:
        return total if self._noise is None else total + self._noise.normal(0.0, self._deviation, total.shape)


def same_patient(owner: Rows) -> tuple[Rows, Rows]:
    """All pairs of rows, in both orders and with themselves, that one patient owns."""
    order = np.argsort(owner, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(owner[order])) + 1)
    pairs = [(np.repeat(group, len(group)), np.tile(group, len(group))) for group in groups]
    return np.concatenate([first for first, _ in pairs]), np.concatenate([second for _, second in pairs])


def centred(rows: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows less the mean, brought to length 1 as `FeatureScaling` does."""
    moved = rows - mean
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", moved, moved) + np.float32(1e-6))
    return moved / lengths[:, None]


def scaled_rows(section: BackboneSection, features: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features as the study's network scales them, with the public statistics of drawn radiographs."""
    scaling, columns = FeatureScaling(section), columns_of(section)
    mean, deviation = statistics(section, scale[:, columns])
    scaling.mean, scaling.deviation = torch.from_numpy(mean), torch.from_numpy(deviation)
    with torch.inference_mode():
        rows: NDArray[np.float32] = scaling.uncentred(torch.from_numpy(features[:, columns])).numpy()
    return rows


def scored(study: Study, rows: NDArray[np.float32], records: Records, fold: Fold, noise: np.random.Generator | None) -> float:
    """AUC of one noised training on the fold's scored patients."""
    model = PrivateSteps(study, rows[fold.train], records.select(fold.train), noise).model()
    logits = centred(rows[fold.scored], model[FEATURE_MEAN]) @ model["head.weight"][0] + model["head.bias"][0]
    return auc(ScoreSums.from_scores(logits, records.labels[fold.scored]))


def priced(study: Study, epsilon: float, settings: Mapping[str, Mapping[str, object]]) -> Study:
    return with_noise(with_sites(study.revised(privacy={"epsilon": epsilon, "noise_multiplier": None}, **settings)))


def table(
    study: Study, data: Described, scale: NDArray[np.float32], epsilons: list[float], noises: int, rows: str
) -> dict[str, float]:
    """Prints and gives mean AUCs by kind of features, epsilon and fold."""
    means: dict[str, float] = {}
    for epsilon in epsilons:
        for kind, stages in KINDS.items():
            recipe = GENTLE if epsilon <= 1 else STEP
            one = priced(study, epsilon, {**recipe, "network": {"backbone": stages}})
            section = one.learned.backbone
            assert section is not None
            described = scaled_rows(section, data.features, scale)
            cells: dict[str, list[float]] = {}
            for fold in data.folds:
                for number in range(noises):
                    noise = generator("private folds", fold.name, number)
                    cells.setdefault(fold.name, []).append(scored(one, described, data.records, fold, noise))
            shown = {name: fmean(values) for name, values in cells.items()}
            mean = fmean(shown.values())
            line = " ".join(f"{name} {value:.4f}" for name, value in shown.items())
            print(f"{rows:14} epsilon {epsilon:g}  {kind:16} mean {mean:.4f}  {line}", flush=True)
            means |= {f"{rows}, {kind}, {name}, epsilon {epsilon:g}": round(value, 4) for name, value in shown.items()}
    return means


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--epsilons", nargs="+", type=float, default=[0.65, 2.0])
    parser.add_argument("--features", type=Path, help="a folder where the features, which take longest, are kept for another run")
    parser.add_argument("--noises", type=int, default=12, help="draws of noise for each fold")
    chosen = parser.parse_args()
    began, study = time.monotonic(), load_study(EXAMPLE)
    scale = features_of(study, drawn(Plan(study).records), chosen.features)
    figures: dict[str, float] = {}
    for name in chosen.data:
        data = DATA[name](study, chosen.features)
        print(f"{name}: {len(data.records)} images, {data.records.patient_count} patients", flush=True)
        figures |= table(study, data, scale, chosen.epsilons, chosen.noises, name)
    print(f"{time.monotonic() - began:.0f} seconds")
    print(last_line(figures, None))


if __name__ == "__main__":
    main()
