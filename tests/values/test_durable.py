"""Files are whole or absent: a full disk or a crash never costs the last good checkpoint."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from wardround.values.durable import place_of, sweep, write_atomic
from wardround.values.errors import RunError


def full_disk(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_new_file_holds_the_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    """Stray temporary files would fill a hospital's disk round by round."""
    write_atomic(tmp_path / "made" / "state", b"one")
    write_atomic(tmp_path / "made" / "state", b"two")
    assert (tmp_path / "made" / "state").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["state"]


@pytest.mark.parametrize(("module", "call"), [(os, "fsync"), (Path, "replace"), (tempfile, "mkstemp")])
def test_a_full_disk_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, call: str
) -> None:
    """Whatever step of the write fails: the old checkpoint is what --resume starts from."""
    target = tmp_path / "checkpoint"
    write_atomic(target, b"old")
    monkeypatch.setattr(module, call, full_disk)
    with pytest.raises(RunError, match=r"checkpoint could not be written.*No space left.*--resume"):
        write_atomic(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("number", "mend"), [("ENOSPC", "free some disk space"), ("EROFS", "mounted read-only"), ("EACCES", "right to write")]
)
def test_the_mend_is_that_of_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, mend: str) -> None:
    """Whoever frees space on a disk that is read-only has lost an evening."""

    def refused(*_: object) -> None:
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(RunError, match="could not be written") as error:
        write_atomic(tmp_path / "state", b"new")
    assert mend in error.value.hint


def test_bytes_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming first would leave, after a power cut, a checkpoint of zero bytes under the good name."""
    calls: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("replace"), replace(self, to))[1])
    write_atomic(tmp_path / "state", b"bytes")
    assert calls[:2] == ["fsync", "replace"]


def test_a_folder_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    """The user sees a sentence with a mend, not a traceback."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="could not be written"):
        write_atomic(tmp_path / "file" / "below", b"x")


def test_a_write_that_stops_half_way_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    """The true thing: a file-size limit stops the write in the middle, as a full disk does."""
    target = tmp_path / "checkpoint"
    write_atomic(target, b"old")
    script = (
        "import resource, signal, sys; from pathlib import Path; from wardround.values.durable import write_atomic;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "write_atomic(Path(sys.argv[1]), b'x' * 100_000)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=False)
    assert "RunError" in ended.stderr
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX thing")
def test_a_private_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """A site's memory holds what one hospital learned; other users of the machine have no business there."""
    write_atomic(tmp_path / "memory", b"x", private=True)
    write_atomic(tmp_path / "report", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "report").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_no_copy_of_a_file_has_its_place_also_where_the_inode_comes_again(tmp_path: Path) -> None:
    """A state that was restored in place must be known for one: file systems give inode numbers away again."""
    places: list[str] = []

    def content(file_place: str) -> list[bytes | memoryview]:
        places.append(file_place)
        return [b"sta", b"te"]

    for _ in range(6):
        write_atomic(tmp_path / "state", content)
        assert place_of(tmp_path / "state") == places[-1]
    assert len(set(places)) == 6
    (tmp_path / "state").write_bytes(b"restored")
    assert place_of(tmp_path / "state") == places[-1]
    (tmp_path / "state").rename(tmp_path / "moved")
    assert place_of(tmp_path / "moved") == places[-1]
    assert place_of(Path(shutil.copy2(tmp_path / "moved", tmp_path / "state"))) not in places


KILLED = """
import os, signal, sys
from pathlib import Path
from wardround.values.durable import write_atomic

def content(place):
    yield b"chains and shares"
    os.kill(os.getpid(), int(sys.argv[2]))

write_atomic(Path(sys.argv[1]), content, private=True)
"""


def stopped_write(target: Path, number: signal.Signals) -> "subprocess.Popen[bytes]":
    """A process that this signal hits in the middle of a write."""
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(target), str(int(number))])
    deadline = time.monotonic() + 30
    while not list(target.parent.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    return writer


@pytest.mark.permission
def test_what_a_killed_write_left_is_swept(tmp_path: Path) -> None:
    """Chains and shares of a kill in a state write stayed in the folder for ever, past every ratchet that was to forget them."""
    write_atomic(tmp_path / "state", b"old", private=True)
    stopped_write(tmp_path / "state", signal.SIGKILL).wait()
    (left,) = tmp_path.glob(".*.part")
    assert sweep(tmp_path, "another") == [] and left.exists()
    assert sweep(tmp_path, "state") == [left]
    assert [path.name for path in tmp_path.iterdir()] == ["state"] and sweep(tmp_path) == []


@pytest.mark.permission
@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
def test_a_write_that_goes_on_elsewhere_is_not_swept(tmp_path: Path) -> None:
    """Two processes may share a folder: the sweep of one must not cost the other its file."""
    writer = stopped_write(tmp_path / "state", signal.SIGSTOP)
    try:
        (part,) = tmp_path.glob(".*.part")
        assert sweep(tmp_path) == [] and part.exists()
    finally:
        writer.send_signal(signal.SIGCONT)
        assert writer.wait() == 0
    assert (tmp_path / "state").read_bytes() == b"chains and shares"


@pytest.mark.permission
def test_a_sweep_during_many_writes_costs_none_of_them(tmp_path: Path) -> None:
    """Between making a file and locking it, a sweeper takes it for a dead one's: the writer notices, and begins anew."""
    swept = 0

    def write() -> None:
        for number in range(100):
            write_atomic(tmp_path / "state", str(number).encode())

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        swept += len(sweep(tmp_path))
    writer.join()
    assert (tmp_path / "state").read_bytes() == b"99"
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state"], swept


@pytest.mark.permission
def test_only_what_an_atomic_write_names_so_is_swept(tmp_path: Path) -> None:
    """In a folder that people use, too, nothing of theirs is removed: no link, no folder, no file with another name."""
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / ".link.abcdefgh.part").symlink_to(tmp_path / "real")
    (tmp_path / ".folder.abcdefgh.part").mkdir()
    for name in ("film.part", ".film.part", ".state.ABCDEFGH.part", ".state.abcdefghi.part", "state.abcdefgh.part"):
        (tmp_path / name).write_bytes(b"x")
    before = sorted(tmp_path.iterdir())
    assert sweep(tmp_path) == [] and sorted(tmp_path.iterdir()) == before
    assert sweep(tmp_path / "none") == []


@pytest.mark.permission
@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX thing")
def test_folders_made_for_a_private_file_are_private(tmp_path: Path) -> None:
    """The name of a file and when it changes tell something as well."""
    write_atomic(tmp_path / "site" / "north" / "key", b"x", private=True)
    write_atomic(tmp_path / "public" / "report", b"x")
    (tmp_path / "plain").mkdir()
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("site", "site/north")} == {0o700}
    assert (tmp_path / "public").stat().st_mode == (tmp_path / "plain").stat().st_mode
