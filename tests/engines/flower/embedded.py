"""A real embedded SuperLink on a free port of this machine, with certificates of its own, and real sites that talk to it."""

import datetime
import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.engines.remote.parties import NAMES, Parties, served
from wardround.engines.flower.hub import FlowerHub
from wardround.engines.flower.site_carrier import FlowerSiteCarrier
from wardround.engines.flower.wrong_clocks import Tell
from wardround.engines.remote.body_app import BodyApp
from wardround.engines.remote.body_client import BodyClient
from wardround.engines.remote.body_store import BodyStore
from wardround.engines.remote.hub_post import HubPost
from wardround.engines.remote.site_post import SitePost
from wardround.values.ids import SiteId

HOST = "127.0.0.1"


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def make_certificates(folder: Path, authority: str = "a hub's authority") -> bytes:
    """ca.pem, hub.pem and hub.key for this machine; the authority's certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def builder(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(authority))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
        )

    ca = builder(authority, ca_key.public_key()).add_extension(x509.BasicConstraints(True, 0), True).sign(ca_key, hashes.SHA256())
    here = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))])
    hub = builder("localhost", key.public_key()).add_extension(here, False).sign(ca_key, hashes.SHA256())
    pem = ca.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "hub.pem").write_bytes(hub.public_bytes(serialization.Encoding.PEM))
    (folder / "hub.key").write_bytes(private_pem(key))
    return pem


@dataclass
class Embedded:
    """A hub that listens. logins: site -> public login key; a test may change it while the hub runs."""

    parties: Parties
    ca_pem: bytes = b""
    logins: dict[SiteId, bytes] = field(default_factory=dict)
    clock_is_wrong: Tell = lambda _, __: None

    def __post_init__(self) -> None:
        self.ca_pem = make_certificates(self.parties.folder / "tls")
        for site in self.parties.sites:
            key = ec.generate_private_key(ec.SECP384R1())
            path = self.login_key(site)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(private_pem(key))
            path.chmod(0o600)
            self.logins[site] = public_pem(key)
        self.store: BodyStore = self.parties.store()
        self.hub = self.new_hub(0)

    def new_hub(self, port: int) -> FlowerHub:
        tls = self.parties.folder / "tls"
        bodies = BodyApp(self.store, lambda: self.parties.roster)
        files = (tls / "hub.pem", tls / "hub.key")
        return FlowerHub(HOST, port, *files, lambda: dict(self.logins), bodies, clock_is_wrong=self.clock_is_wrong)

    def login_key(self, site: SiteId) -> Path:
        return self.parties.folder / site / "keys" / "login.key"

    @property
    def address(self) -> str:
        return f"{HOST}:{self.hub.port}"

    @property
    def post(self) -> HubPost:
        return self.parties.hub_post(self.hub.carrier, self.store)

    def site_carrier(self, site: SiteId, proxy: str | None = None) -> FlowerSiteCarrier:
        node_file = self.parties.folder / site / "node"
        return FlowerSiteCarrier(self.address, self.ca_pem, self.login_key(site), node_file, proxy)

    def body_client(self, site: SiteId) -> BodyClient:
        return BodyClient(self.address, self.ca_pem, self.parties.sites[site])

    def site_post(self, site: SiteId) -> SitePost:
        return self.parties.site_post(site, self.site_carrier(site), self.body_client(site))

    def site_posts(self, names: Iterable[SiteId] = NAMES) -> dict[SiteId, SitePost]:
        return {site: self.site_post(site) for site in names}


@contextmanager
def listening(folder: Path, clock_is_wrong: Tell = lambda _, __: None) -> Iterator[Embedded]:
    embedded = Embedded(Parties(folder), clock_is_wrong=clock_is_wrong)
    embedded.hub.start()
    try:
        yield embedded
    finally:
        embedded.hub.stop()


@contextmanager
def with_sites(folder: Path, names: Iterable[SiteId] = NAMES) -> Iterator[Embedded]:
    with listening(folder) as embedded, served(embedded.site_posts(names)):
        yield embedded
