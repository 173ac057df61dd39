"""Every hospital's own model on every hospital's patients, which only a simulation can try: it owns all the folders."""

from wardround.hub.coordinator import Coordinator
from wardround.hub.run_folder import RunFolder
from wardround.plan.plan import own_label
from wardround.site.work import own_file
from wardround.values.tensor_file import read_tensors


def score_own_models(coordinator: Coordinator, folder: RunFolder) -> None:
    """Every hospital's own model on every hospital's patients. Only a simulation can: it owns all the folders."""
    study = coordinator.study
    if not study.evaluation.own_baseline:
        return
    for site in coordinator.progress.sites:
        path = folder.site(site) / f"{own_file(study.algorithm.rounds)}.safetensors"
        if path.exists():
            model, _ = read_tensors(path)
            coordinator.evaluate(own_label(site), coordinator.plan.trainable(model))
