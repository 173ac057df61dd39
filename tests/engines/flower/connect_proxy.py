"""A proxy as hospitals have it: CONNECT, and either the line as it is, or TLS of its own in the middle (inspection)."""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path


class ConnectProxy:
    """Forwards. inspects: folder with hub.pem and hub.key of another authority, with which it opens TLS. refuses: says 403."""

    def __init__(self, inspects: Path | None = None, *, refuses: bool = False) -> None:
        self._inspects, self._refuses = inspects, refuses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError), near:
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(4096)
            target = head.split()[1].decode()
            self.asked.append(target)
            if self._refuses:
                near.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                return
            host, port = target.rsplit(":", 1)
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if self._inspects is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._inspects / "hub.pem", self._inspects / "hub.key")
                with context.wrap_socket(near, server_side=True) as opened:
                    opened.recv(65536)  # a site that sends anything of its own here has lost
                    opened.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                return
            with socket.create_connection((host, int(port))) as far:
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join(30.0)


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
