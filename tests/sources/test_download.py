"""Downloads, against a server of our own on this machine."""

import errno
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wardround.sources.datasets import download
from wardround.sources.datasets.download import fetch
from wardround.values.errors import DataError

CONTENT = bytes(range(256)) * 8000
SHA = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Publisher:
    """A server that can be told to break off, to ignore ranges, or to serve something else."""

    content: bytes = CONTENT
    break_after: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    told = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            told.asked.append(asked)
            if not self.path.endswith("data.bin"):
                self.send_error(404)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and told.ranges else 0
            if start >= len(told.content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = told.content[start:]
            self.send_response(206 if asked and told.ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: told.break_after.pop(0)] if told.break_after else body)
            self.close_connection = True

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    told.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_arrives_whole_and_progress_is_told(publisher: Publisher, tmp_path: Path) -> None:
    """The plain case."""
    seen: list[tuple[str, int, int | None]] = []
    fetch(f"{publisher.address}/data.bin", tmp_path / "set" / "data.bin", SHA, lambda *told: seen.append(told))
    assert (tmp_path / "set" / "data.bin").read_bytes() == CONTENT
    assert seen[-1] == ("data.bin", len(CONTENT), len(CONTENT))
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["data.bin"]


def test_a_broken_connection_is_resumed_where_it_broke(publisher: Publisher, tmp_path: Path) -> None:
    """Hospital lines break; two gigabytes are not fetched twice."""
    publisher.break_after = [300_000, 500_000]
    fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert publisher.asked == [None, "bytes=300000-", "bytes=800000-"]


def test_what_came_is_kept_for_the_next_command(publisher: Publisher, tmp_path: Path) -> None:
    """Where the line stays broken, the part stays; the name stays free."""
    publisher.break_after = [1000, 1000, 1000]
    with pytest.raises(DataError, match="broke off"):
        fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin.part"]
    assert (tmp_path / "data.bin.part").stat().st_size == 3000
    fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert publisher.asked[-1] == "bytes=3000-"
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(publisher: Publisher, tmp_path: Path) -> None:
    """Appending its whole answer to the part would double the beginning."""
    publisher.ranges = False
    publisher.break_after = [300_000]
    fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_taken(publisher: Publisher, tmp_path: Path) -> None:
    """Killed between the last byte and the rename."""
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_is_left(publisher: Publisher, tmp_path: Path) -> None:
    """Other bytes than promised: changed by the publisher, or by someone on the way."""
    publisher.content = CONTENT + b"!"
    with pytest.raises(DataError, match="another hash"):
        fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert list(tmp_path.iterdir()) == []


def test_an_md5_is_checked_where_the_publisher_states_one(publisher: Publisher, tmp_path: Path) -> None:
    """MedMNIST publishes no other."""
    fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", "md5:" + hashlib.md5(CONTENT).hexdigest())
    assert (tmp_path / "data.bin").exists()


def test_an_absent_file_and_an_absent_server_are_told_apart(publisher: Publisher, tmp_path: Path) -> None:
    """One is mended by the publisher, the other by the network."""
    with pytest.raises(DataError, match="HTTP status 404"):
        fetch(f"{publisher.address}/gone", tmp_path / "gone", SHA)
    with pytest.raises(DataError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/data.bin", tmp_path / "data.bin", SHA)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_the_part_kept(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After space was made the download goes on."""

    def full(_response: object, file: object, *_args: object) -> bool:
        file.write(CONTENT[:1000])  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download, "_copy", full)
        with pytest.raises(DataError, match=r"could not be written.*No space left"):
            fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin.part").stat().st_size == 1000
    fetch(f"{publisher.address}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
