"""The roster: which hospitals the hub knows, with which keys, and who was invited.

docs/spec/network.md, 3.5.

    invited --a proved request--> waiting --a person compared the words--> confirmed --> revoked
                                     ^--------- new keys, signed by the old identity ---'

One name has at most two entries: one in force (confirmed or revoked), and one that waits. Keys that wait change nothing, so
whoever got hold of an invitation puts nobody out. Everything lies in one file that is replaced whole: a code is burnt and its
site is entered in one step. Several processes may change it; each reads it anew.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from wardround.crypto.login_key import login_pem
from wardround.crypto.words import same_words
from wardround.values.canonical import canonical_json
from wardround.values.chained_log import ChainedLog
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError
from wardround.values.ids import SiteId
from wardround.values.private_files import private_lock, read_private
from wardround.wire.enrolment import SiteKeys, Standing, Time
from wardround.wire.invitation import Hospital
from wardround.wire.messages import Hash, Header
from wardround.wire.sealed import KeyCard

FILE = "roster.json"
_LONGEST = 1 << 26
Result = TypeVar("Result")
KeyText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64,98}$")]


def now_ms() -> int:
    """Milliseconds since 1970, UTC, by this machine's clock."""
    return time.time_ns() // 1_000_000


class RosterEntry(Header):
    """A hospital and its keys. request: SHA-256 of the request that brought the keys. requested: the site's time in it. words:
    the eight that are compared. since: when `state` began, in milliseconds since 1970."""

    keys: SiteKeys
    state: Standing
    request: Hash
    requested: Time
    words: Annotated[str, StringConstraints(max_length=100)]
    since: Time

    @property
    def name(self) -> SiteId:
        return SiteId(self.keys.name)

    @property
    def identity(self) -> str:
        return self.keys.identity

    @property
    def sealing(self) -> str:
        return self.keys.sealing

    @property
    def login(self) -> bytes:
        """The login key as the carrier writes it, in PEM."""
        return login_pem(self.keys.login)

    @property
    def key_card(self) -> KeyCard:
        return self.keys.key_card


class OpenInvitation(Header):
    """An invitation that was not used yet. code: SHA-256 of its code. made, expires: milliseconds since 1970."""

    name: Hospital
    code: Hash
    made: Time
    expires: Time


class RosterFile(Header):
    """All that the file holds. former: identities and login keys that were revoked or replaced; nobody joins with them again."""

    kind: Literal["roster"] = "roster"
    version: Literal[1] = 1
    entries: tuple[RosterEntry, ...] = ()
    invitations: tuple[OpenInvitation, ...] = ()
    former: tuple[KeyText, ...] = Field(default=())

    def in_force(self, name: str) -> RosterEntry | None:
        """The confirmed or revoked entry of that name."""
        return next((entry for entry in self.entries if entry.name == name and entry.state != "waiting"), None)

    def waiting(self, name: str) -> RosterEntry | None:
        return next((entry for entry in self.entries if entry.name == name and entry.state == "waiting"), None)

    def answered(self, request: str) -> RosterEntry | None:
        """The entry that came by this very request (its SHA-256)."""
        return next((entry for entry in self.entries if entry.request == request), None)

    def entered(self, entry: RosterEntry) -> "RosterFile":
        """The file with this entry in the place of the one that waits, or of the one in force."""
        waits = entry.state == "waiting"
        others = [one for one in self.entries if one.name != entry.name or (one.state == "waiting") != waits]
        return self.revised(entries=tuple(sorted([*others, entry], key=lambda one: (one.name, one.state))))

    def without(self, *, waiting: str = "", invitations_of: str = "", expired_at: int = 0) -> "RosterFile":
        entries = tuple(one for one in self.entries if one.name != waiting or one.state != "waiting")
        invitations = tuple(one for one in self.invitations if one.name != invitations_of and one.expires > expired_at)
        return self.revised(entries=entries, invitations=invitations)

    def retired(self, before: RosterEntry | None, after: RosterEntry | None = None) -> "RosterFile":
        """The file in which keys of `before` that `after` does not have are nobody's any more."""
        if before is None:
            return self
        kept = set() if after is None else {after.identity, after.keys.login}
        old = {before.identity, before.keys.login} - kept
        return self.revised(former=tuple(sorted({*self.former, *old})))


