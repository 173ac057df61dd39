"""Every setting counts: changed alone, it is refused, or it changes what is ordered, learned or figured out.

The kind of fault: `fedavg` with `proximal_mu = 50` was sound and trained plain federated averaging. So each setting of a study is
tried with every algorithm, on a table and on images, and a run of two rounds must notice it.
"""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from wardround.hub.coordinator import Coordinator
from wardround.site.site import Site
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.study.rules.uses import USES
from wardround.study.sections.network import NetworkSection
from wardround.values.canonical import sha256_hex
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId, site_id
from wardround.values.records import Records

ALGORITHMS = ("fedavg", "fedprox", "fedopt", "scaffold", "fedbn", "fedsgd")
RUN_SECTIONS = ("network", "training", "algorithm", "summation", "evaluation")
"""Settings of these take effect in a run over records that were read already."""

ELSEWHERE = {
    "format": "the only format there is",
    "question": "words that reports and cards show: tests/evidence",
    "data": "how files become records: tests/sources; of these, settings of the other kind of data are tried below",
    "privacy": "what is charged and noised: tests/plan, tests/privacy; settings of another mode are refused: test_privacy",
    "analysis": "tables in place of a model, which no run with a network has: tests/analysis",
    "personal": "what a hospital makes of the finished model: tests/algorithms/personal, tests/site/test_personal_models",
    "sites": "who takes part, and when a round counts: tests/hub",
}
"""Sections whose settings show in no such run, and where they are tested instead."""

CHANGES: dict[str, Any] = {
    "network.name": "logistic",
    "network.width": 8,
    "network.blocks": [1],
    "network.hidden": [3],
    "network.scaling": "none",
    "network.pool": "mean_max",
    "network.dropout": 0.5,
    "network.pretrained": True,
    "network.fine_tune": "head",
    "network.from_block": 3,
    "training.local_epochs": 3.0,
    "training.batch_size": 5,
    "training.micro_batch": 3,
    "training.optimizer": "adamw",
    "training.learning_rate": 0.07,
    "training.momentum": 0.5,
    "training.beta2": 0.5,
    "training.keep_optimizer": True,
    "training.weight_decay": 0.2,
    "training.schedule": "constant",
    "training.warmup_rounds": 0.7,
    "training.final_rate": 0.9,
    "training.class_balance": False,
    "training.label_smoothing": 0.2,
    "training.ema_decay": 0.9,
    "training.clip_norm": 0.01,
    "training.seed": 5,
    "training.augmentation.shift": 0.3,
    "training.augmentation.rotate": 40.0,
    "training.augmentation.scale": 1.5,
    "training.augmentation.stretch": 1.5,
    "training.augmentation.shear": 20.0,
    "training.augmentation.flip": 0.7,
    "training.augmentation.gamma": 1.9,
    "training.augmentation.contrast": 1.9,
    "training.augmentation.brightness": 0.4,
    "training.augmentation.blur": 0.1,
    "training.augmentation.sharpen": 2.0,
    "training.augmentation.noise": 0.3,
    "training.augmentation.chance": 0.5,
    "training.augmentation.cutout": 0.5,
    "training.augmentation.cutout_chance": 0.9,
    "training.augmentation.mixup": 0.9,
    "training.augmentation.border": "repeat",
    "training.augmentation.cutout_fill": "mean",
    "algorithm.name": None,
    "algorithm.rounds": 1,
    "algorithm.proximal_mu": 5.0,
    "algorithm.server_optimizer": "yogi",
    "algorithm.server_learning_rate": 0.3,
    "algorithm.server_momentum": 0.3,
    "algorithm.server_beta2": 0.5,
    "algorithm.server_tau": 0.5,
    "algorithm.server_schedule": "cosine",
    "algorithm.server_decay": 0.3,
    "algorithm.server_average": 1.0,
    "summation.mode": None,
    "summation.threshold": 3,
    "summation.collusion": 0,
    "summation.word_bits": 16,
    "summation.clip": 0.001,
    "summation.max_update_norm": 0.001,
    "summation.max_set_changes": 0,
    "summation.max_auc_drop": 1e-9,
    "evaluation.threshold": "half",
    "evaluation.flip_average": True,
    "evaluation.own_baseline": True,
}
"""Another value for each setting that a run can notice; None where every value is tried by itself."""

