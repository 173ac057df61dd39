"""One study with several seeds: a run for each, and how far apart their figures are.

    seeds s, s+1, ... --a run each, in FOLDER/seed-S--> records --> Spread --> seeds.json

What a seed moves is what training leaves to chance. The patients are the same in every run: the spread says nothing of others.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wardround.evidence.comparing import FigureKey, NamedRun, figure_rows
from wardround.hub.artifacts import RECORD
from wardround.simulation.comparing import SEED_FOLDER, named_run, read_run
from wardround.study.declaration import Study
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError, StudyError

State = Literal["new", "begun", "finished"]
"""What a seed's folder holds of its run."""
FILE = "seeds.json"
MOST = 1000


@dataclass(frozen=True)
class Spread:
    """A figure over seeds. values: by seed, in their order; None where a run does not have it. The other fields are of those
    that have it. deviation: the standard deviation with n - 1; None of fewer than two."""

    values: tuple[float | None, ...]
    mean: float | None
    deviation: float | None
    smallest: float | None
    largest: float | None


@dataclass(frozen=True)
class SeedsOutcome:
    """Finished runs of one study with several seeds. runs: by seed, in their order."""

    folder: Path
    runs: Mapping[int, NamedRun]

    @property
    def spreads(self) -> dict[FigureKey, Spread]:
        """Every figure of any of the runs."""
        return spreads_of(list(self.runs.values()))

    def to_json(self) -> dict[str, Any]:
        """What `simulate --seeds N --json` prints, and seeds.json holds."""
        return {
            "run": str(self.folder),
            "seeds": list(self.runs),
            "runs": {str(seed): run.name for seed, run in self.runs.items()},
            "figures": [
                {**dict(zip(("model", "scope", "test_set", "figure"), key, strict=True)), **_spread_json(spread)}
                for key, spread in self.spreads.items()
            ],
        }


def over_seeds(
    study: Study, count: int, folder: Path, run_seed: Callable[[int, Path, State], object], *, resume: bool = False
) -> SeedsOutcome:
    """Runs the study with `count` seeds from its own on; a run that is finished is not run again.

    Parameters
    ----------
    study
        The study; its training.seed is the first seed.
    count
        How many seeds, from 2.
    folder
        Holds a run folder for each seed. New, unless `resume`.
    run_seed
        Runs one seed to its end: seed, its folder, and what is there. Of a finished one nothing is to be trained again.
    resume
        Go on with what is in the folder.

    Returns
    -------
    SeedsOutcome
        The runs by seed; seeds.json sums them up.

    Raises
    ------
    WardroundError
        RunError where the folder holds runs already, or those of another study; else whatever ended a run.
    """
    if not 2 <= count <= MOST:
        raise StudyError("A spread needs two seeds or more", expected=f"--seeds 2 to {MOST}", found=str(count))
    if study.evaluates_only:
        raise StudyError("Seeds move training, and this study trains nothing", hint="run it once: that has all figures")
    first = study.training.seed
    seeds = range(first, first + count)
    if not resume and (begun := [path.name for path in folder.glob(f"{SEED_FOLDER}*")]):
        raise RunError(
            f"{folder} holds runs already",
            found=", ".join(sorted(begun)[:5]),
            hint="go on with them with --resume, or choose another folder with --out",
        )
    runs = {}
    for seed in seeds:
        path = seed_folder(folder, seed)
        run_seed(seed, path, _state(study, seed, path))
        runs[seed] = named_run(path.name, path)
    outcome = SeedsOutcome(folder, runs)
    write_atomic(folder / FILE, canonical_json(outcome.to_json()))
    return outcome


def seed_folder(folder: Path, seed: int) -> Path:
    """Where the run with this seed lies."""
    return folder / f"{SEED_FOLDER}{seed}"


def spreads_of(runs: Sequence[NamedRun]) -> dict[FigureKey, Spread]:
    """Every figure that at least one of the runs has: pooled first, then at home."""
    rows = figure_rows(runs, [{} for _ in runs])
    return {row.key: spread_of(row.values) for row in rows}


def spread_of(values: Sequence[float | None]) -> Spread:
    """
    >>> spread_of([0.5, None, 1.0, 0.75])
    Spread(values=(0.5, None, 1.0, 0.75), mean=0.75, deviation=0.25, smallest=0.5, largest=1.0)
    """
    kept = [value for value in values if value is not None and math.isfinite(value)]
    if not kept:
        return Spread(tuple(values), None, None, None, None)
    deviation = statistics.stdev(kept) if len(kept) > 1 else None
    return Spread(tuple(values), statistics.fmean(kept), deviation, min(kept), max(kept))


def _state(study: Study, seed: int, folder: Path) -> State:
    """RunError where the folder holds a finished run of another study."""
    if not (folder / RECORD).is_file():
        return "begun" if folder.exists() else "new"
    record = read_run(folder)
    if record.study_hash != study.revised(training={"seed": seed}).hash:
        raise RunError(
            f"{folder} holds a run of another study",
            hint="resume with the same study file and settings, or choose another folder with --out",
        )
    return "begun" if record.finished is None else "finished"


def _spread_json(spread: Spread) -> dict[str, Any]:
    return {
        "mean": spread.mean,
        "deviation": spread.deviation,
        "smallest": spread.smallest,
        "largest": spread.largest,
        "values": list(spread.values),
    }
