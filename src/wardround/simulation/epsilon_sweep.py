"""The sweep: what accuracy an epsilon leaves, tried on data that cost nothing, before any hospital is asked.

The study runs as it is, with another epsilon each time, over hospitals whose records are public or synthetic. What it shows is
the recipe's price on those data: the hospitals' own will differ.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardround.plan.pricing import FEWEST as FEWEST_NAMES
from wardround.plan.pricing import with_noise
from wardround.simulation.simulate import simulate
from wardround.study.declaration import Study
from wardround.study.run_settings import RunSettings
from wardround.tasks.registry import task_of
from wardround.values.errors import StudyError
from wardround.values.records import Records

SYNTHETIC_SEED = 1
FEWEST = len(FEWEST_NAMES)


@dataclass(frozen=True)
class SweepPoint:
    """epsilon: None for the same recipe without noise. figures: those that the task compares models by, by their names in text,
    on held-out patients of all hospitals together; None where these cannot give them."""

    epsilon: float | None
    noise_multiplier: float
    figures: Mapping[str, float | None]


def sweep(study: Study, epsilons: Sequence[float | None], settings: RunSettings, data: Path | None) -> Iterator[SweepPoint]:
    """One whole run for each epsilon.

    data: public records, divided as [simulation] of the run settings says; without it the public set that the study names, or
    else synthetic radiographs in three hospitals. These, being fewer, get less noise in the same measure: it would otherwise be
    another study. StudyError where none of these is like the study's records.
    """
    if study.keeps_heads:
        raise StudyError(
            "Each hospital has a question of its own, so there is no figure of all to hold against epsilon",
            hint="leave --try out; simulate the study at several epsilons, and look at the records in sites/NAME",
        )
    words = task_of(study).words
    alone = RunSettings(run=settings.run, simulation=settings.simulation)  # the external test is not for trying things out
    drawn = data is None and study.data.dataset is None
    sites = _synthetic(study) if drawn else None
    for epsilon in epsilons:
        with tempfile.TemporaryDirectory() as folder:
            tried, multiplier = _tried(study, epsilon, sites)
            run = simulate(tried, sites, data=data, out=Path(folder) / "run", register=False, run=alone, progress=False)
        pooled = run.record.pooled
        yield SweepPoint(
            epsilon,
            multiplier,
            {words.in_text[key]: None if pooled is None else pooled.federated.value(key) for key in words.compared},
        )


def _tried(study: Study, epsilon: float | None, drawn: Mapping[str, Records] | None) -> tuple[Study, float]:
    """The recipe alone, on hospitals that nobody approves it at, and the noise multiplier that the study itself would have."""
    bare = study.revised(evaluation={"external": None}, sites={"names": (), "keys": {}})
    multiplier = (
        0.0 if epsilon is None else with_noise(bare.with_privacy(epsilon=epsilon, noise_multiplier=None)).privacy.noise_multiplier
    )
    assert multiplier is not None
    if drawn is None:
        return bare.with_privacy(epsilon=None, noise_multiplier=multiplier), multiplier
    units = {site: _patients(records) for site, records in drawn.items()}
    share = sum(units.values()) / _stated(study) if study.privacy.of_patients else 1.0
    fewer = {"public_patients": units} if study.privacy.of_patients else {}
    return bare.with_privacy(epsilon=None, noise_multiplier=multiplier * min(share, 1.0), **fewer), multiplier


def _patients(records: Records) -> int:
    """Training patients, rounded as a hospital would state them."""
    return max(10, round(records.where("train").patient_count, -1))


def _stated(study: Study) -> int:
    stated = study.privacy.public_patients
    return sum(stated.values()) if isinstance(stated, dict) else (stated or 1) * max(1, len(study.sites.names) or FEWEST)


def _synthetic(study: Study) -> dict[str, Records]:
    from wardround.sources.synthetic.hospitals import larger_hospitals

    height, width = study.data.image.size if study.data.kind == "image" else (0, 1)
    if height != width or study.data.image.channels != 1:
        raise StudyError(
            "There are no synthetic data like this study's",
            expected="square grey images",
            hint="give public data of the same kind: --data PATH",
        )
    return dict(larger_hospitals(SYNTHETIC_SEED, size=height))
