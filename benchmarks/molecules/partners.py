"""Private heads on tox21: four partners with three private assays each, compounds divided by scaffold, a scaffold-disjoint test.

    python benchmarks/molecules/partners.py --data tox21.csv.gz                   five divisions, the test scored once
    python benchmarks/molecules/partners.py --data tox21.csv.gz --validation 2    two other divisions, validation alone: to choose
    python benchmarks/molecules/partners.py --data tox21.csv.gz --set algorithm.rounds=40

Each division draws anew which scaffolds are for test, which partner has which of the others, and which three assays it runs.
Every partner is tested on all test compounds that its assays were measured on. Held against it: its own network (the same, of its
own records alone, as many passes), its own logistic regressions (one an assay, C chosen on its validation compounds, then fitted
on training and validation compounds together, which is more than the networks learn from), and one network of all partners'
compounds and labels in one place. The last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

import wardround.tasks  # noqa: F401  so that a study of any kind of question is understood
from last_line import last_line
from wardround.plan.network_view import outputs_for
from wardround.plan.plan import FEDERATED, Plan, own_label
from wardround.simulation.division import homes_of
from wardround.simulation.simulate import simulate
from wardround.sources import open_source
from wardround.sources.splitting import assign_splits
from wardround.study.assignments import assigned
from wardround.study.declaration import Study
from wardround.study.own_task import at_home, parse_own_task
from wardround.study.reading import load_study
from wardround.tasks.findings import FindingsTask
from wardround.tasks.findings.label import codes_of, truths_of
from wardround.tasks.protocol import read_sums
from wardround.tasks.shared.score_stack import BLANK
from wardround.tasks.sums import counts_of_json
from wardround.values.records import Records
from wardround.values.tensor_file import read_tensors

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "assay_partners.toml"
ASSAYS = (
    "NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD", "NR-PPAR-gamma", "SR-ARE", "SR-ATAD5", "SR-HSE",
    "SR-MMP", "SR-p53",
)  # fmt: skip
PARTNERS = ("ash", "birch", "cedar", "elm")
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
FIRST_CHOOSING = 1000
"""Divisions from here on are for choosing settings; those before are for the test."""
Truths = NDArray[np.int64]


@dataclass(frozen=True)
class Compounds:
    """The whole table. truths (n, 12): 1, 0 or BLANK. scaffolds (n,)."""

    records: Records
    truths: Truths
    scaffolds: NDArray[np.str_]


def task_text(assays: Sequence[str]) -> str:
    each = ", ".join(f'{{ name = "{one}", column = "{one}" }}' for one in assays)
    return f'[label]\nname = "assays"\n[task]\nkind = "findings"\nfindings = [{each}]\n'


def read(path: Path, study: Study) -> Compounds:
    home = at_home(study, parse_own_task(task_text(ASSAYS)))
    records, scaffolds = open_source(path, home.data).load_with_units()
    return Compounds(records, truths_of(records.labels, len(ASSAYS)), scaffolds)


@dataclass(frozen=True)
class Division:
    """split, home (n,): of each compound. columns: partner -> its three assays."""

    number: int
    split: NDArray[np.str_]
    home: NDArray[np.str_]
    columns: Mapping[str, NDArray[np.intp]]


def divided(compounds: Compounds, study: Study, number: int) -> Division:
    rules = study.data.splits.changed(salt=f"division {number}")
    split = assign_splits(compounds.records.patients, np.array([]), rules, compounds.scaffolds)
    home = homes_of(compounds.scaffolds, dict.fromkeys(PARTNERS, 1.0), seed=number)
    drawn = np.random.default_rng(number).permutation(len(ASSAYS)).reshape(len(PARTNERS), -1)
    return Division(number, split, home, dict(zip(PARTNERS, drawn, strict=True)))


def part(compounds: Compounds, division: Division, rows: NDArray[np.bool_], truths: Truths) -> Records:
    records = compounds.records
    return Records(records.inputs[rows], codes_of(truths[rows]), records.patients[rows], division.split[rows])


def rows_of(division: Division, partner: str) -> NDArray[np.bool_]:
    """A partner's own compounds, and all those of the test."""
    return np.asarray((division.home == partner) | (division.split == "test"))


def mean_auc(truths: Truths, scores: NDArray[np.floating]) -> float:
    """Over assays with both sides."""
    areas = []
    for truth, score in zip(truths.T, scores.T, strict=True):
        told = truth != BLANK
        if len(np.unique(truth[told])) == 2:
            areas.append(float(roc_auc_score(truth[told], score[told])))
    return statistics.fmean(areas)


def together(study: Study, compounds: Compounds, division: Division, judged: str) -> dict[str, dict[str, float]]:
    """Mean AUC by model and partner, of the partners' run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sites, tasks = {}, {}
        for partner, columns in division.columns.items():
            sites[partner] = part(compounds, division, rows_of(division, partner), compounds.truths[:, columns])
            tasks[partner] = folder / f"{partner}.toml"
            tasks[partner].write_text(task_text([ASSAYS[column] for column in columns]), "utf-8")
        run = simulate(study, sites, tasks=tasks, out=folder / "run", register=False, workers=0)
        reports = {partner: run.folder / "sites" / partner for partner in PARTNERS}
        figures: dict[str, dict[str, float]] = {"own": {}, "partners": {}, "before refitting": {}}
        for partner, at in reports.items():
            for model, label in (("own", own_label(partner)), ("partners", FEDERATED), ("before refitting", "averaged")):
                figures[model][partner] = _auc_at(at, label, partner, division, judged)
    return figures


def _auc_at(folder: Path, label: str, partner: str, division: Division, judged: str) -> float:
    """On test, from the outputs that the partner kept; on validation, from its report's sums."""
    if judged == "test":
        kept = read_tensors(folder / f"outputs-{label}.safetensors")[0]
        return mean_auc(truths_of(kept["labels"], 3), kept["outputs"])
    report = json.loads((folder / "report.json").read_bytes())
    task = FindingsTask(parse_own_task(task_text([ASSAYS[column] for column in division.columns[partner]])).label)
    return task.score(read_sums(task, counts_of_json(report["evaluations"][label]["validation"])))


