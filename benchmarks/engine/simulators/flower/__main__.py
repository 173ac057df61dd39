"""Flower's Python entry, `run_simulation` with the Ray backend.

Flower 1.41 calls it deprecated and recommends `flwr run`; it is leaner (no SuperLink, no app bundle), so it is
timed beside the recommended command.
"""

from __future__ import annotations

from flwr.simulation import run_simulation

from simulators.flower.apps import client, server
from simulators.job import current_job


def main() -> None:
    job = current_job()
    # One core per hospital: two hospitals train at once on two cores. Flower's default is two cores per hospital.
    backend = {"client_resources": {"num_cpus": job.cores_each, "num_gpus": 0.0}} if job.cores_each else None
    run_simulation(server_app=server, client_app=client, num_supernodes=len(job.hospitals), backend_config=backend)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
