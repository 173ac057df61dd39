"""The line to the hub: whose certificate is accepted, and through which proxy it goes.

Trusted is the hub's own authority, out of the invitation, and nobody else of the many that a system trusts; besides it one that
this hospital named itself with `--extra-ca`, where its network opens TLS.
"""

import importlib
import ssl
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wardround.values.errors import EngineError, MissingExtraError
from wardround.values.version import __version__
from wardround.wire.hub_address import HubAddress

if TYPE_CHECKING:
    from types import ModuleType

    import httpx

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class HubAnswer:
    """What came back: the status code, the body, at most as long as was asked for, and the date that the sender wrote on it."""

    status: int
    body: bytes
    date: str = ""


@dataclass(frozen=True)
class Connection:
    """How a site reaches its hub. authority: the hub's, in PEM. extra_ca: certificates in PEM that are accepted as well."""

    address: HubAddress
    authority: str = field(repr=False)
    extra_ca: str = field(default="", repr=False)

    @property
    def ca_pem(self) -> bytes:
        """All certificates that the hub's may be signed by."""
        return (self.authority + self.extra_ca).encode("ascii")

    @property
    def proxy(self) -> str | None:
        """The proxy of HTTPS_PROXY or ALL_PROXY, unless NO_PROXY names the hub's host."""
        proxies = urllib.request.getproxies_environment()
        address = proxies.get("https") or proxies.get("all")
        if not address or urllib.request.proxy_bypass_environment(self.address.host, proxies):  # type: ignore[attr-defined]
            return None
        return address if "://" in address else f"http://{address}"

    def context(self, *, extra: bool = True) -> ssl.SSLContext:
        """What the hub's certificate is held against. extra: `extra_ca` is accepted too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.authority + (self.extra_ca if extra else ""))
        return context

    def client(self, timeout_s: float = TIMEOUT_S) -> "httpx.Client":
        """A client for this line alone. Of the environment it reads the proxy and nothing else."""
        client: httpx.Client = _httpx().Client(
            base_url=self.address.url,
            verify=self.context(),
            proxy=self.proxy,
            trust_env=False,
            timeout=timeout_s,
            headers={"user-agent": f"wardround/{__version__}"},
        )
        return client

    def post(self, path: str, data: bytes, limit: int) -> HubAnswer:
        """The answer to `data`, of which at most `limit` bytes are read. EngineError where nothing answered."""
        library = _httpx()
        try:
            with self.client() as client, client.stream("POST", path, content=data) as response:
                return HubAnswer(response.status_code, _limited(response, limit), response.headers.get("date", ""))
        except (library.HTTPError, library.InvalidURL, ImportError, ValueError, OSError) as error:
            raise EngineError(f"The hub at {self.address} did not answer", found=str(error)[:200]) from error


def _httpx() -> "ModuleType":
    try:
        return importlib.import_module("httpx")
    except ImportError as error:
        raise MissingExtraError("Talking to a hub needs the network extra", hint="pip install 'wardround[network]'") from error


def _limited(response: "httpx.Response", limit: int) -> bytes:
    body = bytearray()
    for piece in response.iter_raw(limit + 1):
        body += piece
        if len(body) > limit:
            raise ValueError(f"an answer of more than {limit} bytes")
    return bytes(body)