def pooled(study: Study, compounds: Compounds, division: Division) -> dict[str, float]:
    """One network of all compounds in one place, each with the labels that its partner has."""
    truths = compounds.truths.copy()
    for partner, columns in division.columns.items():
        theirs = (division.home == partner) & (division.split != "test")
        others = np.setdiff1d(np.arange(len(ASSAYS)), columns)
        truths[np.ix_(theirs, others)] = BLANK
    records = part(compounds, division, np.ones(len(truths), bool), truths)
    home = at_home(study, parse_own_task(task_text(ASSAYS))).revised(
        network={"private": None}, training={"head_passes": 10}, evaluation={"own_baseline": False}, sites={"minimum": 1},
        summation={"mode": "plain"},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        run = simulate(home, {"all": records}, out=Path(name) / "run", register=False, workers=0)
        outputs, tested = outputs_for(run.model, records.where("test"), Plan(home), "cpu")
    answers = truths_of(tested.labels, len(ASSAYS))
    return {partner: mean_auc(answers[:, columns], outputs[:, columns]) for partner, columns in division.columns.items()}


def logistic(compounds: Compounds, division: Division, judged: str) -> dict[str, float]:
    """One regression an assay, of the partner's own compounds."""
    inputs, figures = csr_matrix(compounds.records.inputs.astype(np.float64)), {}
    for partner, columns in division.columns.items():
        mine = division.home == partner
        scored = np.flatnonzero(division.split == "test" if judged == "test" else mine & (division.split == "validation"))
        scores = np.zeros((len(scored), len(columns)))
        for position, column in enumerate(columns):
            truth = compounds.truths[:, column]
            train, validation = (np.flatnonzero(mine & (division.split == s) & (truth != BLANK)) for s in ("train", "validation"))
            fits = [LogisticRegression(C=c, solver="liblinear").fit(inputs[train], truth[train]) for c in STRENGTHS]
            both = len(np.unique(truth[validation])) == 2
            areas = [roc_auc_score(truth[validation], fit.decision_function(inputs[validation])) if both else 0.0 for fit in fits]
            best = STRENGTHS[int(np.argmax(areas))] if both else 0.1
            rows = np.concatenate([train, validation]) if judged == "test" else train
            fit = LogisticRegression(C=best, solver="liblinear").fit(inputs[rows], truth[rows])
            scores[:, position] = fit.decision_function(inputs[scored])
        figures[partner] = mean_auc(compounds.truths[scored][:, columns], scores)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="tox21.csv.gz of MoleculeNet")
    parser.add_argument("--divisions", type=int, default=5)
    parser.add_argument("--validation", type=int, default=0, help="so many other divisions, validation figures alone")
    parser.add_argument("--set", action="append", default=[], help="SECTION.SETTING=VALUE of the study")
    options = parser.parse_args()
    study = load_study(EXAMPLE).revised(summation={"mode": "plain"})  # the same bits as masked, in less time
    if options.set:
        study = study.revised(**assigned(options.set))
    judged = "validation" if options.validation else "test"
    numbers = range(FIRST_CHOOSING, FIRST_CHOOSING + options.validation) if options.validation else range(options.divisions)
    compounds = read(options.data, study)
    lines: list[dict[str, dict[str, float]]] = []
    for number in numbers:
        division = divided(compounds, study, number)
        figures = together(study, compounds, division, judged)
        figures["logistic"] = logistic(compounds, division, judged)
        figures["pooled"] = pooled(study, compounds, division) if judged == "test" else {}
        lines.append(figures)
        means = {model: round(statistics.fmean(one.values()), 4) for model, one in figures.items() if one}
        sizes = {partner: int(((division.home == partner) & (division.split == "train")).sum()) for partner in PARTNERS}
        print(f"division {number}: {means}; training compounds {sizes}; test {(division.split == 'test').sum()}", flush=True)
    told = {
        model: statistics.fmean(statistics.fmean(line[model].values()) for line in lines) for model in lines[0] if lines[0][model]
    }
    better = [line["partners"][partner] > line["own"][partner] for line in lines for partner in PARTNERS]
    result: dict[str, object] = {
        "judged_on": judged,
        "divisions": len(lines),
        "partners_auc": round(told["partners"], 4),
        "partners_before_refitting": round(told["before refitting"], 4),
        "own_auc": round(told["own"], 4),
        "logistic_auc": round(told["logistic"], 4),
        "partners_gain_over_own": round(told["partners"] - told["own"], 4),
        "partners_gain_over_logistic": round(told["partners"] - told["logistic"], 4),
        "partners_better": round(sum(better) / len(better), 3),
        "settings": options.set,
    }
    if "pooled" in told:
        result["pooled_auc"] = round(told["pooled"], 4)
        result["share_of_what_pooling_gains"] = round((told["partners"] - told["own"]) / (told["pooled"] - told["own"]), 3)
    print(last_line(result, list(numbers)))


if __name__ == "__main__":
    main()
