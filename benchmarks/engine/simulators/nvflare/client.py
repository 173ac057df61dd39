"""A hospital under NVIDIA FLARE's Client API: receive, evaluate what came, train, send.

FLARE evaluates the received model before training, so ten rounds evaluate the models of rounds 0 to 9: as many
evaluations as in the other simulators, one round earlier. The first hospital writes down what it saw last.
"""

from __future__ import annotations

import json
from pathlib import Path

import nvflare.client as flare

from simulators.job import current_job, evaluate, train
from simulators.network import Network


def main() -> None:
    flare.init()
    job = current_job()
    hospital = int(flare.get_site_name().removeprefix("site-")) - 1
    network = Network(job.width)
    while flare.is_running():
        message = flare.receive()
        if message is None:
            break
        network.load_state_dict(message.params)
        _, loss, accuracy = evaluate(network, job, hospital)
        steps, _ = train(network, job, hospital, message.current_round + 1)
        sent = {name: value.cpu() for name, value in network.state_dict().items()}
        meta = {"NUM_STEPS_CURRENT_ROUND": steps}
        flare.send(flare.FLModel(params=sent, metrics={"accuracy": accuracy}, meta=meta))
        if hospital == 0:
            Path(job.out).write_text(json.dumps({"loss": loss, "accuracy": accuracy, "rounds": message.current_round + 1}))


if __name__ == "__main__":
    main()
