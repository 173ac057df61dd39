"""Does an attack show more of epsilon than the accountant states? And does it see what it should once something is broken?

    python benchmarks/privacy/privacy_audit.py

The attack is `wardround.audit.privacy_audit`, on the code that studies run: gradient canaries under shared noise (real words,
sum and decoding), and record canaries in real private training. Each row gives a stated epsilon and the lower bound that the
attack proved, both at the row's delta. "whole" rows must stay below, "broken" ones must not. False alarm: 1e-4 for each row.

- one run: Steinke, Nasr, Jagielski (NeurIPS 2023), which assumes nothing of the mechanism;
- trials: every canary as a trial of its own, Clopper-Pearson, at the delta of three that shows most;
- Gaussian: trials held against the whole curve of a Gaussian (Nasr et al., USENIX Security 2023), sharp at the study's own delta.

Nothing is seeded: canaries and noise come from the operating system, so that figures differ a little from run to run.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

from last_line import last_line
from wardround.audit.audited_sums import GradientCanaries, SharedNoise
from wardround.audit.audited_training import LocalTraining, SharedTraining, TrainingCanaries, lone_features
from wardround.audit.crafted_model import OTHERS, CraftedModel, CraftedViews
from wardround.audit.crafted_worlds import pairs_of_sums
from wardround.audit.privacy_audit import AuditRun, Comparison, run, together
from wardround.plan.pricing import with_noise
from wardround.privacy import discrete_gaussian
from wardround.privacy.events import Event, Slack
from wardround.privacy.noise_grid import NoiseGrid, narrowest
from wardround.study.reading import parse_study
from wardround.study.sections.network import NetworkSection
from wardround.study.sections.privacy import PrivacySection
from wardround.study.sections.training import TrainingSection
from wardround.training.inputs import shape_of
from wardround.training.model_tree import initial_tree
from wardround.training.per_patient.convolution import ConvLayer
from wardround.training.per_patient.patient_sampling import PatientRows

FALSE_ALARM = 1e-4
DELTA, ONE_RUN_DELTA = 1e-5, 1e-9
CLIP_NORM = 0.3
RECORD_CANARIES = 300
TRIALS = 10_000
IMAGES = f"""
format = 1
[question]
title = "A malicious model of images"
[data]
kind = "image"
[data.image]
size = [28, 28]
[data.patient]
required = true
[network]
name = "small_cnn"
width = 8
[training]
class_balance = false
[algorithm]
name = "fedsgd"
rounds = 1
[evaluation]
threshold = "half"
own_baseline = false
[privacy]
mode = "patient-distributed"
noise_multiplier = 2.0
delta = {DELTA}
clip_norm = {CLIP_NORM}
public_patients = 600
"""
Draw = Callable[[int], np.ndarray]


def noise_grid(multiplier: float, size: int, honest: int) -> NoiseGrid:
    most = 4.0 * size
    return narrowest(clip_norm=CLIP_NORM, multiplier=multiplier, size=size, capacity=most, sites=honest + 2, honest=honest)


def charged(grid: NoiseGrid, rate: float) -> Event:
    return Event(grid.multiplier, rate, slack=Slack(*grid.slack(1)))


def gradients(
    multiplier: float, canaries: int, steps: int = 1, rate: float = 1.0, honest: int = 2, true_rate: float | None = None
) -> AuditRun:
    """Shared noise of `honest` sites beside one that colludes. true_rate: with which patients are drawn, whatever is charged."""
    grid = noise_grid(multiplier, canaries, honest)
    views = GradientCanaries(SharedNoise(grid, 1), steps, true_rate or rate)
    return run(views, canaries, charged(grid, rate), steps)


class Training:
    """Logistic regression on record canaries, patient-local or by the shared noise of two sites."""

    def __init__(self, multiplier: float, rate: float = 1.0, steps: int = 1) -> None:
        network = NetworkSection(name="logistic")
        records = lone_features(RECORD_CANARIES, others=20)
        stated = {"mode": "patient-local", "delta": DELTA, "noise_multiplier": multiplier, "public_patients": RECORD_CANARIES}
        privacy = PrivacySection.model_validate(stated | {"clip_norm": CLIP_NORM, "sampling_rate": rate, "steps": steps})
        model = {name: np.zeros_like(array) for name, array in initial_tree(network, shape_of(records), 1).items()}
        training = TrainingSection(optimizer="sgd", learning_rate=1e-9)
        self.canaries = TrainingCanaries(network, training, privacy, records, records.patients[:RECORD_CANARIES], model)
        self.size, self.multiplier, self.rate, self.steps = self.canaries.directions.shape[1], multiplier, rate, steps

    def run(self, honest: int = 0) -> AuditRun:
        grid = noise_grid(self.multiplier, self.size, honest or 1)
        event = charged(grid, self.rate)
        if honest:
            return run(SharedTraining(self.canaries, SharedNoise(grid), self.steps), RECORD_CANARIES, event, self.steps)
        return run(LocalTraining(self.canaries, grid), RECORD_CANARIES, event, self.steps)

    def runs(self, number: int, honest: int = 0) -> AuditRun:
        return together([self.run(honest) for _ in range(number)])


def crafted(multiplier: float) -> AuditRun:
    """The coordinator makes every output a rounding remainder; 10,000 trials of one patient in or out."""
    stated = {"mode": "patient-local", "delta": DELTA, "noise_multiplier": multiplier, "public_patients": OTHERS}
    attack = CraftedModel(PrivacySection.model_validate(stated | {"clip_norm": CLIP_NORM, "steps": 1}))
    grid = noise_grid(multiplier, attack.size, 1)
    return run(attack.views(grid), TRIALS, charged(grid, 1.0), 1)


def crafted_images() -> AuditRun:
    """The same with a network of images, on nearly alike ones: of four pairs of worlds, the one whose sums lie furthest apart."""
    study = with_noise(parse_study(IMAGES))
    without, whole = max(pairs_of_sums(study), key=lambda pair: float(np.linalg.norm(pair[1] - pair[0])))
    grid = noise_grid(2.0, len(whole), 1)
    return run(CraftedViews(without, whole, grid), TRIALS // 5, charged(grid, 1.0), 1)


@contextmanager
def rounding_by_row() -> Iterator[None]:
    """Convolutions give every second row of a piece another last bit, as a library's kernels may."""
    forward = ConvLayer.forward

    def uneven(layer: ConvLayer, inputs: Any) -> Any:
        outputs = forward(layer, inputs)
        outputs[::2] *= 1 + 2**-23
        return outputs

    with mock.patch.object(ConvLayer, "forward", uneven):
        yield


