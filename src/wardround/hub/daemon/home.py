"""The folder of a hub, of its own user alone.

    hub.toml  keys/  log/  studies/HASH/...  hub.lock      and what enrolment and the carrier keep beside these

Of one study: studies/HASH/ study.toml  study.run.toml  submission.json  state.json  wish.json  run/ (the run folder), and what
follows from it: network.json  first_model.safetensors
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from pydantic import Field

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import SealingKey
from wardround.study.sections.section import Section
from wardround.study.toml_reading import read_as
from wardround.values.chained_log import ChainedLog
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError, StudyError
from wardround.values.home import default_home
from wardround.values.private_files import is_held, only_holder, private_folder, read_private
from wardround.wire.invitation import Address
from wardround.wire.sealed import HUB, KeyCard

SETTINGS = "hub.toml"
_SIGNS = ("keys", SETTINGS, "log", "studies")
_LONGEST = 1 << 16


def hub_folder() -> Path:
    """WARDROUND_HUB if it is set and not empty, else `hub` in this user's folder. Nothing is created."""
    chosen = os.environ.get("WARDROUND_HUB", "")
    return Path(chosen).expanduser() if chosen else default_home() / "hub"


class HubSettings(Section):
    """hub.toml: what a person says of the hub."""

    address: Address = Field(
        description="Where hospitals find the hub, HOST:PORT. It stands in every invitation and in the certificate.",
    )
    title: str = Field(default="", max_length=200, description="Who answers for the hub's studies; hospitals see it with each.")
    listen: str = Field(default="0.0.0.0", max_length=253, description="The address of this machine that is listened at.")
    dashboard: str = Field(
        default="127.0.0.1:8477",
        pattern=r"^[A-Za-z0-9.-]{1,253}:[0-9]{1,5}$",
        description="Where the dashboard is served, HOST:PORT. Anything but this machine itself needs a TLS proxy before it.",
    )
    dashboard_hosts: tuple[str, ...] = Field(
        default=(),
        max_length=20,
        description="Other names by which the dashboard is called, HOST or HOST:PORT, as a proxy in front passes them on.",
    )

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@dataclass(frozen=True)
class HubHome:
    """Where everything of one hub lies. RunError where its folder is open to other users."""

    path: Path

    def __post_init__(self) -> None:
        private_folder(self.path, signs=_SIGNS)

    @property
    def identity(self) -> Identity:
        """The hub's signing key, made on first use."""
        return Identity.at(self.path / "keys" / "identity.key")

    @property
    def sealing(self) -> SealingKey:
        """The hub's key for what is sealed to it, made on first use."""
        return SealingKey.at(self.path / "keys" / "sealing.key")

    @property
    def card(self) -> KeyCard:
        """What hospitals know the hub by."""
        return KeyCard(HUB, self.identity.public, self.sealing.public)

    @property
    def log(self) -> ChainedLog:
        return ChainedLog(self.path / "log")

    @property
    def studies(self) -> Path:
        return self.path / "studies"

    def study(self, study_hash: str) -> Path:
        return self.studies / study_hash

    @property
    def settings(self) -> HubSettings:
        """What hub.toml says. RunError where there is no hub here; StudyError where the file is not sound."""
        path = self.path / SETTINGS
        content = read_private(path, _LONGEST)
        if content is None:
            raise RunError(f"There is no hub in {self.path}", hint="make one with: wardround hub init --address HOST:PORT")
        return read_as(HubSettings, content.decode("utf-8", "replace"), str(path))

    def begin(self, settings: HubSettings) -> None:
        """Makes a hub here: its settings and its keys. StudyError where there is one of another address."""
        if (self.path / SETTINGS).exists():
            if self.settings.address != settings.address:
                raise StudyError(
                    f"There is a hub in {self.path} already, with another address",
                    expected=self.settings.address,
                    found=settings.address,
                    hint=f"choose another folder with --home; or move this one away: mv '{self.path}' '{self.path}.away'",
                )
            return
        _ = self.card
        content = settings.model_dump(mode="json", exclude_defaults=True)
        write_atomic(self.path / SETTINGS, tomli_w.dumps(content).encode(), private=True)
        self.log.append("begun", "The hub was made.", address=settings.address, identity=self.identity.public)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Of this block: the only process that speaks for this hub. RunError where there is another."""
        taken = RunError(
            f"Another process speaks for the hub in {self.path}",
            hint="it is running already: look with `wardround hub status`; or stop that process first",
        )
        with only_holder(self.path / "hub.lock", taken):
            yield

    @property
    def is_up(self) -> bool:
        """Whether a process speaks for this hub at the moment."""
        return is_held(self.path / "hub.lock", wait_s=1)
