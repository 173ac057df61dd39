"""Molecules on MoleculeNet's small sets: partners together against all compounds in one place.

    python benchmarks/molecules/molecules.py                         all of them
    python benchmarks/molecules/molecules.py --only tox21 esol       some of them
    python benchmarks/molecules/molecules.py --validation            figures of validation compounds: to choose settings by
    python benchmarks/molecules/molecules.py --partners              then partners.py, one line for all: half an hour more

Scaffold: the largest scaffolds train, 80/10/10, as MoleculeNet divides (compounds without rings are one scaffold there). A study
cannot divide so, since whose scaffold is largest is known to nobody; it is done here so that figures can be compared. Random: by
compound. As in the figures that these stand beside, validation compounds are joined to train once the settings are chosen, and
the test compounds are looked at once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1]))  # what all benchmark rooms share

import wardround.tasks  # noqa: F401  so that a study of any kind of question is understood
from last_line import last_line
from wardround.simulation.division import divide_evenly
from wardround.simulation.secure_sum import secure_sum
from wardround.simulation.simulate import simulate
from wardround.sources.datasets.catalogue import find, suggested_contract_text, verified
from wardround.sources.opening import open_source
from wardround.sources.read_result import ReadResult
from wardround.sources.splitting import places_of
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.tasks.registry import task_of
from wardround.values.records import Records

PARTNERS = ("partner_a", "partner_b", "partner_c", "partner_d")
FILES = {
    "tox21": "tox21.csv",
    "bbbp": "BBBP.csv",
    "clintox": "clintox.csv",
    "esol": "ESOL_delaney-processed.csv",
    "freesolv": "FreeSolv_SAMPL.csv",
}
HEADLINES = {"tox21": "macro_auc", "bbbp": "auc", "clintox": "auc", "esol": "rmse", "freesolv": "rmse"}
INPUTS = {"data": {"molecule": {"values": "counts", "descriptors": True}}}
SETTINGS: Mapping[str, Mapping[str, dict[str, object]]] = {
    "tox21": {
        "network": {"name": "mlp", "hidden": [128]},
        "training": {"learning_rate": 0.1, "weight_decay": 0.001, "batch_size": 16},
        "algorithm": {"rounds": 20},
    },
    "bbbp": {
        "network": {"name": "mlp", "hidden": [128]},
        "training": {"learning_rate": 0.05, "weight_decay": 0.003, "batch_size": 8, "class_balance": False},
        "algorithm": {"rounds": 20},
    },
    "clintox": {
        "network": {"name": "mlp", "hidden": [128]},
        "training": {"learning_rate": 0.05, "weight_decay": 0.003, "batch_size": 8, "class_balance": False},
        "algorithm": {"rounds": 20},
    },
    "esol": {
        "network": {"name": "mlp", "hidden": [128, 32]},
        "training": {"learning_rate": 0.03, "weight_decay": 0.003, "batch_size": 8, "local_epochs": 2.0},
        "algorithm": {"rounds": 40},
    },
    "freesolv": {
        "network": {"name": "mlp", "hidden": [128, 32]},
        "training": {"learning_rate": 0.03, "weight_decay": 0.003, "batch_size": 8, "local_epochs": 2.0},
        "algorithm": {"rounds": 40},
    },
}
"""Chosen on validation compounds. Batches are of one partner: those of four together are the batch of the pooled training."""


RIDGE = 30.0


def study_of(name: str) -> Study:
    """The set's suggested contract with the settings above; partners of one salt are four hospitals."""
    head = 'format = 1\n[question]\ntitle = "MoleculeNet"\n[network]\nname = "logistic"\n[evaluation]\nown_baseline = false\n'
    return parse_study(f"{head}{suggested_contract_text(name)}").revised(**INPUTS).revised(**SETTINGS[name])


def read(name: str, study: Study) -> ReadResult:
    path = verified(find(name), name, FILES[name])
    _, read_result = open_source(path, study.data).look()
    assert read_result is not None
    return read_result


def largest_scaffolds_train(read_result: ReadResult) -> NDArray[np.str_]:
    """The split of each record (n,), 80/10/10. Of scaffolds of one size that which begins later in the file comes first, as in
    DeepChem: in BBBP the place in the file says much of the answer."""
    members: dict[str, list[int]] = defaultdict(list)
    for row in np.argsort(read_result.positions).tolist():
        group, compound = read_result.groups[row], read_result.patients[row]
        members["" if group == compound else str(group)].append(row)
    splits = np.full(len(read_result), "test", "<U10")
    done = 0
    first = {group: int(read_result.positions[rows[0]]) for group, rows in members.items()}
    for _, rows in sorted(members.items(), key=lambda entry: (len(entry[1]), first[entry[0]]), reverse=True):
        share = (done + len(rows)) / len(read_result)
        splits[rows] = "train" if share <= 0.8 else "validation" if share <= 0.9 else "test"
        done += len(rows)
    return splits