@contextmanager
def noise(broken: Draw) -> Iterator[None]:
    with mock.patch("wardround.privacy.noise_grid.draw", broken):
        yield


@contextmanager
def no_clipping() -> Iterator[None]:
    with mock.patch("wardround.training.per_patient.gradients.scales", lambda norms, _losses, _clip: torch.ones_like(norms)):
        yield


@contextmanager
def everybody_drawn() -> Iterator[None]:
    drawn = PatientRows.draw
    with mock.patch.object(PatientRows, "draw", lambda rows, _rate, *settings: drawn(rows, 1.0, *settings)):
        yield


def halved(size: int) -> np.ndarray:
    return discrete_gaussian.draw(size) // 2


def last_share_missing(sites: int) -> Draw:
    calls = iter(range(10**9))
    return lambda size: discrete_gaussian.draw(size) * (next(calls) % sites != sites - 1)


def used_again(sites: int) -> Draw:
    calls, first = iter(range(10**9)), dict[int, np.ndarray]()

    def again(size: int) -> np.ndarray:
        site = next(calls) % sites
        return first.setdefault(site, discrete_gaussian.draw(size))

    return again


@dataclass(frozen=True)
class Row:
    mechanism: str
    state: str
    method: str
    found: Comparison

    @property
    def as_it_should_be(self) -> bool:
        return self.found.refuted == (self.state != "whole")

    def __str__(self) -> str:
        comparison, verdict = self.found, "" if self.as_it_should_be else "  <-- NOT AS IT SHOULD BE"
        figures = f"{comparison.delta:8.0e} {comparison.stated:8.3f} {comparison.audited:8.3f}"
        return f"{self.mechanism:44} {self.state:34} {self.method:9} {figures}{verdict}"


def one_run(audit_run: AuditRun, each: int) -> Comparison:
    return audit_run.one_run(each, ONE_RUN_DELTA, FALSE_ALARM)


def trials(audit_run: AuditRun) -> Comparison:
    """The comparison that comes closest, or goes farthest beyond. All three hold together."""
    return max(audit_run.as_trials(FALSE_ALARM), key=lambda comparison: comparison.audited / comparison.stated)


def gaussian(audit_run: AuditRun) -> Comparison:
    return audit_run.as_gaussian(DELTA, FALSE_ALARM)


def _malicious_model() -> Iterator[Row]:
    name = "malicious model, mlp of 10, 1 step, z = 2"
    yield Row(name, "whole", "Gaussian", gaussian(crafted(2.0)))
    with mock.patch("wardround.training.per_patient.layers.product", torch.nn.functional.linear):
        yield Row(name, "broken: a library's product", "Gaussian", gaussian(crafted(2.0)))
    name = "malicious model, small_cnn, 1 step, z = 2"
    yield Row(name, "whole", "Gaussian", gaussian(crafted_images()))
    with rounding_by_row():
        yield Row(name, "broken: rounding by row", "Gaussian", gaussian(crafted_images()))


