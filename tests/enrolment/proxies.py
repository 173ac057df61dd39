"""Proxies of a hospital: one that lets through, one that refuses, one that opens TLS with an authority of its own."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Through = Callable[[socket.socket, str, int], None]


class OwnAuthority:
    """An authority that signs a certificate for any address, as inspecting proxies have one."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        self.certificate = self._signed(name, self._key, now - timedelta(days=9), now + timedelta(days=9), authority=True)
        self.path = folder / "authority.pem"
        self.path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def pair_for(self, host: str, *, begins: int = -1, ends: int = 5) -> Path:
        """A file with key and certificate for the host; begins, ends: days from now."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        certificate = self._signed(host, key, now + timedelta(days=begins), now + timedelta(days=ends), authority=False)
        path = self._folder / f"{host.replace(':', '_')}{begins}{ends}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return path

    def _signed(
        self, name: str, key: ec.EllipticCurvePrivateKey, first: datetime, last: datetime, *, authority: bool
    ) -> x509.Certificate:
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, self.name))
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(first).not_valid_after(last)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@contextlib.contextmanager
def proxy(through: Through) -> Iterator[str]:
    """The address of a proxy; `through` gets the client's socket, and host and port that it asked for by CONNECT."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, through), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _serve(server: socket.socket, through: Through) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_one, args=(client, through), daemon=True).start()


def _one(client: socket.socket, through: Through) -> None:
    with client, contextlib.suppress(OSError, ssl.SSLError):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        host, _, port = head.split()[1].decode().rpartition(":")
        through(client, host, int(port))


def lets_through(client: socket.socket, host: str, port: int) -> None:
    with socket.create_connection((host, port)) as hub:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        _pump(client, hub)


def answers(status: int) -> Through:
    """A proxy that says no."""

    def through(client: socket.socket, _host: str, _port: int) -> None:
        client.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    return through


def opens_tls(authority: OwnAuthority) -> Through:
    """A proxy that shows a certificate of its own authority, and reads what is said."""

    def through(client: socket.socket, host: str, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.pair_for(host))
        outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        outside.check_hostname, outside.verify_mode = False, ssl.CERT_NONE
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with (
            socket.create_connection((host, port)) as hub,
            context.wrap_socket(client, server_side=True) as inside,
            outside.wrap_socket(hub) as secured,
        ):
            _pump(inside, secured)

    return through


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until either side ends."""
    back = threading.Thread(target=_pour, args=(other, one), daemon=True)
    back.start()
    _pour(one, other)
    back.join()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for side in (source, sink):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
