"""A made-up run of three hospitals: realistic in size and shape, true of nobody."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wardround.study.label import LabelContract
from wardround.study.reading import parse_study
from wardround.study.record.run_record import (
    Evaluation,
    MachineRecord,
    ModelRecord,
    NetworkRecord,
    Pooled,
    RoundRecord,
    RunRecord,
    SiteRecord,
    SiteRound,
    VersionsRecord,
)
from wardround.study.writing import to_toml
from wardround.tasks.binary import BinaryTask
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.evaluation import evaluation_of

TASK = BinaryTask(LabelContract())
SITES = {"north": (300, 0.62), "harbour": (180, 0.45), "west": (90, 0.3)}
STUDY = """format = 1

[question]
title = "Opacities on chest radiographs"
description = "Does this chest radiograph show an opacity?"
intended_use = "A second look at films that were read already."
contact = "the lead, extension 4711"

[data]
kind = "image"
label = { name = "opacity", negative = ["NORMAL"], positive = ["OPACITY"] }

[network]
name = "small_cnn"

[training]
local_epochs = 2
learning_rate = 3e-4

[algorithm]
name = "fedavg"
rounds = 10
"""


def scores(seed: int, site: str, skill: float) -> ScoreSums:
    n, share = SITES[site]
    rng = np.random.default_rng(seed)
    labels = (rng.random(n // 5) < share).astype(np.int8)
    return ScoreSums.from_scores(rng.normal(skill * (2 * labels - 1), 2.0), labels)


def at_all(seed: int, skill: float) -> Evaluation:
    return evaluation_of(TASK, sum((scores(seed, site, skill) for site in SITES), ScoreSums.zero()).as_sums(), 0.4)


def at(seed: int, site: str, skill: float, *, small: bool = False) -> Evaluation:
    return evaluation_of(TASK, scores(seed, site, skill).as_sums(), 0.4, replicates=0 if small else 400, keep_sums=not small)


def made_up_round(k: int) -> RoundRecord:
    skill = 2.6 * (1 - 0.75**k)
    lost = {"west": "deadline"} if k == 4 else {}
    counted = tuple(site for site in SITES if site not in lost)
    per_site = {
        site: SiteRound(train_loss=0.65 * 0.8**k + 0.02 * j, validation=at(50 + k, site, skill, small=True))
        for j, site in enumerate(counted)
    }
    return RoundRecord(
        round=k,
        seconds=4.2 + 0.1 * k,
        counted=counted,
        lost=lost,
        train_loss=0.65 * 0.8**k,
        validation=at_all(50 + k, skill),
        bytes_out=2_640_000,
        bytes_in=880_000 * len(counted),
        per_site=per_site,
    )


def made_up_record(**changes: Any) -> RunRecord:
    sites = {
        site: SiteRecord(  # type: ignore[call-arg]
            patients=n - n // 10,
            images=n,
            split_patients={"train": n // 2, "validation": n // 5, "test": n // 5},
            split_images={"train": n - 2 * (n // 5), "validation": n // 5, "test": n // 5},
            positives=round(n * share),
            own=at(7, site, 1.5 - 0.4 * k),
            federated=at(7, site, 2.4),
        )
        for k, (site, (n, share)) in enumerate(SITES.items())
    }
    cross = {
        site: {place: at(7, place, 1.5 - 0.4 * k - 0.5 * (site != place)) for place in SITES} for k, site in enumerate(SITES)
    }
    fields: dict[str, Any] = {
        "run_id": "demo-20260102-030405",
        "created": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:04:51+00:00",
        "study_title": "Opacities on chest radiographs",
        "study_hash": "3f" * 32,
        "study_toml": to_toml(parse_study(STUDY, "the made-up study")),
        "seed": 1,
        "engine": "in_process",
        "workers": 2,
        "synthetic": True,
        "versions": VersionsRecord(wardround="0.1.0", torch="2.13.0", numpy="2.4.6", python="3.11.7", platform="Linux x86_64"),
        "machine": MachineRecord(cores=2),
        "network": NetworkRecord(name="small_cnn", parameters=219_000),
        "algorithm": "fedavg",
        "privacy_mode": "none",
        "summation_mode": "plain",
        "rounds": tuple(made_up_round(k) for k in range(1, 11)),
        "sites": sites,
        "pooled": Pooled(federated=at_all(7, 2.4), own={site: at_all(7, 1.2 - 0.3 * k) for k, site in enumerate(SITES)}),
        "external": {"another country": at_all(8, 1.6)},
        "cross": cross | {"pooled data": {site: at(7, site, 2.5) for site in SITES}},
        "model": ModelRecord(
            sha256="b4" * 32,
            parameters=219_000,
            files={"safetensors": "model.safetensors", "onnx": "model.onnx"},
            onnx_max_difference=1.2e-7,
            threshold=0.4,
        ),
    }
    return RunRecord(**(fields | changes))


@pytest.fixture(scope="session")
def make_record() -> Callable[..., RunRecord]:
    """Builds the made-up record with fields changed. Building takes a while, so the parts are made once."""
    plain = made_up_record()
    return lambda **changes: RunRecord(**({name: getattr(plain, name) for name in RunRecord.model_fields} | changes))


@pytest.fixture(scope="session")
def record(make_record: Callable[..., RunRecord]) -> RunRecord:
    return make_record()
