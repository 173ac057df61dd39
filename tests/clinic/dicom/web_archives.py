"""DICOMweb services on loopback that say what a test tells them: an archive that errs, and one that is hostile."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class WebArchive:
    """A running one. asked: "METHOD path" of every request. headers: of the latest."""

    port: int
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"


@contextlib.contextmanager
def web_archive(reply: Callable[[str, str], Reply]) -> Iterator[WebArchive]:
    """reply: (method, path) -> status, headers, body."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            archive.asked.append(f"{self.command} {self.path}")
            archive.headers = dict(self.headers.items())
            status, headers, body = reply(self.command, self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    archive = WebArchive(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def dicom_json(*rows: dict[str, object]) -> Reply:
    """An answer to a search. A row is tag -> value."""
    told = [{tag: {"vr": "LO", "Value": [value]} for tag, value in row.items()} for row in rows]
    return 200, {"Content-Type": "application/dicom+json"}, json.dumps(told).encode()


def part(content: bytes, boundary: str = "b0undary") -> Reply:
    """An answer to WADO-RS."""
    body = b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (boundary.encode(), content, boundary.encode())
    return 200, {"Content-Type": f'multipart/related; type="application/dicom"; boundary="{boundary}"'}, body
