"""Which models of this hospital may have learnt from a patient: its site's approvals, its data sets, its registry.

A clinic that is up asks in a process of its own: reading a study's data takes memory that its service must not, and the patient's
identifier goes over a pipe, since anybody on the machine reads a command's words.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from wardround.clinic.watch.withdrawal import Learnt
from wardround.values.errors import RunError, WardroundError

if TYPE_CHECKING:
    from wardround.registry.entries import ModelEntry
    from wardround.site.daemon.data_sets import DataSet
    from wardround.site.daemon.home import SiteHome
    from wardround.study.declaration import Study
    from wardround.wire.sealed import KeyCard


EVALUATION = "evaluation"


_ONE_AT_A_TIME = Lock()


def learnt_from(patient: str, site: Path, registry: Path, *, reads_data: bool) -> tuple[Learnt, ...]:
    """At this user's site. Nothing is made where there is none, or it has joined no hub."""
    if not (site / "hub.json").is_file():
        return ()
    from wardround.cli.site.homes import own_card, site_home

    home = site_home(site)
    return learnt_at(patient, home, own_card(home), registry, reads_data=reads_data)


def learnt_in_own_process(patient: str, site: Path, registry: Path, *, reads_data: bool) -> tuple[Learnt, ...]:
    """The same as `learnt_from`. RunError where it could not be found out; one at a time."""
    if not (site / "hub.json").is_file():
        return ()
    asked = {"patient": patient, "site": str(site), "registry": str(registry), "reads_data": reads_data}
    with _ONE_AT_A_TIME:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name], input=json.dumps(asked), capture_output=True, text=True, check=False
        )
    told: dict[str, Any] = (
        json.loads(done.stdout) if done.returncode == 0 else {"error": f"the process ended with {done.returncode}"}
    )
    if "error" in told:
        raise RunError(
            "It could not be found out which models learnt from this patient",
            found=str(told["error"])[:300],
            hint="a person who runs this machine asks again with: wardround clinic withdraw",
        )
    return tuple(Learnt(**{**one, "models": tuple(one["models"])}) for one in told["learnt"])


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


def main() -> None:
    """One question as JSON on stdin, its answer on stdout."""
    asked = json.load(sys.stdin)
    try:
        learnt = learnt_from(asked["patient"], Path(asked["site"]), Path(asked["registry"]), reads_data=asked["reads_data"])
        told: dict[str, Any] = {"learnt": [asdict(one) for one in learnt]}
    except WardroundError as error:
        told = {"error": error.what}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
