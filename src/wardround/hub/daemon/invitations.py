"""Inviting a hospital: a text file for one use, of which the hub keeps no more than the hash of its code."""

import secrets
from dataclasses import dataclass

from wardround.crypto.identity import Identity
from wardround.hub.daemon.roster import OpenInvitation, Roster, RosterEntry, RosterFile
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RunError
from wardround.wire.hub_address import HubAddress
from wardround.wire.invitation import CODE_BYTES, Invitation

DAYS = 14
"""For how long an invitation is good unless its maker says otherwise."""
LONGEST_DAYS = 90
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Inviter:
    """The hub as an invitation names it. sealing: its public sealing key. authority: its certificate authority's, in PEM."""

    address: HubAddress
    identity: Identity
    sealing: str
    authority: str


def invite(roster: Roster, hub: Inviter, name: str, *, days: int = DAYS, again: bool = False) -> Invitation:
    """An invitation for a hospital. An earlier one of that name that was not used is void afterwards.

    Parameters
    ----------
    roster : Roster
    hub : Inviter
    name : str
        What the hospital is called in studies.
    days : int
        For how long it may be used.
    again : bool
        The hospital is in the roster, and has lost its keys. Those stay in force until the new ones are confirmed.

    Raises
    ------
    WireError
        The name is none that a hospital can have.
    RunError
        The hospital is in the roster and `again` was not said; or `days` is out of range.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise RunError("An invitation cannot be good for so long", expected=f"1 to {LONGEST_DAYS} days", found=f"{days}")
    code = secrets.token_bytes(CODE_BYTES)
    expires_ms = roster.clock() + days * _DAY_MS
    invitation = Invitation.signed(hub.address, name, code, expires_ms, (hub.identity, hub.sealing), hub.authority)
    record = OpenInvitation(name=name, code=sha256_hex(code), made=roster.clock(), expires=invitation.expires_ms)

    def step(content: RosterFile) -> tuple[RosterFile, None]:
        entry = content.in_force(name)
        if entry is not None and entry.state == "confirmed" and not again:
            raise _in_the_roster(entry)
        roster.log.append("site-invited", f"{name} is invited.", site=name, code_hash=record.code, expires=record.expires)
        rest = content.without(invitations_of=name, expired_at=roster.clock())
        return rest.revised(invitations=(*rest.invitations, record)), None

    roster.change(step)
    return invitation


def _in_the_roster(entry: RosterEntry) -> RunError:
    return RunError(
        f"The hospital {entry.name} is in the roster already",
        hint=f"if it has lost its keys: wardround hub invite {entry.name} --again; if its keys were stolen, first: "
        f"wardround hub revoke {entry.name}",
    )
