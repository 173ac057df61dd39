"""Whether a request to join, or for new keys, is true (docs/spec/network.md, 3.3 and 3.5).

The checks run in the order of the specification. Whichever fails, the stranger hears the same; the hub's log has the cause.
"""

import hmac
from dataclasses import dataclass

from wardround.hub.daemon.roster import OpenInvitation, Roster, RosterEntry, RosterFile
from wardround.values.canonical import sha256_hex
from wardround.values.errors import RefusedError
from wardround.wire.enrolment import CLOCK_AHEAD_MS, EnrolmentRequest, RotationRequest, SiteKeys, read_request
from wardround.wire.sealed import KeyCard


@dataclass(frozen=True)
class Admission:
    """Enters into the roster who proves to be invited, or to be in it. hub: the hub's own key card."""

    roster: Roster
    hub: KeyCard

    def entry(self, data: bytes) -> RosterEntry:
        """Where the sender of a request stands: it waits, unless the very same request came before.

        Raises
        ------
        WireError
            The bytes are no request.
        RefusedError
            A check failed. The message says which, for the hub's own log.
        """
        request, digest = read_request(data), sha256_hex(data)
        content = self.roster.content()
        before = content.answered(digest)
        if before is not None:
            return before
        self._require_true(content, request)  # before the lock, the words and the disk: those are not for strangers
        entry = RosterEntry(
            keys=request.keys,
            state="waiting",
            request=digest,
            requested=request.time,
            words=request.keys.words(self.hub),
            since=self.roster.clock(),
        )
        return self.roster.change(lambda now: self._entered(now, request, entry))

    def _entered(
        self, content: RosterFile, request: EnrolmentRequest | RotationRequest, entry: RosterEntry
    ) -> tuple[RosterFile, RosterEntry]:
        """The code is burnt and the site entered in one file, which is on the disk before the answer leaves."""
        before = content.answered(entry.request)
        if before is not None:  # another process has taken the same request
            return content, before
        self._require_true(content, request)
        text = f"{entry.name} {'asks to join' if isinstance(request, EnrolmentRequest) else 'has new keys'}: compare the words."
        facts = {"site": entry.name, "identity": entry.identity, "login": entry.keys.login, "request": entry.request}
        self.roster.log.append("site-waiting", text, **facts)
        if isinstance(request, EnrolmentRequest):
            content = content.without(invitations_of=entry.name)
        return content.entered(entry), entry

    def _require_true(self, content: RosterFile, request: EnrolmentRequest | RotationRequest) -> None:
        if isinstance(request, EnrolmentRequest):
            self._require_invited(content, request)
            if not request.is_proved(self.hub):
                raise RefusedError("The sender of a request does not hold the keys in it")
        else:
            self._require_in_force(content, request)
        self._require_free(content, request.keys)
        if request.time > self.roster.clock() + CLOCK_AHEAD_MS:
            raise RefusedError("A request comes from the future", hint="the site sets its clock by a time server")

    def _require_invited(self, content: RosterFile, request: EnrolmentRequest) -> None:
        invitation = _invitation(content, sha256_hex(bytes.fromhex(request.code)))
        if invitation is None:
            raise RefusedError("The code of a request is that of no open invitation: burnt, replaced or guessed")
        if invitation.expires <= self.roster.clock():
            raise RefusedError("The invitation has expired", found=invitation.name)
        if invitation.name != request.keys.name:
            raise RefusedError("An invitation is for another hospital", expected=invitation.name, found=request.keys.name)

    def _require_in_force(self, content: RosterFile, request: RotationRequest) -> None:
        entry, waiting = content.in_force(request.keys.name), content.waiting(request.keys.name)
        if entry is None or entry.state != "confirmed":
            raise RefusedError("New keys are for a hospital that is not in the roster", found=request.keys.name)
        if not request.is_proved(self.hub, entry.identity):
            raise RefusedError("New keys are not signed by the identity in force, or not by themselves", found=entry.name)
        last = max(one.requested for one in (entry, waiting) if one is not None)
        if request.time <= last:
            raise RefusedError("A request for new keys is older than the last of this hospital", found=entry.name)

    def _require_free(self, content: RosterFile, keys: SiteKeys) -> None:
        """Keys tell hospitals apart, at the gate and in every signature."""
        if {keys.identity, keys.login} & set(content.former):
            raise RefusedError("The keys of a request were revoked or replaced", found=keys.name)
        if {keys.identity, keys.sealing} & {self.hub.identity, self.hub.sealing}:
            raise RefusedError("A request has the hub's own keys", found=keys.name)
        for entry in content.entries:
            if entry.name != keys.name and _all_keys(entry.keys) & _all_keys(keys):
                raise RefusedError("The keys of a request are another hospital's", expected=keys.name, found=entry.name)


def _invitation(content: RosterFile, code: str) -> OpenInvitation | None:
    """Compared in a time that does not depend on where the hashes differ."""
    matching = [one for one in content.invitations if hmac.compare_digest(one.code, code)]
    return matching[0] if matching else None


def _all_keys(keys: SiteKeys) -> set[str]:
    return {keys.identity, keys.sealing, keys.login}
