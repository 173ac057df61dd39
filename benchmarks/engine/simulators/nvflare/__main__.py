"""The job under NVIDIA FLARE: its FedAvg recipe for PyTorch in its simulation environment.

FLARE starts one process for each hospital that trains at once; by default that is all of them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv

from simulators.job import current_job, first_network


def main() -> None:
    job = current_job()
    folder = Path(job.out).parent
    first = folder / "nvflare_first.pt"
    torch.save(first_network(job).state_dict(), first)
    recipe = FedAvgRecipe(
        name="versus",
        model={"class_path": "simulators.network.Network", "args": {"width": job.width}},
        initial_ckpt=str(first),
        min_clients=len(job.hospitals),
        num_rounds=job.rounds,
        train_script=str(Path(__file__).parent / "client.py"),
    )
    workspace = str(folder / "nvflare_workspace")
    recipe.execute(SimEnv(num_clients=len(job.hospitals), num_threads=job.at_once or None, workspace_root=workspace))


if __name__ == "__main__":
    main()