class Roster:
    """The roster of a hub, in its folder.

    Parameters
    ----------
    folder : Path
        The hub's home, of its user alone.
    log : ChainedLog
        Every change is a line of it before it is made.
    clock : callable, optional
        Milliseconds since 1970.
    """

    def __init__(self, folder: Path, log: ChainedLog, clock: Callable[[], int] = now_ms) -> None:
        self.path, self.log, self.clock = folder / FILE, log, clock
        self._read: tuple[tuple[int, ...], RosterFile] = ((), RosterFile())

    def content(self) -> RosterFile:
        """What the file says now. RunError where it is damaged."""
        mark = _mark(self.path)
        if mark != self._read[0]:
            self._read = (mark, _content(self.path))
        return self._read[1]

    def entries(self) -> tuple[RosterEntry, ...]:
        """Every entry, by name; of one name the one in force comes before the one that waits."""
        return self.content().entries

    def confirmed(self) -> dict[SiteId, RosterEntry]:
        """The hospitals whose words were compared and that were not revoked."""
        return {entry.name: entry for entry in self.entries() if entry.state == "confirmed"}

    def waiting(self) -> dict[SiteId, RosterEntry]:
        """The entries whose words nobody has compared yet."""
        return {entry.name: entry for entry in self.entries() if entry.state == "waiting"}

    def key_cards(self) -> dict[str, KeyCard]:
        """Name -> keys of each confirmed hospital: whose messages are read."""
        return {name: entry.key_card for name, entry in self.confirmed().items()}

    def logins(self) -> dict[SiteId, bytes]:
        """Name -> login key in PEM of each confirmed hospital: who is let in at the gate."""
        return {name: entry.login for name, entry in self.confirmed().items()}

    def by_login(self, pem: bytes) -> RosterEntry | None:
        """The confirmed hospital with this login key."""
        return next((entry for entry in self.confirmed().values() if entry.login == pem), None)

    def confirm(self, name: str, words: str) -> RosterEntry:
        """Takes the hospital that waits into the roster, after a person has compared these words with it by telephone.

        Keys that were in force before under this name are nobody's any more. The same again changes nothing.

        Raises
        ------
        RunError
            Nobody of that name waits, or the one that waits has other words than those that were compared.
        """

        def step(content: RosterFile) -> tuple[RosterFile, RosterEntry]:
            entry, before = content.waiting(name), content.in_force(name)
            if entry is None and before is not None and before.state == "confirmed" and same_words(before.words, words):
                return content, before
            if entry is None:
                raise _nobody_waits(name, content)
            if not same_words(entry.words, words):
                raise _other_words(name)
            after = entry.revised(state="confirmed", since=self.clock())
            self.log.append("site-confirmed", f"{name} is in the roster: its words were compared.", **_facts(after))
            return content.without(waiting=name).entered(after).retired(before, after), after

        return self.change(step)

    def revoke(self, name: str) -> RosterEntry:
        """Lets the hospital in no more; its open invitation and what waits under its name are void. Again changes nothing.

        Raises
        ------
        RunError
            Nobody of that name is in the roster or waits.
        """

        def step(content: RosterFile) -> tuple[RosterFile, RosterEntry]:
            waiting, before = content.waiting(name), content.in_force(name)
            entry = before or waiting
            if entry is None:
                raise RunError(
                    f"There is no hospital {name} in the roster", expected=_names(content.entries), hint="check the name"
                )
            if waiting is None and entry.state == "revoked" and all(one.name != name for one in content.invitations):
                return content, entry
            after = entry.revised(state="revoked", since=self.clock())
            self.log.append("site-revoked", f"{name} is let in no more.", **_facts(after))
            rest = content.without(waiting=name, invitations_of=name).retired(before).retired(waiting)
            return rest.entered(after), after

        return self.change(step)

    def turn_away(self, name: str) -> None:
        """Removes what waits under the name, since its words were not those of the hospital. Who is in force stays.

        Raises
        ------
        RunError
            Nobody of that name waits.
        """

        def step(content: RosterFile) -> tuple[RosterFile, None]:
            entry = content.waiting(name)
            if entry is None:
                raise _nobody_waits(name, content)
            self.log.append("site-turned-away", f"The keys that waited as {name} are not taken.", **_facts(entry))
            return content.without(waiting=name), None

        self.change(step)

    def change(self, step: Callable[[RosterFile], tuple[RosterFile, Result]]) -> Result:
        """Replaces the file by what `step` makes of it, durably, while no other process does. Nothing where `step` raises."""
        with private_lock(self.path.with_name(f"{FILE}.lock")):
            before = _content(self.path)
            after, result = step(before)
            if after != before:
                write_atomic(self.path, canonical_json(after.model_dump(mode="json")), private=True)
        return result


def _content(path: Path) -> RosterFile:
    content = read_private(path, _LONGEST)
    if content is None:
        return RosterFile()
    try:
        return RosterFile.model_validate_json(content)
    except ValidationError as error:
        raise RunError(f"{path} is damaged", expected="a roster of this release", hint="bring it back from a backup") from error


def _mark(path: Path) -> tuple[int, ...]:
    """What changes when the file is replaced."""
    try:
        status = os.stat(path)  # noqa: PTH116  (beside the lstat of `read_private`, on each request)
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _facts(entry: RosterEntry) -> dict[str, str]:
    return {"site": entry.name, "identity": entry.identity, "login": entry.keys.login, "request": entry.request}


def _names(entries: Iterable[RosterEntry]) -> str:
    return ", ".join(sorted({entry.name for entry in entries})) or "nobody"


def _nobody_waits(name: str, content: RosterFile) -> RunError:
    waiting = [entry for entry in content.entries if entry.state == "waiting"]
    return RunError(
        f"No hospital waits under the name {name}",
        expected=_names(waiting),
        hint="the hospital runs `wardround site join` first; without an invitation: `wardround hub invite NAME`",
    )


def _other_words(name: str) -> RunError:
    return RunError(
        f"The words are not those of the keys that wait as {name}",
        hint="look at them again in `wardround hub status` and compare all eight by telephone; where they differ, somebody else "
        f"used the invitation: do not confirm, and invite {name} anew",
    )
