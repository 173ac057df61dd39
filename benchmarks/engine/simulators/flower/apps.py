"""The job as Flower's two apps: a ServerApp with the FedAvg strategy, and the ClientApp of a hospital."""

from __future__ import annotations

import json
from pathlib import Path

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from simulators.job import current_job, evaluate, first_network, train
from simulators.network import Network

client = ClientApp()
server = ServerApp()


def received(message: Message) -> Network:
    network = Network(current_job().width)
    network.load_state_dict(message.content["arrays"].to_torch_state_dict())  # type: ignore[union-attr]
    return network


def hospital_of(context: Context) -> int:
    return int(context.node_config["partition-id"])


@client.train()
def train_here(message: Message, context: Context) -> Message:
    network = received(message)
    round_number = int(message.content["config"]["server-round"])  # type: ignore[arg-type]
    examples, loss = train(network, current_job(), hospital_of(context), round_number)
    metrics = MetricRecord({"loss": loss, "num-examples": examples})
    content = RecordDict({"arrays": ArrayRecord(network.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=message)


@client.evaluate()
def evaluate_here(message: Message, context: Context) -> Message:
    examples, loss, accuracy = evaluate(received(message), current_job(), hospital_of(context))
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": examples})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)


@server.main()
def serve(grid: Grid, context: Context) -> None:  # noqa: ARG001 - Flower passes it by name
    job = current_job()
    everyone = len(job.hospitals)
    strategy = FedAvg(min_train_nodes=everyone, min_evaluate_nodes=everyone, min_available_nodes=everyone)
    arrays = ArrayRecord(first_network(job).state_dict())
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=job.rounds)
    last = result.evaluate_metrics_clientapp[job.rounds]
    Path(job.out).write_text(json.dumps({"loss": last["loss"], "accuracy": last["accuracy"]}))