OTHERWISE: dict[str, Any] = {"training.optimizer": "sgd", "network.name": "mlp"}
"""A third value, where the second is what the study has already."""

UNSEEN = {
    "network.backbone": "needs weights of its own: tests/simulation/test_backbone",
    "evaluation.external": "scored after the run: tests/simulation/test_simulate",
    "algorithm.name": "every algorithm is tried",
    "summation.mode": "the same bits either way, by design: tests/simulation",
    "summation.max_set_changes": "no hospital is lost here: tests/summation/attacks/test_lying_coordinator",
    "summation.weight_step": "weighs hospitals of unequal size, and these are alike: tests/site/test_weight_step",
    "summation.max_auc_drop": "a round is rolled back where the figure falls: tests/hub/test_acceptance",
    "evaluation.threshold": "where a score becomes a yes, after the run: tests/tasks, tests/simulation",
    "evaluation.model": "then nothing is trained: tests/simulation/test_evaluation_only, tests/study/test_evaluation_only",
    "evaluation.model_threshold": "where a score becomes a yes, after the run: tests/simulation/test_evaluation_only",
    "network.private": "then hospitals have tasks of their own: tests/study/test_own_task, tests/simulation/test_private_heads",
    "training.head_passes": "a last layer after the run: tests/simulation/test_private_heads",
    "evaluation.own_baseline": "another model is trained beside the run: tests/simulation",
}
"""Settings that this run cannot show, and why."""

BASE = """\
format = 1
[question]
title = "Tiny"
[data]
{data}
[network]
name = "{network}"
[training]
{steps}batch_size = 8
micro_batch = 8
seed = 7
[algorithm]
name = "{algorithm}"
rounds = 2
[summation]
mode = "plain"
[evaluation]
own_baseline = false
"""
COLUMNS = ", ".join(f'{{ name = "{name}", range = [-4, 4] }}' for name in "abc")
TABLE = f'kind = "table"\ncolumns = [{COLUMNS}]'
IMAGE = 'kind = "image"\nimage = { size = [16, 16] }'
STEPS = 'optimizer = "sgd"\nlearning_rate = {rate}\nlocal_epochs = 2\n'


def leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The dotted names of all settings; a list of sections counts as one."""
    for name, one in model.model_fields.items():
        inner = NetworkSection if f"{path}{name}" == "network" else one.annotation  # a study with [analysis] has none
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def base(kind: str, algorithm: str) -> Study:
    steps = "" if algorithm == "fedsgd" else STEPS.format(rate=0.5 if kind == "table" else 0.02)
    data, network = (TABLE, "mlp") if kind == "table" else (IMAGE, "small_cnn")
    return parse_study(BASE.format(data=data, network=network, steps=steps, algorithm=algorithm))


def records(kind: str, name: str) -> Records:
    rng = np.random.Generator(np.random.Philox(len(name)))
    labels = (np.arange(24) % 4 == 0).astype(np.int8)
    splits = np.array((["train"] * 4 + ["validation", "test"]) * 4)
    if kind == "table":
        inputs: Any = (rng.standard_normal((24, 3)) + labels[:, None]).astype(np.float32)
    else:
        inputs = (rng.integers(0, 200, (24, 16, 16)) + 50 * labels[:, None, None]).astype(np.uint8)
    return Records(inputs, labels, np.array([f"{name}-{k}" for k in range(24)]), splits)


class Loopback:
    """An engine in this process."""

    def __init__(self, study: Study, kind: str, folder: Path) -> None:
        self._sites = {}
        for name in ("ash", "birch"):
            read = partial(records, kind, name)
            self._sites[site_id(name)] = Site(site_id(name), study, read, folder / name, device="cpu", threads=1)

    def sites(self) -> tuple[SiteId, ...]:
        return tuple(sorted(self._sites))

    def exchange(self, outbox: Any, deadline_s: float, arrived: Any = None) -> dict[SiteId, bytes]:  # noqa: ARG002
        return {site: self._sites[site].handle(message) for site, message in outbox.items()}

    def close(self) -> None:
        for site in self._sites.values():
            site.close()


def trace(study: Study, kind: str) -> str:
    """What a run of the study ordered, learned and counted, as one hash; the study's own hash plays no part."""
    with TemporaryDirectory() as folder:
        engine = Loopback(study, kind, Path(folder))
        coordinator = Coordinator(study, engine, Path(folder) / "hub")
        coordinator.run()
        engine.close()
        model = {name: array.tobytes().hex() for name, array in sorted(coordinator.model.items())}
        scored = coordinator.evaluate("federated", coordinator.progress.state["model"])
        sums = {split: one.to_json() for split, one in scored.items()}
        rounds = [(entry.discarded, entry.loss, entry.clipped) for entry in coordinator.progress.history]
    return sha256_hex(repr((model, sums, rounds)).encode())


