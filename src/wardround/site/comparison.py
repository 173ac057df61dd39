"""A hospital's own model against the federated one, on the same test patients: computed at the hospital, from their outputs.

    evaluate federated, evaluate own --outputs kept in the site's folder--> paired differences

Two intervals that overlap are no test; the difference itself is one. Nothing of it leaves unless the hospital releases it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.plan.plan import FEDERATED, own_label
from wardround.study.sections.evaluation import Decision
from wardround.tasks.protocol import PairedDifference, Task
from wardround.values.tensor_file import read_tensors
from wardround.values.tree import Tree


def outputs_file(label: str) -> str:
    """The name under which a site keeps what a model says of its test patients."""
    return f"outputs-{label}"


def kept_outputs(outputs: NDArray[Any], labels: NDArray[Any], fingerprint: str) -> Tree:
    """What a site keeps of a model's outputs (n, ...) on its test patients. fingerprint: of all of the site's records, so that
    another run's outputs can be told to be of the same ones."""
    return {"outputs": outputs, "labels": labels, "records": np.frombuffer(bytes.fromhex(fingerprint), np.uint8)}


def paired_differences(folder: Path, site: str, task: Task, decisions: tuple[Decision, Decision]) -> dict[str, PairedDifference]:
    """By figure, the federated model's less the own model's; empty where one of them was not tested here.

    folder: the site's. decisions: of the own and of the federated model.
    """
    paths = [folder / f"{outputs_file(label)}.safetensors" for label in (own_label(site), FEDERATED)]
    if not all(path.exists() for path in paths):
        return {}
    own, federated = (read_tensors(path)[0] for path in paths)
    return task.paired((own["outputs"], federated["outputs"]), own["labels"], decisions)