def at_random(read_result: ReadResult, salt: str) -> NDArray[np.str_]:
    """80/10/10 by compound."""
    places = places_of(read_result.patients.tolist(), salt)
    return np.array(("train", "validation", "test"), "<U10")[np.searchsorted((0.8, 0.9), places, side="right")]


def records_of(read_result: ReadResult, splits: NDArray[np.str_], *, validation: bool) -> Records:
    """validation: test compounds are left out; else validation compounds train."""
    records = Records(np.ascontiguousarray(read_result.inputs), read_result.labels, read_result.patients, splits)
    if validation:
        return records.select(np.flatnonzero(splits != "test"))
    joined = np.where(splits == "validation", "train", splits)
    return Records(records.inputs, records.labels, records.patients, joined)


def learned(study: Study, partners: Mapping[str, Records], headline: str, *, validation: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        record = simulate(study, partners, out=f"{folder}/run", register=False, workers=0).record
    shown = record.rounds[-1].validation if validation else record.pooled and record.pooled.federated
    assert shown
    return round(shown.values[headline] or float("nan"), 4)


def ridge(train: Records, test: Records, partners: Mapping[str, Records], penalty: float) -> tuple[float, float]:
    """RMSE on `test` of a ridge regression by one masked sum of products, and of that on all rows in one place."""

    def products(records: Records) -> NDArray[np.float64]:
        rows = np.column_stack([records.inputs, np.ones(len(records)), records.labels]).astype(np.float64)
        return np.asarray((rows.T @ rows)[np.triu_indices(rows.shape[1])])

    summed = secure_sum({name: products(part) for name, part in partners.items()}, bound=2.0**17)["values"]
    return _error(summed, test, penalty), _error(products(train), test, penalty)


def _error(summed: NDArray[np.float64], test: Records, penalty: float) -> float:
    size = test.inputs.shape[1] + 2
    whole = np.zeros((size, size))
    whole[np.triu_indices(size)] = summed
    whole = whole + np.triu(whole, 1).T
    ridged = whole[:-1, :-1] + np.diag([penalty] * (size - 2) + [0.0])
    weights = np.linalg.solve(ridged, whole[:-1, -1])
    said = np.column_stack([test.inputs, np.ones(len(test))]).astype(np.float64) @ weights
    return round(float(np.sqrt(np.mean((said - test.labels) ** 2))), 4)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=sorted(FILES), nargs="+", default=list(FILES))
    parser.add_argument("--validation", action="store_true", help="figures of validation compounds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--partners", action="store_true", help="run partners.py too, its figures in the same line")
    chosen = parser.parse_args()
    result: dict[str, object] = {}
    for name in chosen.only:
        study = study_of(name).revised(training={"seed": chosen.seed})
        batch = {"batch_size": study.training.batch_size * len(PARTNERS)}
        pooled = study.revised(sites={"minimum": 1}, summation={"mode": "plain"}, training=batch)
        read_result = read(name, study)
        divisions = {"scaffold": largest_scaffolds_train(read_result)}
        if name == "tox21" and not chosen.validation:
            divisions["random"] = at_random(read_result, f"random {chosen.seed}")
        for division, splits in divisions.items():
            records = records_of(read_result, splits, validation=chosen.validation)
            groups = task_of(study).strata(records.labels)
            partners = divide_evenly(records, PARTNERS, groups, seed=chosen.seed)
            key = f"{name}_{division}_{'rmse' if HEADLINES[name] == 'rmse' else 'auc'}"
            result[key] = learned(study, partners, HEADLINES[name], validation=chosen.validation)
            if division == "scaffold":
                result[f"{key}_pooled"] = learned(pooled, {"all": records}, HEADLINES[name], validation=chosen.validation)
            if name in ("esol", "freesolv") and not chosen.validation:
                train, test = records.where("train"), records.where("test")
                parts = {partner: part.where("train") for partner, part in partners.items()}
                by_sums, together = ridge(train, test, parts, RIDGE)
                result |= {f"{key}_ridge": by_sums, f"{key}_ridge_pooled": together}
            print({one: figure for one, figure in result.items() if one.startswith(key)}, flush=True)
    if "tox21_scaffold_auc_pooled" in result:
        federated, together = (float(str(result[f"tox21_scaffold_auc{end}"])) for end in ("", "_pooled"))
        result["tox21_federated_less_pooled"] = round(federated - together, 4)
    print(last_line({**result, **(private_partners() if chosen.partners else {})}, chosen.seed))


def private_partners() -> dict[str, float]:
    """What partners with private assays gain, on tox21."""
    program, data = Path(__file__).with_name("partners.py"), verified(find("tox21"), "tox21", FILES["tox21"])
    printed = subprocess.run([sys.executable, program, "--data", data], check=True, stdout=subprocess.PIPE, text=True).stdout
    line = json.loads(printed.splitlines()[-1])
    return {key: line[key] for key in ("partners_gain_over_own", "partners_gain_over_logistic", "partners_better")}


if __name__ == "__main__":
    main()
