"""The folder of one hospital's clinic, of its own user alone.

    clinic.toml  criteria.toml  signing.key  acceptances/ID.json  references/SHA256.safetensors  models/SHA256.onnx
    cards/SHA256.toml  service/ (the chained log)

Nothing in acceptances/, references/ and models/ is ever changed: a file's name says what it must hold.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import tomli_w
from pydantic import Field, ValidationError, model_validator

from wardround.clinic.place.criteria import NOT_ASKED, Criteria
from wardround.clinic.place.dicom_settings import DicomSection
from wardround.clinic.place.fhir_settings import FhirSection, HooksSection
from wardround.clinic.place.finding import FindingSection
from wardround.clinic.place.oidc_settings import OidcSection
from wardround.clinic.place.watch_settings import RetentionSection, WatchSection
from wardround.crypto.identity import Identity
from wardround.study.sections.section import Section
from wardround.study.toml_reading import read_as
from wardround.values.canonical import sha256_hex
from wardround.values.chained_log import ChainedLog
from wardround.values.durable import write_atomic
from wardround.values.errors import RunError, StudyError
from wardround.values.home import default_home
from wardround.values.private_files import private_folder, private_lock, read_private
from wardround.values.served_port import allowed_hosts

SETTINGS = "clinic.toml"
_SIGNS = (SETTINGS, "signing.key", "service")
_LONGEST = 1 << 20
_LARGEST_MODEL = 1 << 31
_HASH = re.compile(r"[0-9a-f]{64}")


class ClinicSettings(Section):
    """clinic.toml: what a person says of this clinic."""

    hospital: str = Field(min_length=1, max_length=200, description="The hospital's name, as it stands on pages and in records.")
    contact: str = Field(default="", max_length=400, description="Whom a doctor or a patient asks: a name, a number, a room.")
    clinical_use: str = Field(
        default="",
        max_length=400,
        description="Who released the model for decisions about patients, and when; empty: research use only.",
    )
    listen: str = Field(default="127.0.0.1:8479", description="HOST:PORT of the pages and of /v1.")
    hosts: tuple[str, ...] = Field(default=(), description="Other names of it, as of a proxy: HOST or HOST:PORT.")
    behind_tls: bool = Field(default=False, description="Whether a TLS proxy stands before it; cookies then go over TLS only.")
    database: str = Field(default="", description="URL of a PostgreSQL database; empty: clinic.db in this folder.")
    keep_films: bool = Field(default=False, description="Whether films that doctors see are kept, without headers.")
    watched_folder: str = Field(default="", description="A folder whose films are answered as they come; they are only read.")
    session_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(default=720, description="Longest session.")
    idle_minutes: Annotated[int, Field(ge=1, le=720)] = Field(default=20, description="After so long without a request it ends.")
    requests_per_minute: Annotated[int, Field(ge=0, le=10**7)] = Field(
        default=12_000,
        description="How many requests of one address are answered in a minute; behind a proxy, of all together. 0: any number.",
    )
    finding: FindingSection | None = Field(default=None, description="What the model looks for, in words and in a code.")
    fhir: FhirSection | None = Field(default=None, description="How a FHIR bundle fills the columns, and who reads reports.")
    hooks: HooksSection | None = Field(default=None, description="CDS Hooks for a table model; off where absent.")
    dicom: DicomSection | None = Field(default=None, description="Films over DICOM, and where answers go; off where absent.")
    oidc: OidcSection | None = Field(default=None, description="The hospital's own login; off where absent.")
    watch: WatchSection = Field(default=WatchSection(), description="From where on an alert is raised.")
    retention: RetentionSection = Field(default=RetentionSection(), description="How long rows are kept.")

    @model_validator(mode="after")
    def _login_comes_back(self) -> Self:
        if self.oidc is not None:
            parts = urlsplit(self.oidc.address.lower())
            if parts.netloc not in allowed_hosts(self.listen, self.hosts):
                raise ValueError(f"[oidc]: {parts.netloc} is no name of this clinic: add it to hosts")
            if (parts.scheme == "https") != self.behind_tls:
                raise ValueError("[oidc]: an address with https needs behind_tls = true, and behind_tls an address with https")
        return self


@dataclass(frozen=True)
class ClinicPlace:
    """Where everything of one clinic lies. RunError where its folder is open to other users."""

    path: Path

    def __post_init__(self) -> None:
        private_folder(self.path, signs=_SIGNS)

    @classmethod
    def at(cls, folder: Path | None = None) -> "ClinicPlace":
        """The clinic in a folder, or this user's. RunError where there is none; nothing is made."""
        path = (folder or clinic_folder()).expanduser().resolve()
        if not (path / SETTINGS).is_file():
            raise RunError(f"There is no clinic in {path}", hint="make one with: wardround clinic init --hospital NAME")
        return cls(path)

    @classmethod
    def begin(cls, folder: Path | None, settings: ClinicSettings) -> "ClinicPlace":
        """Makes a clinic: its folder, its key, its settings. StudyError where there is one of another hospital."""
        clinic = cls((folder or clinic_folder()).expanduser().resolve())
        if (clinic.path / SETTINGS).exists():
            if clinic.settings.hospital != settings.hospital:
                raise StudyError(
                    f"There is a clinic in {clinic.path} already, of another hospital",
                    expected=clinic.settings.hospital,
                    found=settings.hospital,
                    hint="choose another folder with --clinic",
                )
            return clinic
        _ = clinic.identity
        _ = clinic.log.head
        content = settings.model_dump(mode="json", exclude_defaults=True)
        write_atomic(clinic.path / SETTINGS, tomli_w.dumps(content).encode(), private=True)  # last: it says that all is there
        return clinic

    @property
    def settings(self) -> ClinicSettings:
        """What clinic.toml says. RunError where there is no clinic here; StudyError where the file is not sound."""
        path = self.path / SETTINGS
        content = read_private(path, _LONGEST)
        if content is None:
            raise RunError(f"There is no clinic in {self.path}", hint="make one with: wardround clinic init --hospital NAME")
        return read_as(ClinicSettings, content.decode("utf-8", "replace"), str(path))

    @property
    def criteria(self) -> Criteria:
        """The hospital's own minimums; the defaults where none were set. StudyError where the file is not sound."""
        content = read_private(self.path / "criteria.toml", _LONGEST)
        if content is None:
            return Criteria()
        return read_as(Criteria, content.decode("utf-8", "replace"), str(self.path / "criteria.toml"))

    def set_criteria(self, **limits: object) -> Criteria:
        """Replaces some of the minimums, durably; None takes a limit away. StudyError where a limit is none."""
        try:
            criteria = self.criteria.changed(**limits)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"]) or "the criteria"
            raise StudyError(
                f"{name} cannot be set so",
                found=first["msg"].removeprefix("Value error, "),
                hint="see: wardround clinic criteria",
            ) from error
        limits = {name: NOT_ASKED if value is None else value for name, value in criteria.model_dump(mode="json").items()}
        text = tomli_w.dumps(limits)
        write_atomic(self.path / "criteria.toml", text.encode(), private=True)
        return criteria

    @property
    def identity(self) -> Identity:
        """The key that signs acceptance records, made on first use."""
        return Identity.at(self.path / "signing.key")

    @property
    def log(self) -> ChainedLog:
        """What was put in service, taken back, run in the shadow."""
        return ChainedLog(self.path / "service")

    @property
    def acceptances(self) -> Path:
        return self.path / "acceptances"

    @property
    def references(self) -> Path:
        return self.path / "references"

    @property
    def cards(self) -> Path:
        return self.path / "cards"

    def model_file(self, sha256: str) -> Path:
        if not _HASH.fullmatch(sha256):
            raise RunError("This is no name of a model", expected="64 hexadecimal digits", found=sha256[:80])
        return self.path / "models" / f"{sha256}.onnx"

    def keep_model(self, content: bytes) -> str:
        """Keeps a copy of a model's file, so that service does not hang on the place it came from. Its SHA-256."""
        sha256 = sha256_hex(content)
        path = self.model_file(sha256)
        if read_private(path, _LARGEST_MODEL) != content:
            write_atomic(path, content, private=True)
        return sha256

    def read_model(self, sha256: str) -> bytes:
        """The file, proved to be what was kept. RunError where it is gone or was changed."""
        path = self.model_file(sha256)
        content = read_private(path, _LARGEST_MODEL)
        if content is None:
            raise RunError(f"The model {path} is gone", hint="accept the model again, or bring it back from a backup")
        if sha256_hex(content) != sha256:
            raise RunError(
                f"The model {path} was changed after it was accepted",
                expected=sha256,
                found=sha256_hex(content),
                hint="do not use it; bring it back from a backup, or accept the model again",
            )
        return content

    def command(self, words: str) -> str:
        """A command of this clinic as it is typed, with --clinic where it is not this user's own."""
        elsewhere = "" if self.path == clinic_folder().expanduser().resolve() else f" --clinic {shlex.quote(str(self.path))}"
        return f"wardround clinic {words}{elsewhere}"

    @contextmanager
    def changing_service(self) -> Iterator[None]:
        """Of this block: the only process that decides what is in service."""
        with private_lock(self.path / "service.lock"):
            yield


def clinic_folder() -> Path:
    """`clinic` in this user's folder. Nothing is created."""
    return default_home() / "clinic"
