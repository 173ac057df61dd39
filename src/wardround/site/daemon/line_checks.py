"""Why the line to the hub is broken, step by step, as somebody with a terminal would look.

    name -> address -> port open -> (proxy lets through) -> TLS -> whose certificate

Each step says what it saw. The first that fails is the reason; nothing after it is tried. Nothing is sent but a CONNECT to the
proxy and the first words of TLS.
"""

import base64
import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import SplitResult, unquote, urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from wardround.site.daemon.connection import Connection
from wardround.site.daemon.finding import Finding
from wardround.values.printable import printable
from wardround.wire.hub_address import HubAddress
from wardround.wire.invitation import AUTHORITY_NAME

STEP_S = 10.0
_PROXY_ANSWER = 1 << 14
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_IP = 9, 10, 62, 64  # X509_V_ERR_* of OpenSSL


class BrokenStepError(Exception):
    """A step of the way to the hub failed."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


@dataclass(frozen=True)
class Shown:
    """The certificate that came, whoever sent it."""

    subject: str
    issuer: str
    first_day: datetime
    last_day: datetime

    @property
    def is_a_hubs(self) -> bool:
        """Whether an authority of some hub made it, by its name; a name proves nothing."""
        return self.issuer == AUTHORITY_NAME


def look_at_line(connection: Connection) -> list[Finding]:
    """Every step that was tried; only the last can be a fault."""
    findings: list[Finding] = []
    try:
        findings.extend(_steps(connection))
    except BrokenStepError as broken:
        findings.append(broken.finding)
    return findings


def line_fault(connection: Connection) -> Finding | None:
    """The first step that fails; None where a TLS connection to the hub can be made."""
    return next((finding for finding in look_at_line(connection) if finding.level == "fault"), None)


def _steps(connection: Connection) -> Iterator[Finding]:
    proxy = _proxy(connection)
    host, port = (
        (proxy.hostname or "", proxy.port or _port(proxy)) if proxy else (connection.address.host, connection.address.port)
    )
    label = "proxy" if proxy else "hub"
    yield _resolved(host, port, label)
    with _reached(host, port, label) as line:
        yield Finding("port", "good", f"{label} {host}, port {port}, is open")
    if proxy:
        with _tunnel(connection.address, proxy):
            yield Finding("proxy", "good", f"the proxy lets through to {connection.address}")
    with _line(connection, proxy) as line:
        yield _greeted(connection, proxy, line)


def _proxy(connection: Connection) -> SplitResult | None:
    if connection.proxy is None:
        return None
    proxy = urlsplit(connection.proxy)
    try:
        sound = proxy.scheme in ("http", "https") and bool(proxy.hostname) and (proxy.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        text = f"HTTPS_PROXY is no address of an HTTP proxy: {printable(proxy.scheme)[:20]}://…"
        raise _fault("proxy", text, "set it as HTTPS_PROXY=http://proxy.example.org:3128")
    return proxy


def _resolved(host: str, port: int, label: str) -> Finding:
    try:
        addresses = sorted({str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError) as error:
        raise _fault(
            "name",
            f"DNS: the name of the {label}, {host}, has no address here ({_reason(error)})",
            f"try `nslookup {host}` and ask your network office; where only the proxy may look names up, set HTTPS_PROXY",
        ) from error
    return Finding("name", "good", f"{host} is {', '.join(addresses[:4])}")


def _reached(host: str, port: int, label: str) -> socket.socket:
    try:
        return socket.create_connection((host, port), STEP_S)
    except ConnectionRefusedError as error:
        raise _fault(
            "port",
            f"Port {port} of the {label} {host} is closed",
            "the hub may be down: ask whether `wardround hub up` runs there, and whether the port is right"
            if label == "hub"
            else "ask your network office for the proxy's port, and set HTTPS_PROXY",
        ) from error
    except OSError as error:
        raise _fault(
            "port",
            f"The {label} {host}, port {port}, cannot be reached ({_reason(error)})",
            f"ask your network office to allow outgoing TCP to {host}, port {port}; or set HTTPS_PROXY if there is a proxy",
        ) from error


def _tunnel(address: HubAddress, proxy: SplitResult) -> socket.socket:
    """A connection to the hub through the proxy. A proxy's own certificate is held against those that this system trusts."""
    line = _reached(proxy.hostname or "", proxy.port or _port(proxy), "proxy")
    try:
        if proxy.scheme == "https":
            line = ssl.create_default_context().wrap_socket(line, server_hostname=proxy.hostname)
        line.sendall(_connect(address, proxy))
        status = _proxy_status(line)
    except (OSError, ValueError) as error:
        line.close()
        raise _fault(
            "proxy", f"The proxy does not speak HTTP ({_reason(error)})", "ask for its address and set HTTPS_PROXY"
        ) from error
    if status == 200:
        return line
    line.close()
    raise _refused_by_proxy(address, status)


