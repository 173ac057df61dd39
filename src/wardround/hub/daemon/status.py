"""How a hub stands, as one JSON value: what the dashboard shows, and what `wardround hub status --json` prints.

No figure of one hospital is in it: of a hospital the hub tells its words, times and approval.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from wardround.hub.daemon.home import HubHome
from wardround.hub.daemon.studies import StudyFolder
from wardround.hub.daemon.study_state import SiteStanding, StudyState, now_ms
from wardround.values.errors import WardroundError
from wardround.values.ids import SiteId
from wardround.values.version import __version__


class Member(Protocol):
    """A hospital in the roster, in whatever state. words: the eight that are compared."""

    @property
    def name(self) -> SiteId: ...

    @property
    def state(self) -> str: ...

    @property
    def words(self) -> str: ...


@dataclass(frozen=True)
class Lines:
    """How the lines to the hospitals stand: when each was heard of last, in seconds since 1970, and how far its clock is ahead of
    this machine's, in seconds."""

    last_seen: Mapping[SiteId, float] = field(default_factory=dict)
    clocks: Mapping[SiteId, float] = field(default_factory=dict)


def hub_view(
    home: HubHome,
    members: Iterable[Member],
    studies: Iterable[tuple[StudyFolder, StudyState]],
    *,
    lines: Lines,
    damaged: Mapping[str, str],
    up: bool,
) -> dict[str, Any]:
    """Everything that is shown of a hub. damaged: studies whose folder cannot be read, and why."""
    listed = list(studies)
    releases = {site: one.release for _, state in listed for site, one in state.sites.items() if one.release}
    settings = home.settings
    return {
        "hub": {"address": settings.address, "title": settings.title, "release": __version__, "up": up},
        "now": now_ms(),
        "hospitals": [_hospital(member, lines, releases) for member in members],
        "studies": [study_view(folder, state) for folder, state in listed],
        "damaged": [{"study": study, "reason": reason} for study, reason in damaged.items()],
    }


def _hospital(member: Member, lines: Lines, releases: Mapping[str, str]) -> dict[str, Any]:
    name = member.name
    clock = lines.clocks.get(name)
    return {
        "name": str(name),
        "state": member.state,
        "words": member.words if member.state == "waiting" else "",
        "last_seen": int(lines.last_seen.get(name, 0) * 1000),
        "release": releases.get(str(name), ""),
        "clock_s": None if clock is None else round(clock, 1),
    }


def study_view(folder: StudyFolder, state: StudyState) -> dict[str, Any]:
    """One study, as it may be shown."""
    kept = state.model_dump(mode="json", exclude={"sites", "wish", "begun", "without_missing"})
    refusals = Counter(word for one in state.rounds for word in one.lost.values())
    return {
        **kept,
        **_submitted(folder),
        "sites": [_site(name, standing) for name, standing in sorted(state.sites.items())],
        "refusals": dict(sorted(refusals.items())),
        "folder": str(folder.run),
    }


def _submitted(folder: StudyFolder) -> dict[str, Any]:
    try:
        return dict(_declared(folder))
    except WardroundError:
        return {"title": "", "lead": "", "submitted": 0, "rounds_planned": 0, "protection": "", "evaluates": ""}


@lru_cache(maxsize=1000)
def _declared(folder: StudyFolder) -> Mapping[str, Any]:
    """What does not change: a folder that holds something else later is refused by whoever runs it."""
    study, submission = folder.study(), folder.submission
    private = study.privacy.mode if study.privacy.private else ""
    return {
        "title": study.question.title,
        "lead": submission.lead,
        "submitted": submission.at,
        "rounds_planned": study.algorithm.rounds,
        "protection": ", ".join(filter(None, [f"{study.summation.mode} sum", private])),
        "evaluates": study.evaluation.model or "",
    }


def _site(name: str, standing: SiteStanding) -> dict[str, Any]:
    statement = None if standing.approval is None else standing.approval.statement
    return {
        "name": name,
        "state": standing.state,
        "at": standing.at,
        "fault": standing.fault,
        "word": standing.word,
        "by": "" if statement is None else statement.by,
        "until": 0 if statement is None else statement.until,
    }
