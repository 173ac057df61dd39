"""Every hospital's own model on every hospital's patients, which only a simulation can try: it owns all the folders."""

from dataclasses import replace

from wardround.hub.coordinator import Coordinator
from wardround.hub.outcome import Outcome
from wardround.hub.run_folder import RunFolder
from wardround.plan.plan import own_label
from wardround.site.comparison import paired_differences
from wardround.site.work import own_file
from wardround.values.tensor_file import read_tensors


def score_own_models(coordinator: Coordinator, folder: RunFolder) -> None:
    """Every hospital's own model on every hospital's patients. Only a simulation can: it owns all the folders."""
    study = coordinator.study
    if not study.evaluation.own_baseline or study.keeps_heads:  # each answers a question of its own
        return
    for site in coordinator.progress.sites:
        path = folder.site(site) / f"{own_file(study.algorithm.rounds)}.safetensors"
        if path.exists():
            model, _ = read_tensors(path)
            coordinator.evaluate(own_label(site), coordinator.plan.trainable(model))


def compared(outcome: Outcome, folder: RunFolder) -> Outcome:
    """The outcome with each hospital's comparison of its own model with the federated one, on its own test patients."""
    paired = {
        site: paired_differences(folder.site(site), site, outcome.task, (own, outcome.threshold_at(site)))
        for site, own in outcome.own_models.items()
    }
    return replace(outcome, paired=paired)