def _shared_noise() -> Iterator[Row]:
    name = "shared noise, 60 steps, z = 15.45, 2 of 3"
    # Ten runs: one with as many values would have to reserve 7 % of its noise for rounding, which these canaries do not use.
    reference = together([gradients(15.45, 50_000, steps=60) for _ in range(10)])
    yield Row(name, "whole", "Gaussian", gaussian(reference))
    yield Row(name, "whole", "trials", trials(reference))
    with noise(last_share_missing(3)):
        yield Row(name, "broken: one share of two missing", "Gaussian", gaussian(gradients(15.45, 100_000, steps=60)))
    with noise(halved):
        yield Row(name, "broken: noise halved", "Gaussian", gaussian(gradients(15.45, 100_000, steps=60)))
    name = "shared noise, 1 step, z = 2.5, 2 of 3"
    yield Row(name, "whole", "one run", one_run(gradients(2.5, 4_000_000), 2000))
    with noise(halved):
        yield Row(name, "broken: noise halved", "one run", one_run(gradients(2.5, 4_000_000), 2000))
    name = "shared noise, 2 steps, z = 4, 2 of 3"
    yield Row(name, "whole", "one run", one_run(gradients(4.0, 100_000, steps=2), 400))
    with noise(used_again(3)):
        yield Row(name, "broken: noise used twice", "one run", one_run(gradients(4.0, 1000, steps=2), 400))
    name = "shared noise, 1 step, z = 2, 1 of 2"
    with noise(last_share_missing(2)):
        yield Row(name, "broken: the only share missing", "one run", one_run(gradients(2.0, 1000, honest=1), 400))


def _sampled() -> Iterator[Row]:
    name = "shared noise, 10 steps, z = 1, rate 0.1"
    yield Row(name, "whole", "trials", trials(gradients(1.0, 200_000, steps=10, rate=0.1)))
    yield Row(name, "whole", "one run", one_run(gradients(1.0, 200_000, steps=10, rate=0.1), 200))
    always = gradients(1.0, 200_000, steps=10, rate=0.1, true_rate=1.0)
    yield Row(name, "broken: everybody drawn", "trials", trials(always))


def _training() -> Iterator[Row]:
    whole = Training(2.0)
    for honest, name in ((0, "training, local"), (2, "training, shared noise of 2")):
        name += ", 1 step, z = 2"
        yield Row(name, "whole", "Gaussian", gaussian(whole.runs(12, honest)))
        yield Row(name, "whole", "one run", one_run(whole.run(honest), 110))
        with noise(halved):
            yield Row(name, "broken: noise halved", "Gaussian", gaussian(whole.runs(12, honest)))
        with no_clipping():
            yield Row(name, "broken: clipping removed", "one run", one_run(whole.run(honest), 110))
    sampled = Training(0.8, rate=0.2, steps=5)
    name = "training, local, 5 steps, z = 0.8, rate 0.2"
    yield Row(name, "whole", "trials", trials(sampled.runs(12)))
    with everybody_drawn():
        yield Row(name, "broken: everybody drawn", "trials", trials(sampled.runs(12)))


GROUPS = {"noise": _shared_noise, "sampling": _sampled, "training": _training, "malicious": _malicious_model}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=[*GROUPS], help="which rows, by what they attack")
    only = parser.parse_args().only
    began, shown = time.monotonic(), list[Row]()
    print(f"{'mechanism':44} {'state':34} {'bound':9} {'delta':>8} {'stated':>8} {'audited':>8}")
    for row in (row for group in only for row in GROUPS[group]()):
        shown.append(row)
        print(row, flush=True)
    print(last_line(summary(shown) | {"seconds": round(time.monotonic() - began, 1)}, seed=None))


def summary(shown: list[Row]) -> dict[str, Any]:
    """closest: the largest share of a stated epsilon that was shown at the study's delta, whole rows."""
    whole, broken = ([row for row in shown if (row.state == "whole") == kind] for kind in (True, False))
    shares = [row.found.audited / row.found.stated for row in whole if row.found.delta == DELTA]
    return {
        "whole": len(whole),
        "whole_refuted": sum(row.found.refuted for row in whole),
        "broken": len(broken),
        "broken_caught": sum(row.found.refuted for row in broken),
        "closest": round(max(shares, default=0.0), 3),
        "false_alarm": FALSE_ALARM,
    }


if __name__ == "__main__":
    main()
