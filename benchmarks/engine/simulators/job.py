"""What every simulator is asked to do: the settings, a hospital's data, its local training and its evaluation.

The functions here are called by each simulator's own client, so that only the simulator differs. The order of
the batches is seeded by hospital and round: every simulator, and the plain loop, ends with the same model up to
the order of floating-point sums.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from simulators.network import Network, starting_network

JOB_VARIABLE = "WARDROUND_BENCHMARK_JOB"


@dataclass(frozen=True)
class Job:
    """One federated training. `threads`: torch threads in a training process, 0 leaves torch's default alone."""

    hospitals: tuple[str, ...]
    """One npz per hospital: images (n, h, w) uint8, labels (n,), patients (n,), splits (n,) of train/validation/test."""
    out: str
    """Where the final figures are written (JSON)."""
    rounds: int
    local_epochs: int
    batch_size: int
    learning_rate: float
    width: int
    seed: int
    threads: int = 0
    final_test: bool = False
    """Plain loop: also score the final model on every hospital's test patients, as `wardround simulate` does."""
    cores_each: int = 0
    """Flower: cores it counts for each hospital; 0 is its default, two."""
    at_once: int = 0
    """NVIDIA FLARE: hospitals that train at once; 0 is its default, all."""

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def current_job() -> Job:
    """The job that the command's environment names; also sets torch's threads, once per process."""
    job = _read(os.environ[JOB_VARIABLE])
    if job.threads:
        torch.set_num_threads(job.threads)
    return job


@lru_cache(maxsize=1)
def _read(path: str) -> Job:
    fields = json.loads(Path(path).read_text())
    fields["hospitals"] = tuple(fields["hospitals"])
    return Job(**fields)


@lru_cache(maxsize=8)
def examples(path: str, split: str) -> tuple[Tensor, Tensor]:
    """(n, 1, h, w) uint8 pixels and (n,) float labels of one split; read once per process."""
    with np.load(path, allow_pickle=False) as arrays:
        chosen = arrays["splits"] == split
        images, labels = arrays["images"][chosen], arrays["labels"][chosen]
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.reshape(-1).astype(np.float32))


def first_network(job: Job) -> Network:
    """The model of round 0, the same in every simulator."""
    return starting_network(job.width, job.seed)


def train(network: Network, job: Job, hospital: int, round_number: int) -> tuple[int, float]:
    """Local epochs of AdamW over the hospital's train split, in place -> (examples, mean loss)."""
    images, labels = examples(job.hospitals[hospital], "train")
    order = torch.Generator().manual_seed(hash((job.seed, hospital, round_number)) % 2**63)
    optimiser = torch.optim.AdamW(network.parameters(), lr=job.learning_rate, weight_decay=0.0)
    network.train()
    total, count = 0.0, 0
    for _ in range(job.local_epochs):
        for batch in torch.randperm(len(labels), generator=order).split(job.batch_size):
            optimiser.zero_grad()
            loss = binary_cross_entropy_with_logits(network(images[batch].float() / 255), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, count = total + float(loss.detach()) * len(batch), count + len(batch)
    return len(labels), total / count


def evaluate(network: Network, job: Job, hospital: int, split: str = "validation") -> tuple[int, float, float]:
    """(examples, mean loss, accuracy at 0.5) on one split of the hospital."""
    images, labels = examples(job.hospitals[hospital], split)
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(part.float() / 255) for part in images.split(256)])
    loss = float(binary_cross_entropy_with_logits(logits, labels))
    return len(labels), loss, float(((logits > 0) == (labels > 0.5)).float().mean())
