"""Which models of this hospital may have learnt from a patient: its site's approvals, its data sets, its registry."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.values.errors import WardroundError

if TYPE_CHECKING:
    from wardround.registry.entries import ModelEntry
    from wardround.site.daemon.data_sets import DataSet
    from wardround.site.daemon.home import SiteHome
    from wardround.study.declaration import Study
    from wardround.wire.sealed import KeyCard


EVALUATION = "evaluation"


@dataclass(frozen=True)
class Learnt:
    """One study that this hospital decided about with a data set. part: train, validation, test; "none" where she is not in the
    data; "unread" where nobody looked or the data cannot be read; "evaluation" where the study trains nothing. models: SHA-256 of
    those in the registry."""

    study: str
    title: str
    data_set: str
    part: str
    models: tuple[str, ...]


def learnt_from(patient: str, site: Path, registry: Path, *, reads_data: bool) -> tuple[Learnt, ...]:
    """At this user's site. Nothing is made where there is none, or it has joined no hub."""
    if not (site / "hub.json").is_file():
        return ()
    from wardround.cli.site.homes import own_card, site_home

    home = site_home(site)
    return learnt_at(patient, home, own_card(home), registry, reads_data=reads_data)


def learnt_at(patient: str, home: "SiteHome", card: "KeyCard", registry: Path, *, reads_data: bool) -> tuple[Learnt, ...]:
    """Of every study that the site decided about with a data set. Reading the data of large studies takes minutes."""
    return tuple(_studies(patient, home, card, registry, reads_data=reads_data))


def _studies(patient: str, home: "SiteHome", card: "KeyCard", registry: Path, *, reads_data: bool) -> Iterator[Learnt]:
    from wardround.site.daemon.approvals import Decisions
    from wardround.site.daemon.data_sets import DataSets
    from wardround.site.daemon.offers import Offers

    sets, decisions = DataSets(home.data_file).all(), Decisions(home.studies, card.name, home.identity)
    models = _models(registry)
    for study_hash, offered in Offers(home, card).readable():
        decision = decisions.of(study_hash)
        if decision is None or isinstance(offered, str) or not decision.facts.data_set:
            continue
        name = decision.facts.data_set
        part = EVALUATION if offered.study.evaluates_only else "unread"
        if part == "unread" and reads_data and name in sets:
            part = _part(patient, offered.study, sets[name])
        made = () if part in ("none", "test", EVALUATION) else _descended(models, study_hash)
        yield Learnt(study_hash, offered.study.question.title, name, part, made)


def _part(patient: str, study: "Study", data_set: "DataSet") -> str:
    from wardround.sources import open_source
    from wardround.sources.excluded_patients import spelled_so, spellings_of
    from wardround.sources.mapping.sections import load_mapping

    mapping = None if data_set.mapping is None else load_mapping(data_set.mapping)
    try:
        records = open_source(data_set.data, study.data, private=study.privacy.private, mapping=mapping).load()
    except WardroundError:
        return "unread"
    hers = records.splits[spelled_so(records.patients, spellings_of(patient))]
    return str(hers[0]) if len(hers) else "none"


def _models(registry: Path) -> "tuple[ModelEntry, ...]":
    if not (registry / "registry.db").is_file():
        return ()
    from wardround.registry import open_registry

    with open_registry(registry) as opened:
        return opened.models()


def _descended(models: "tuple[ModelEntry, ...]", study_hash: str) -> tuple[str, ...]:
    """Those that the study made, and those that began from one of them, to the last."""
    learnt: set[str] = set()
    more = {one.sha256 for one in models if any(line.study_hash == study_hash for line in one.lineage)}
    while more - learnt:
        learnt |= more
        more = {one.sha256 for one in models if any(line.parent in learnt for line in one.lineage)}
    return tuple(sorted(learnt))