def _connect(address: HubAddress, proxy: SplitResult) -> bytes:
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if proxy.username:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _proxy_status(line: socket.socket) -> int:
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _PROXY_ANSWER:
        piece = line.recv(4096)
        if not piece:
            break
        answer += piece
    words = answer.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ValueError("no answer of HTTP")
    return int(words[1])


def _refused_by_proxy(address: HubAddress, status: int) -> BrokenStepError:
    if status == 407:
        return _fault("proxy", "The proxy asks for a login (407)", "set HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT")
    return _fault(
        "proxy",
        f"The proxy does not let through to {address} (CONNECT answered with {status})",
        f"ask your network office to allow CONNECT to {address}",
    )


@contextlib.contextmanager
def _line(connection: Connection, proxy: SplitResult | None) -> Iterator[socket.socket]:
    address = connection.address
    line = _tunnel(address, proxy) if proxy else _reached(address.host, address.port, "hub")
    with line:
        yield line


def _greeted(connection: Connection, proxy: SplitResult | None, line: socket.socket) -> Finding:
    """TLS with the hub's authority alone; where that fails, with what `--extra-ca` allows, and then the reason."""
    host = connection.address.host
    try:
        with connection.context(extra=False).wrap_socket(line, server_hostname=host) as secured:
            last = _shown(secured).last_day
            return Finding("certificate", "good", f"the hub's own, {secured.version()}, good until {last:%Y-%m-%d}")
    except ssl.SSLCertVerificationError as error:
        if connection.extra_ca and _is_allowed(connection, proxy):
            issuer = _other_certificate(connection, proxy).issuer
            text = f"TLS inspection: the certificate is issued by {issuer}, which --extra-ca allows; messages stay sealed"
            return Finding("certificate", "warning", text, "nothing, if your network office does this knowingly")
        raise _wrong_certificate(connection, _other_certificate(connection, proxy), error.verify_code) from error
    except (OSError, ValueError) as error:
        raise _no_tls(connection, error) from error


def _is_allowed(connection: Connection, proxy: SplitResult | None) -> bool:
    try:
        with _line(connection, proxy) as line:
            connection.context().wrap_socket(line, server_hostname=connection.address.host).close()
    except (OSError, ValueError):
        return False
    return True


def _other_certificate(connection: Connection, proxy: SplitResult | None) -> Shown:
    """The certificate that is shown here, looked at and not trusted: nothing is said over this connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _line(connection, proxy) as line, context.wrap_socket(line, server_hostname=connection.address.host) as secured:
            return _shown(secured)
    except (OSError, ValueError) as error:
        raise _no_tls(connection, error) from error


def _shown(secured: ssl.SSLSocket) -> Shown:
    certificate = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
    days = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Shown(_common_name(certificate.subject), _common_name(certificate.issuer), *days)


def _common_name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return printable(str(common[0].value) if common else name.rfc4514_string())[:100] or "somebody without a name"


def _wrong_certificate(connection: Connection, shown: Shown, code: int) -> BrokenStepError:
    now = datetime.now(UTC)
    if code == _NOT_YET or (code == _EXPIRED and shown.is_a_hubs):
        when = f"good from {shown.first_day:%Y-%m-%d} to {shown.last_day:%Y-%m-%d}"
        side = "has expired" if code == _EXPIRED else "is not good yet"
        text = f"The hub's certificate {side}: it is {when}, and this machine's clock says {now:%Y-%m-%d %H:%M} UTC"
        return _fault(
            "certificate", text, "set this machine's clock by a time server; if it is right, the hub starts `hub up` anew"
        )
    if code in (_OTHER_NAME, _OTHER_IP):
        text = f"The certificate is the hub authority's, for another address than {connection.address}"
        return _fault("certificate", text, "ask the hub for a new invitation with its present address")
    if shown.is_a_hubs:
        text = f"At {connection.address} answers another hub than the one that invited: its authority is not the invitation's"
        return _fault("certificate", text, "ask the hub whether it was made anew; then it has to invite again")
    return _inspection(connection, shown)


def _inspection(connection: Connection, shown: Shown) -> BrokenStepError:
    return _fault(
        "certificate",
        f"TLS inspection: instead of the hub's certificate came one for {shown.subject}, issued by {shown.issuer}, "
        f"good until {shown.last_day:%Y-%m-%d}",
        f"ask your network office to except {connection.address} from TLS inspection; if it may not, name the certificate of the "
        "inspecting authority: wardround site join INVITATION --extra-ca FILE",
    )


def _no_tls(connection: Connection, error: Exception) -> BrokenStepError:
    return _fault(
        "certificate",
        f"{connection.address} is open, but no TLS connection comes about ({_reason(error)})",
        "check the port; if it is right, a firewall breaks the connection: ask your network office",
    )


def _fault(check: str, text: str, mend: str) -> BrokenStepError:
    return BrokenStepError(Finding(check, "fault", text, mend))


def _port(proxy: SplitResult) -> int:
    return 443 if proxy.scheme == "https" else 80


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {STEP_S:.0f} s"
    return printable(getattr(error, "strerror", "") or getattr(error, "reason", "") or str(error) or type(error).__name__)[:120]
