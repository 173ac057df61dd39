"""[dicom] of clinic.toml: who may send films, where answers go, which archive is asked. Nothing listens or connects without
it."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from wardround.study.sections.section import Section
from wardround.values.network_address import service_url

Result = Literal["report", "picture", "heat-map"]


def _ae_title(text: str) -> str:
    if not (1 <= len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text and text == text.strip()):
        raise ValueError("an AE title has 1 to 16 ASCII signs, no backslash, no space at its ends")
    return text


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _url(text: str) -> str:
    return service_url(text).rstrip("/")


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Url = Annotated[str, AfterValidator(_url)]
Port = Annotated[int, Field(ge=1, le=65535)]


class PeerSection(Section):
    """A machine that may send films."""

    ae_title: AeTitle = Field(description="Its own, the calling AE title.")
    addresses: tuple[Network, ...] = Field(
        min_length=1, description='Where it may call from: addresses or networks, for example ["10.1.2.3", "10.1.7.0/24"].'
    )

    def holds(self, title: str, address: str) -> bool:
        """Whether a caller is this machine."""
        return title == self.ae_title and address_among(address, self.addresses)


class NodeSection(Section):
    """Where answers are sent: an archive by C-STORE (address, port, ae_title) or by STOW-RS (url)."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Its folder in the outbox.")
    address: str = Field(default="", max_length=253, description="Host or address, for C-STORE.")
    port: Port = Field(default=104, description="For C-STORE.")
    ae_title: AeTitle = Field(default="ANY-SCP", description="Its own, the called AE title.")
    tls_ca: Path | None = Field(default=None, description="File of the authority whose certificate it must show, PEM; TLS then.")
    tls_certificate: Path | None = Field(default=None, description="PEM, that we show; where it asks for one.")
    tls_key: Path | None = Field(default=None, description="PEM, of our certificate.")
    url: Url | None = Field(default=None, description="Of its DICOMweb service, for STOW-RS.")
    token_file: Path | None = Field(default=None, description="File that holds the bearer token, for STOW-RS.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.address) == bool(self.url):
            raise ValueError(f"node {self.name!r}: give either address (C-STORE) or url (STOW-RS)")
        if (self.tls_certificate is None) != (self.tls_key is None) or (self.tls_certificate and not self.tls_ca):
            raise ValueError(f"node {self.name!r}: tls_certificate, tls_key and tls_ca go together")
        return self


class ArchiveSection(Section):
    """[dicom.archive]: the DICOMweb service whose studies are listed and fetched (QIDO-RS, WADO-RS)."""

    url: Url = Field(description="Of the service, for example https://pacs/dicom-web.")
    tls_ca: Path | None = Field(default=None, description="File of the authority whose certificate it must show, PEM.")
    tls_certificate: Path | None = Field(default=None, description="PEM, that we show; where it asks for one.")
    tls_key: Path | None = Field(default=None, description="PEM, of our certificate.")
    token_file: Path | None = Field(default=None, description="File that holds the bearer token.")
    modalities: tuple[str, ...] = Field(default=("CR", "DX"), description="Modalities that the worklist asks for.")
    days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=1, description="How many days before today the worklist goes back."
    )
    most: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="Most studies that the worklist asks for.")
    timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(default=20.0, description="Wait for an answer so long.")

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("[dicom.archive]: tls_certificate and tls_key go together")
        return self


class WorklistSection(Section):
    """[dicom.worklist]: the RIS whose planned examinations are shown (modality worklist, C-FIND)."""

    address: str = Field(min_length=1, max_length=253, description="Host or address.")
    port: Port = Field(default=104, description="Its port.")
    ae_title: AeTitle = Field(description="Its own, the called AE title.")
    tls_ca: Path | None = Field(default=None, description="File of the authority whose certificate it must show, PEM; TLS then.")
    tls_certificate: Path | None = Field(default=None, description="PEM, that we show; where it asks for one.")
    tls_key: Path | None = Field(default=None, description="PEM, of our certificate.")
    modalities: tuple[str, ...] = Field(default=("CR", "DX"), description="Modalities that are asked for.")
    station: str = Field(default="", max_length=16, description="AE title of the one device that is asked for; empty: all.")
    days: Annotated[int, Field(ge=0, le=31)] = Field(default=0, description="How many days before today it goes back.")
    most: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="Most answers to a question.")
    timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(default=5.0, description="Wait for an answer so long.")

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None) or (self.tls_certificate and not self.tls_ca):
            raise ValueError("[dicom.worklist]: tls_certificate, tls_key and tls_ca go together")
        return self


class DicomSection(Section):
    """A listener for C-STORE, and where answers go. Where clinic.toml has no [dicom], nothing listens."""

    ae_title: AeTitle = Field(default="WARDROUND", description="This clinic's own; callers must call it by this name.")
    address: str = Field(default="127.0.0.1", max_length=64, description="Address to listen at; 0.0.0.0 for every network.")
    port: Port = Field(default=11112, description="Port to listen at.")
    peers: tuple[PeerSection, ...] = Field(default=(), description="Who may send. Nobody else is heard.")
    tls_certificate: Path | None = Field(default=None, description="PEM; with it the listener speaks TLS only.")
    tls_key: Path | None = Field(default=None, description="PEM, of the certificate.")
    tls_ca: Path | None = Field(default=None, description="PEM; callers must show a certificate of this authority.")
    largest_mb: Annotated[int, Field(ge=1, le=1024)] = Field(default=64, description="Largest film that is taken, in MiB.")
    associations: Annotated[int, Field(ge=1, le=64)] = Field(default=8, description="Most callers at once.")
    timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(
        default=30.0, description="A caller that is silent so long is cut off."
    )
    results: tuple[Result, ...] = Field(default=("report", "picture", "heat-map"), description="What is sent back.")
    nodes: tuple[NodeSection, ...] = Field(default=(), description="Where answers are sent.")
    archive: ArchiveSection | None = Field(default=None, description="A DICOMweb service whose studies are shown and fetched.")
    worklist: WorklistSection | None = Field(default=None, description="A RIS whose planned examinations are shown.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        names = [node.name for node in self.nodes]
        if len(set(names)) != len(names):
            raise ValueError("two nodes have one name")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TLS needs both tls_certificate and tls_key")
        if self.tls_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_ca says whose certificates callers show; TLS needs tls_certificate and tls_key, too")
        return self


def address_among(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address lies in one of the networks.

    >>> address_among("10.1.7.9", ("10.1.2.3", "10.1.7.0/24")), address_among("::ffff:10.1.2.3", ("10.1.2.3",))
    (True, True)
    """
    try:
        caller = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(caller, "ipv4_mapped", None)
    return any((mapped or caller) in ipaddress.ip_network(network) for network in networks)
