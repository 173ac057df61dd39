"""The folder of a hospital's service, of its own user alone.

    keys/  hub.json  data.toml  policy.toml  ledgers/NAME.sqlite  log/  studies/HASH/...  post/  site.lock

Of one study: studies/HASH/ offer.json  decision.json  decisions/  policies/  work/ (memory, report and log of the running study)
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardround.crypto.identity import Identity
from wardround.crypto.sealing import SealingKey
from wardround.values.chained_log import ChainedLog
from wardround.values.errors import RunError
from wardround.values.home import default_home
from wardround.values.private_files import is_held, only_holder, private_folder

_SIGNS = ("keys", "hub.json", "log", "data.toml", "policy.toml")


def site_folder() -> Path:
    """WARDROUND_SITE if it is set and not empty, else `site` in this user's folder. Nothing is created."""
    chosen = os.environ.get("WARDROUND_SITE", "")
    return Path(chosen).expanduser() if chosen else default_home() / "site"


@dataclass(frozen=True)
class SiteHome:
    """Where everything of one hospital lies. RunError where its folder is open to other users."""

    path: Path

    def __post_init__(self) -> None:
        private_folder(self.path, signs=_SIGNS)

    @property
    def identity(self) -> Identity:
        """The hospital's signing key, made on first use."""
        return Identity.at(self.path / "keys" / "identity.key")

    @property
    def sealing(self) -> SealingKey:
        """The hospital's key for what is sealed to it, made on first use."""
        return SealingKey.at(self.path / "keys" / "sealing.key")

    @property
    def login_key(self) -> Path:
        """The key that the carrier asks for."""
        return self.path / "keys" / "login.key"

    @property
    def hub_file(self) -> Path:
        return self.path / "hub.json"

    @property
    def data_file(self) -> Path:
        return self.path / "data.toml"

    @property
    def policy_file(self) -> Path:
        return self.path / "policy.toml"

    @property
    def ledgers(self) -> Path:
        return self.path / "ledgers"

    @property
    def post(self) -> Path:
        """What the hub said last about each study."""
        return self.path / "post"

    @property
    def log(self) -> ChainedLog:
        return ChainedLog(self.path / "log")

    @property
    def studies(self) -> Path:
        return self.path / "studies"

    def study(self, study_hash: str) -> Path:
        return self.studies / study_hash

    @property
    def is_up(self) -> bool:
        """Whether a process speaks for this hospital at the moment."""
        return is_held(self.path / "site.lock", wait_s=0)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Of this block: the only process that speaks for this hospital. RunError where there is another."""
        taken = RunError(
            f"Another process speaks for the hospital in {self.path}",
            hint="it is running already: look with `wardround site status`; or stop it first",
        )
        with only_holder(self.path / "site.lock", taken):
            yield
