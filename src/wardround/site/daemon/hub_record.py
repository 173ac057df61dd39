"""hub.json: what a hospital knows of its hub, how it stands there, and the requests that it may have to send again.

    keys/{identity,sealing,login}.key   in force        keys/next/...   new ones, until the hub has confirmed them

The file is written before a request is sent. So whoever is killed sends the very same request again, and the hub, which knows
it, answers the same.
"""

import contextlib
import shutil
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from wardround.site.daemon.connection import Connection
from wardround.site.daemon.home import SiteHome
from wardround.values.canonical import canonical_json
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError
from wardround.values.private_files import read_private
from wardround.wire.enrolment import REQUEST_LIMIT, Standing, Time
from wardround.wire.hub_address import HubAddress
from wardround.wire.invitation import Address, Certificate, Hospital
from wardround.wire.messages import Hash, Header
from wardround.wire.sealed import HUB, KeyCard

KEY_FILES = ("identity.key", "sealing.key", "login.key")
NEXT = "next"
EXTRA_CA_LIMIT = 1 << 16
_LONGEST = 1 << 18
Request = Annotated[str, StringConstraints(max_length=REQUEST_LIMIT)]
Words = Annotated[str, StringConstraints(max_length=100)]
State = Standing | Literal["asking"]
"""asking: no answer of the hub has come yet."""


class HubCard(Header):
    """The hub's public keys."""

    identity: Hash
    sealing: Hash


class HubRecord(Header):
    """What is known of the hub. request, words: of the keys in force; rotation, rotation_words: of new keys that wait for the
    hub, empty where there are none. moving: the hub has confirmed the new keys, and their files take the old ones' place.
    changed: when the hub was heard to confirm the last new keys, in milliseconds since 1970; 0 if never."""

    kind: Literal["hub"] = "hub"
    version: Literal[1] = 1
    address: Address
    authority: Certificate = Field(repr=False)
    card: HubCard
    name: Hospital
    extra_ca: Annotated[str, StringConstraints(max_length=EXTRA_CA_LIMIT)] = Field(default="", repr=False)
    state: State = "asking"
    request: Request = Field(repr=False)
    words: Words
    rotation: Request = Field(default="", repr=False)
    rotation_words: Words = ""
    moving: bool = False
    changed: Time = 0

    @classmethod
    def of(cls, home: SiteHome) -> "HubRecord | None":
        """What the file says; None where this hospital never joined. Keys whose change was interrupted are moved on.

        Raises
        ------
        RunError
            The file is damaged, or open to other users.
        """
        content = read_private(home.hub_file, _LONGEST)
        if content is None:
            return None
        try:
            record = cls.model_validate_json(content)
        except ValidationError as error:
            raise RunError(
                f"{home.hub_file} is damaged",
                expected="what `wardround site join` wrote",
                hint="bring it back from a backup; or ask the hub for a new invitation, and move the file away",
            ) from error
        return record._settled(home) if record.moving else record

    @classmethod
    def required(cls, home: SiteHome) -> "HubRecord":
        """What the file says. RunError where this hospital never joined."""
        record = cls.of(home)
        if record is None:
            raise RunError(
                "This hospital has joined no hub", hint="ask the hub for an invitation: wardround site join INVITATION"
            )
        return record

    @property
    def hub(self) -> KeyCard:
        return KeyCard(HUB, self.card.identity, self.card.sealing)

    @property
    def connection(self) -> Connection:
        return Connection(HubAddress.read(self.address), self.authority, self.extra_ca)

    def write(self, home: SiteHome) -> "HubRecord":
        """The same record, on the disk."""
        write_atomic(home.hub_file, canonical_json(self.model_dump(mode="json")), private=True)
        return self

    def _settled(self, home: SiteHome) -> "HubRecord":
        """Moves the new keys into their place, those that are not there yet. It may be killed between any two steps."""
        keys = home.path / "keys"
        for name in KEY_FILES:
            with contextlib.suppress(FileNotFoundError):
                (keys / NEXT / name).replace(keys / name)
        shutil.rmtree(keys / NEXT, ignore_errors=True)
        return self.revised(moving=False).write(home)
