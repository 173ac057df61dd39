"""The audit of whole runs: real sites, real coordinator, masks and ledgers; the auditor has nothing but the models that go out.

A defect between the parts (another grid, another weight, noise that a role forgot) shows here, and in no audit of one part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.federation import private_studies, tiny_federation
from wardround.audit.audited_training import TrainingCanaries, lone_features
from wardround.audit.privacy_audit import AuditRun, run, together
from wardround.plan.plan import Plan
from wardround.plan.private_plan import PrivatePlan
from wardround.privacy import noise_grid as noise_grid_module
from wardround.study.declaration import Study
from wardround.training.inputs import shape_of
from wardround.training.per_patient import gradients as gradients_module
from wardround.values.ids import SiteId
from wardround.values.records import Records
from wardround.values.tree import flatten, shapes_of, size_of

CANARIES, DELTA, HOLDS, ACCUSES = 300, 1e-9, 1e-6, 1e-4
SITES = tuple(SiteId(name) for name in tiny_federation.NAMES)


def wide_study(noise: float) -> Study:
    """One step of logistic regression over as many columns as the canaries need. All three shares of noise are needed, so that
    none is surplus."""
    columns = "".join(f'[[data.columns]]\nname = "x{number}"\nrange = [-4, 4]\n' for number in range(CANARIES + 8))
    before, _, rest = tiny_federation.STUDY.partition('[[data.columns]]\nname = "a"')
    text = before + columns + "[network]" + rest.partition("[network]")[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private_studies, "STUDY", text.replace('name = "mlp"\nhidden = [4]', 'name = "logistic"'))
        of = private_studies.private_study(rounds=1, noise=noise, collusion=0, minimum=3)
    one_step = {"server_optimizer": "momentum", "server_learning_rate": 1.0}
    changes = {
        "algorithm": of.algorithm.changed(**one_step),
        "summation": of.summation.changed(threshold=3),
        "sites": of.sites.changed(names=SITES),
    }
    return of.changed(**changes)


@dataclass(frozen=True)
class WholeRun:
    """Canary i is a patient of site i modulo 3. The others are dealt likewise: of eight at a site, four learn."""

    study: Study
    folder: Path
    numbers: Iterator[int]

    @property
    def start(self) -> dict[str, np.ndarray]:
        return Plan(self.study).initial_model()

    @property
    def records(self) -> Records:
        """Labels against the first model, so that it is wrong on every canary and its gradients are long."""
        found, others = lone_features(CANARIES, others=24), np.arange(24) // 3 % 8
        labels = found.labels.copy()
        labels[:CANARIES] = self.start["head.weight"][0, :CANARIES] < 0
        learn = np.array(["train"] * 4 + ["validation", "test"] * 2)
        splits = np.concatenate([np.full(CANARIES, "train"), learn[others]])
        return replace(found, labels=labels, splits=splits)

    @property
    def canaries(self) -> TrainingCanaries:
        trained, of = self.records.where("train"), self.study
        return TrainingCanaries(of.network, of.training, of.privacy, trained, trained.patients[:CANARIES], self.start)

    def views(self, canaries: TrainingCanaries) -> Callable[[np.ndarray], Iterator[np.ndarray]]:
        """What the two models say of the step between them."""
        weight = PrivatePlan(self.study, 1).weight(SITES)

        def seen(included: np.ndarray) -> Iterator[np.ndarray]:
            after = self._model(included)
            yield canaries.views((flatten(canaries.model) - flatten(after)) * weight)

        return seen

    def _model(self, included: np.ndarray) -> dict[str, np.ndarray]:
        everybody = self.records
        present = np.concatenate([included, np.ones(len(everybody) - CANARIES, np.bool_)])
        homes = np.arange(len(everybody)) % 3

        def at(name: str) -> Records:
            return everybody.select(present & (homes == tiny_federation.NAMES.index(name)))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiny_federation, "records", at)
            return tiny_federation.run(self.study, self.folder / str(next(self.numbers)))


def audits(noise: float, folder: Path) -> Callable[[], AuditRun]:
    """A function that runs the whole study once and gives the run's audit."""
    whole = WholeRun(wide_study(noise), folder, count())
    canaries = whole.canaries
    assert shape_of(canaries.records).features == CANARIES + 8
    assert canaries.directions.shape[0] == CANARIES
    plan = PrivatePlan(whole.study, size_of(shapes_of(whole.start)))
    assert plan.noise_grid(plan.size).honest == 3
    return lambda: run(whole.views(canaries), CANARIES, plan.event, plan.events)


@pytest.mark.slow
def test_a_whole_run_stays_below_its_bill_and_is_caught_without_clipping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run each. The second shows that the auditor sees the canaries in the models at all."""
    audit = audits(2.0, tmp_path)
    found = audit()
    assert not found.as_gaussian(1e-5, HOLDS).refuted
    assert not found.one_run(110, 1e-13, HOLDS).refuted
    monkeypatch.setattr(gradients_module, "scales", lambda norms, _losses, _clip_norm: torch.ones_like(norms))
    assert audit().one_run(110, DELTA, ACCUSES).refuted


@pytest.mark.slow
def test_whole_runs_with_half_the_noise_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the trials of four runs."""
    audit, draw = audits(1.0, tmp_path), noise_grid_module.draw  # type: ignore[attr-defined]
    monkeypatch.setattr(noise_grid_module, "draw", lambda size: draw(size) // 2)
    assert together([audit() for _ in range(4)]).as_gaussian(1e-5, ACCUSES).refuted