@cache
def base_trace(kind: str, algorithm: str) -> str:
    return trace(base(kind, algorithm), kind)


def changed(study: Study, setting: str, value: Any) -> Study:
    *sections, name = setting.split(".")
    change: Any = {name: value}
    for section in reversed(sections[1:]):
        change = {section: change}
    return study.revised(**{sections[0]: change})


def test_every_setting_of_a_study_is_tried_or_tested_elsewhere() -> None:
    """A new setting must say here how it takes effect."""
    known = CHANGES.keys() | UNSEEN.keys()
    missing = [name for name in leaves(Study) if name.split(".")[0] in RUN_SECTIONS and name not in known]
    assert missing == []
    assert {name.split(".")[0] for name in leaves(Study)} == {*RUN_SECTIONS, *ELSEWHERE}
    assert not [name for name in known if name not in set(leaves(Study))]


SEEN = [name for name in CHANGES if name not in UNSEEN]


def marks_of(kind: str, algorithm: str) -> list[pytest.MarkDecorator]:
    """Half a minute each of images: a run of all tests takes tables alone."""
    if kind == "table":
        return [] if algorithm == "fedavg" else [pytest.mark.slow]
    return [pytest.mark.slow, pytest.mark.many]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [pytest.param(kind, algorithm, marks=marks_of(kind, algorithm)) for kind in ("table", "image") for algorithm in ALGORITHMS],
)
def test_a_setting_changed_alone_is_refused_or_noticed(kind: str, algorithm: str) -> None:
    """A setting that does nothing without a word is a study that is not what its lead believes."""
    study, before = base(kind, algorithm), base_trace(kind, algorithm)
    ignored, refused = [], []
    for setting in SEEN:
        try:
            other = changed(study, setting, CHANGES[setting])
            if other == study:
                other = changed(study, setting, OTHERWISE[setting])
        except StudyError:
            refused.append(setting)
            continue
        if trace(other, kind) == before:
            ignored.append(setting)
    assert ignored == []
    assert 0 < len(refused) < len(SEEN)  # or the test would prove nothing


@pytest.mark.parametrize(
    ("algorithm", "setting"),
    [("fedavg", "proximal_mu"), ("fedopt", "server_average"), ("fedopt", "server_schedule"), ("fedopt", "server_decay")],
)
def test_a_setting_of_another_algorithm_is_refused_with_the_one_that_reads_it(algorithm: str, setting: str) -> None:
    """The mend must be in the message: which choice would make it count."""
    with pytest.raises(StudyError, match=rf"algorithm\.{setting} does nothing .*it is read with algorithm\.name = "):
        changed(base("table", algorithm), f"algorithm.{setting}", CHANGES[f"algorithm.{setting}"])


OF_IMAGES = [name for use in USES for name in use.settings if name.startswith(("data.image", "evaluation.flip"))]


@pytest.mark.parametrize("setting", OF_IMAGES)
def test_settings_of_images_are_refused_for_a_table(setting: str) -> None:
    """They are read by nothing there."""
    values: dict[str, Any] = {
        "size": [32, 32], "channels": 3, "accepted_bits": [8], "kept_bits": 16, "white_16": 4095, "window": [0, 1],
        "fit": "pad",
    }  # fmt: skip
    with pytest.raises(StudyError, match="does nothing"):
        changed(base("table", "fedavg"), setting, values.get(setting.split(".")[-1], True))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_study_with_every_default_written_out_is_sound(algorithm: str) -> None:
    """A run folder's study.toml holds them all, and must be read again."""
    study = base("table", algorithm)
    assert study.revised() == study
