"""What a run tells whoever watches it: a progress display, a log, a test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardround.values.ids import SiteId

ANALYSE = "analyse"
"""The step that a sum of an analysis is shown as."""


@dataclass(frozen=True)
class ExchangeStarted:
    """step: open, train, own, evaluate, analyse or close. number, rounds: the round, and how many there are (0 where it has
    none)."""

    step: str
    number: int
    rounds: int
    sites: tuple[SiteId, ...]


@dataclass(frozen=True)
class SiteAnswered:
    site: SiteId


@dataclass(frozen=True)
class SiteLost:
    """code: no-answer, wrong-shape, or the site's refusal."""

    site: SiteId
    code: str


@dataclass(frozen=True)
class SiteBlamed:
    """A masked sum opened although this site was caught at something: wrong-share, share-unreadable."""

    site: SiteId
    code: str


@dataclass(frozen=True)
class Score:
    """The task's headline. name: as in a sentence. value: NaN where the records cannot give it."""

    name: str
    value: float


@dataclass(frozen=True)
class RoundFinished:
    """loss: mean training loss; score: on the validation patients, of the model that came into the round."""

    number: int
    rounds: int
    seconds: float
    loss: float | None
    score: Score
    lost: Mapping[SiteId, str]


@dataclass(frozen=True)
class RoundDiscarded:
    """A round's total was not used, or was taken back: impossible-counts, too-long, validation-drop,
    from-a-discarded-model, closed-for-ever, diverged."""

    number: int
    why: str


Notice = ExchangeStarted | SiteAnswered | SiteLost | SiteBlamed | RoundFinished | RoundDiscarded
Listener = Callable[[Notice], None]


def silent(event: Notice) -> None:
    """The listener that listens to nothing."""
