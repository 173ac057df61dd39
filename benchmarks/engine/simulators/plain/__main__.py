"""Federated averaging by hand: copy the weights, train each hospital in turn, average by examples, evaluate."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from torch import Tensor

from simulators.job import Job, current_job, evaluate, examples, first_network, train
from simulators.network import Network


def main() -> None:
    job = current_job()
    network = first_network(job)
    for path in job.hospitals:
        examples(path, "train")
    started = time.perf_counter()
    for round_number in range(1, job.rounds + 1):
        loss, accuracy = one_round(network, job, round_number)
        print(f"round {round_number}: validation loss {loss:.5f}, accuracy {accuracy:.4f}", flush=True)
    if job.final_test:
        loss, accuracy = pooled(network, job, "test")
    seconds = time.perf_counter() - started
    Path(job.out).write_text(json.dumps({"loss": loss, "accuracy": accuracy, "training_seconds": seconds}))


def one_round(network: Network, job: Job, round_number: int) -> tuple[float, float]:
    """The network becomes the mean of the hospitals' trained copies, weighted by examples -> validation loss, accuracy."""
    start = {name: value.clone() for name, value in network.state_dict().items()}
    mean: dict[str, Tensor] = {name: torch.zeros_like(value) for name, value in start.items()}
    total = sum(len(examples(path, "train")[1]) for path in job.hospitals)
    for hospital in range(len(job.hospitals)):
        network.load_state_dict(start)
        count, _ = train(network, job, hospital, round_number)
        for name, value in network.state_dict().items():
            mean[name] += value * (count / total)
    network.load_state_dict(mean)
    return pooled(network, job, "validation")


def pooled(network: Network, job: Job, split: str) -> tuple[float, float]:
    """Mean loss and accuracy over the hospitals' examples of a split."""
    evaluations = [evaluate(network, job, hospital, split) for hospital in range(len(job.hospitals))]
    seen = sum(count for count, _, _ in evaluations)
    return sum(n * loss for n, loss, _ in evaluations) / seen, sum(n * accuracy for n, _, accuracy in evaluations) / seen


if __name__ == "__main__":
    main()
