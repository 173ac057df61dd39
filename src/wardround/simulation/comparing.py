"""Finished runs of this machine, read for a comparison: their records, and what their hospitals kept of single test patients.

Only a simulation's folder holds the latter. A difference is paired where both runs kept the outputs of the same records: the
fingerprint of a hospital's records stands beside its outputs.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from wardround.evidence.comparing import FigureKey, NamedRun
from wardround.hub.artifacts import LEFT_OUT, RECORD
from wardround.plan.plan import FEDERATED, own_label
from wardround.site.comparison import outputs_file
from wardround.study.record.left_out_record import Turns, left_outs_at
from wardround.study.record.run_record import Evaluation, RunRecord
from wardround.study.sections.evaluation import Decision
from wardround.tasks.protocol import PairedDifference, Task
from wardround.tasks.registry import task_of_record
from wardround.values.errors import RunError
from wardround.values.tensor_file import read_tensors
from wardround.values.tree import Tree

SEED_FOLDER = "seed-"
"""How the folder of a run begins that is one of several seeds; the seed follows."""


def read_run(folder: Path) -> RunRecord:
    """The record of a finished training or evaluation. RunError where there is none."""
    if (folder / "results.json").is_file():
        raise RunError(
            f"{folder} holds the tables of an analysis, and no model that was trained",
            hint=f"open its own page, {folder / 'report.html'}",
        )
    return _record_in(folder)


def fitted_run(folder: Path) -> RunRecord | None:
    """The record of a regression that is a model; None where the folder holds another run, or none."""
    return _record_in(folder) if (folder / "results.json").is_file() and (folder / RECORD).is_file() else None


def _record_in(folder: Path) -> RunRecord:
    path = folder / RECORD
    if not path.is_file():
        raise RunError(
            f"{folder} holds no finished run",
            expected=RECORD,
            hint="finish it with the same command and --resume, or check the path",
        )
    return RunRecord.from_json(path.read_bytes(), name=str(path))


def named_run(name: str, folder: Path) -> NamedRun:
    """The finished run in a folder, with what it holds of leaving hospitals out."""
    record = read_run(folder)
    return NamedRun(name, record, left_out_of(record, folder))


def left_out_of(record: RunRecord, folder: Path) -> Turns:
    """What a run's folder holds of leaving hospitals out; nothing where none was."""
    return left_outs_at(folder / LEFT_OUT, record.run_id).sites


def runs_in(folders: Sequence[Path]) -> list[Path]:
    """The run folders that are meant: in place of a folder of several seeds, its run for each seed in order."""
    return [run for folder in folders for run in (_seeds_in(folder) or [folder])]


def _seeds_in(folder: Path) -> list[Path]:
    """Empty for a run folder, and for whatever else holds no runs of seeds."""
    if (folder / RECORD).is_file():
        return []
    numbered = {path.name.removeprefix(SEED_FOLDER): path for path in folder.glob(f"{SEED_FOLDER}*")}
    return [numbered[seed] for seed in sorted((one for one in numbered if one.isdecimal()), key=int)]


def named_runs(folders: Sequence[Path]) -> tuple[NamedRun, ...]:
    """The runs by the names of their folders, or by their paths where two folders have one name."""
    short = [folder.resolve().name for folder in folders]
    names = short if len(set(short)) == len(short) else [str(folder) for folder in folders]
    return tuple(named_run(name, folder) for name, folder in zip(names, folders, strict=True))


def paired_with_first(folders: Sequence[Path], runs: Sequence[NamedRun]) -> list[dict[FigureKey, PairedDifference]]:
    """For each run, its paired differences from the first one: at each hospital, and of all hospitals together."""
    task = task_of_record(runs[0].record.study_toml)
    first = runs[0].record
    return [dict(_paired(folders[0], first, folder, run.record, task)) for folder, run in zip(folders, runs, strict=True)]


def _paired(
    first_folder: Path, first: RunRecord, second_folder: Path, second: RunRecord, task: Task
) -> Iterator[tuple[FigureKey, PairedDifference]]:
    decisions = _decision(first), _decision(second)
    shared: dict[str, tuple[Tree, Tree]] = {}
    for site in (name for name in first.sites if name in second.sites):
        if both := _same_patients(first_folder, second_folder, site, FEDERATED):
            shared[site] = both
            home = _decision_at(first, site), _decision_at(second, site)
            yield from _keyed((FEDERATED, "site", site), _compared(task, [both], home))
        if both := _same_patients(first_folder, second_folder, site, own_label(site)):
            own = own_decision(first, site), own_decision(second, site)
            yield from _keyed((site, "site", site), _compared(task, [both], own))
    if shared and set(shared) == set(first.took_part) == set(second.took_part):
        yield from _keyed((FEDERATED, "pooled", ""), _compared(task, list(shared.values()), decisions))


def _keyed(
    key: tuple[str, str, str], differences: Mapping[str, PairedDifference]
) -> Iterator[tuple[FigureKey, PairedDifference]]:
    yield from (((*key, figure), one) for figure, one in differences.items())


def _same_patients(first: Path, second: Path, site: str, label: str) -> tuple[Tree, Tree] | None:
    """What both runs kept of a model at a hospital; None where they did not, or not of the same records."""
    paths = [folder / "sites" / site / f"{outputs_file(label)}.safetensors" for folder in (first, second)]
    if not all(path.is_file() for path in paths):
        return None
    ours, theirs = (read_tensors(path)[0] for path in paths)
    alike = all(name in ours and name in theirs and np.array_equal(ours[name], theirs[name]) for name in ("records", "labels"))
    return (ours, theirs) if alike else None


def _compared(task: Task, both: Sequence[tuple[Tree, Tree]], decisions: tuple[Decision, Decision]) -> dict[str, PairedDifference]:
    first, second = (np.concatenate([pair[k]["outputs"] for pair in both]) for k in (0, 1))
    return task.paired((first, second), np.concatenate([pair[0]["labels"] for pair in both]), decisions)


def _decision(record: RunRecord) -> Decision:
    return record.decision


def _decision_at(record: RunRecord, site: str) -> Decision:
    """The decision of the federated model at a hospital, which may have its own."""
    return _stated(record, record.sites[site].federated)


def own_decision(record: RunRecord, site: str) -> Decision:
    """The decision of a hospital's own model, as its figures say it."""
    return _stated(record, record.sites[site].own)


def _stated(record: RunRecord, evaluation: Evaluation | None) -> Decision:
    return None if evaluation is None else task_of_record(record.study_toml).words.decision_in(evaluation.values)
