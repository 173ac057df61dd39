"""The hospitals that a study names, as the roster has them now: whom the hub can speak to, and the keys that an offer lists.

A study that hospitals have approved keeps its list. Who was revoked, or has joined anew, is left out of what is said; the key
card that was offered before stays in the offer, so that it remains the same study for all others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from wardround.study.declaration import Study
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError, StudyError
from wardround.values.ids import SiteId
from wardround.values.private_files import read_private
from wardround.wire.messages import Header
from wardround.wire.offers import SiteCard

CARDS = "hospitals.json"
_LONGEST = 1 << 24
_ANEW = "submit the study anew, so that all approve it with the hospitals as they are: wardround hub run STUDY"


class RosterEntry(Protocol):
    """A hospital that a person has confirmed. Both keys are 64 hexadecimal digits."""

    @property
    def identity(self) -> str: ...

    @property
    def sealing(self) -> str: ...


class Roster(Protocol):
    """Who is enrolled at this hub, as it stands now."""

    def confirmed(self) -> Mapping[SiteId, RosterEntry]: ...


class Cards(Header):
    """The key cards that the study was offered with last while all of its hospitals were enrolled."""

    sites: tuple[SiteCard, ...]


def left_out(study: Study, roster: Roster) -> dict[str, str]:
    """Hospitals of the study that are not enrolled with its key for them, and why, as a clause."""
    enrolled, reasons = roster.confirmed(), {}
    for name, key in sorted(study.sites.keys.items()):
        entry = enrolled.get(SiteId(name))
        if entry is None or entry.identity != key:
            reasons[name] = "is not enrolled any more" if entry is None else "is enrolled under another key now"
    return reasons


def key_cards(folder: Path, study: Study, roster: Roster, *, begun: bool) -> tuple[SiteCard, ...]:
    """The key cards of all hospitals of the study: of those that are enrolled as they are now, of others as they were offered.

    folder: of the study; the cards are kept there. begun: whether orders have left. StudyError where one that is not enrolled was
    never offered, or where too few are left for the study's sums."""
    enrolled, reasons = roster.confirmed(), left_out(study, roster)
    cards = {
        name: SiteCard(name=name, identity=key, sealing=enrolled[SiteId(name)].sealing)
        for name, key in study.sites.keys.items()
        if name not in reasons
    }
    before = _kept(folder / CARDS)
    if reasons:
        _require_enough(study, reasons, before, begun=begun)
        cards = before | cards
    elif cards != before:
        content = Cards(sites=tuple(card for _, card in sorted(cards.items())))
        write_atomic(folder / CARDS, canonical_json(content.model_dump(mode="json")), private=True)
    return tuple(card for _, card in sorted(cards.items()))


def _require_enough(study: Study, reasons: Mapping[str, str], before: Mapping[str, SiteCard], *, begun: bool) -> None:
    needed = study.sites.minimum
    if study.summation.mode == "masked":
        needed = study.quorum.threshold if begun else max(study.quorum.threshold, study.quorum.witnesses)
    there = len(study.sites.names) - len(reasons)
    if there < needed or not reasons.keys() <= before.keys():
        raise StudyError(
            "; ".join(f"{name} {reason}" for name, reason in reasons.items()),
            expected=f"at least {needed} hospitals with the keys that stand in the study",
            found=f"{there}",
            hint=_ANEW,
        )


def _kept(path: Path) -> dict[str, SiteCard]:
    content = read_private(path, _LONGEST)
    if content is None:
        return {}
    try:
        return {card.name: card for card in Cards.model_validate_json(content).sites}
    except ValidationError as error:
        raise RunError(f"{path} is damaged", hint="bring it back from a backup; or submit the study anew") from error
