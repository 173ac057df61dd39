"""What every run over hospitals of this machine begins with: settings, names and keys, where each hospital sits."""

from contextlib import closing
from pathlib import Path

from wardround.hub.run_folder import RunFolder
from wardround.simulation.hospitals import Hospitals, outside_of
from wardround.simulation.ledgers import Ledgers
from wardround.site.config import SiteConfig, identity_in
from wardround.site.store import STATE, SiteStore
from wardround.study.declaration import Study
from wardround.study.run_settings import RunSettings, load_run, settings_beside
from wardround.values.cores import usable_cores
from wardround.values.errors import StudyError


def settings_of(run: RunSettings | str | Path | None, study: Study | str | Path, study_folder: Path | None) -> RunSettings:
    """The settings that the caller gave, or named, or wrote beside the study."""
    if isinstance(run, RunSettings):
        return run.starting_in(study_folder or Path())
    if run is not None:
        return load_run(run)
    return RunSettings() if isinstance(study, Study) else settings_beside(study)


def enrolled_at(study: Study, hospitals: Hospitals, folder: RunFolder) -> Study:
    """The study as the simulated hospitals approve it: with their names and identity keys, which this machine makes for them."""
    if study.summation.mode == "plain":
        return study
    _ = study.quorum_of(hospitals)  # too few hospitals to hide one another are refused before any of them is started
    keys = {str(name): identity_in(folder.site(name)).public for name in sorted(hospitals)}
    return study.revised(sites={"names": tuple(keys), "keys": keys})


def with_epsilon(study: Study, epsilon: float) -> Study:
    """The private study at another epsilon. StudyError where it is none."""
    if not study.privacy.private:
        raise StudyError(
            "An epsilon needs a private study", found='privacy.mode = "none"', hint="give the study a [privacy] mode"
        )
    return study.with_privacy(epsilon=epsilon, noise_multiplier=None)


def site_configs_of(
    folder: RunFolder, study: Study, hospitals: Hospitals, at_once: int, ledgers: Ledgers, device: str
) -> list[SiteConfig]:
    """Hospitals side by side share the cores: threads of one would only stand in the way of the next."""
    outside, plan = outside_of(folder.external), folder.plan
    threads = max(1, usable_cores() // min(at_once, len(hospitals))) if at_once > 1 else 0
    return [
        SiteConfig(
            name,
            study,
            hospital.path,
            folder.site(name),
            device=device,
            threads=threads,
            prepared=hospital.prepared,
            mapping=hospital.mapping,
            mapping_sha256=hospital.mapping_sha256,
            task=hospital.task,
            task_sha256=hospital.task_sha256,
            ledger=ledgers.path_of(name),
            ledger_witness=ledgers.witness_of(name),
            outside=outside if outside.exists() else None,
            counter=folder.counter(name),
            run="" if plan is None else plan.run_id,
            synthetic=plan is not None and plan.synthetic,
        )
        for name, hospital in sorted(hospitals.items())
    ]


def is_drawn(study: Study, sites: object, data: object) -> bool:
    """Whether the records of a run are drawn by a program, of no patient: the study names such a data set, and nobody gave
    another."""
    from wardround.sources.datasets.catalogue import entry

    named = study.data.dataset
    return named is not None and not sites and data is None and entry(named).drawn


def let_go_on(site_configs: list[SiteConfig]) -> None:
    """Whoever runs a simulation again is the person at each of its hospitals who has looked why it stopped."""
    for config in site_configs:
        if (config.folder / STATE).exists():
            with closing(SiteStore(config.folder, config.counter)) as store:
                store.go_on()


def default_folder(study: Study) -> Path:
    """runs/TITLE-HASH, so that another study never lands in the same folder."""
    words = "".join(c.lower() if c.isascii() and c.isalnum() else "-" for c in study.question.title)
    return Path("runs") / f"{'-'.join(filter(None, words.split('-')))[:40].strip('-')}-{study.hash[:8]}"


def default_workers(sites: int) -> int:
    """All sites at once where there are at least two cores, up to four a core; they share the cores evenly."""
    cores = usable_cores()
    return 0 if cores < 2 else min(sites, 4 * cores)
