"""A log whose lines are chained: what was changed shows, what a crash left is mended, and processes do not tear it apart."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.values.canonical import canonical_json
from wardround.values.chained_log import CURRENT, START, ChainedLog, Head, log_files, verify
from wardround.values.errors import RunError

FACTS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=10) | st.none(), max_size=3)


def written(folder: Path, count: int, **sizes: int) -> ChainedLog:
    log = ChainedLog(folder, **sizes)
    for number in range(count):
        log.append("test", f"line {number}", number=number)
    return log


def all_lines(folder: Path) -> list[bytes]:
    return [line for path in log_files(folder) for line in path.read_bytes().splitlines(keepends=True)]


@given(st.lists(st.tuples(st.text(max_size=20), FACTS), max_size=10), st.integers(1, 2000))
@settings(max_examples=25, deadline=None)
def test_what_was_logged_is_there_in_one_chain(lines: list[tuple[str, dict]], file_bytes: int) -> None:
    """Any text, any facts, files of any size."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "log"
        log = ChainedLog(folder, file_bytes=file_bytes)
        heads = [log.append("code", text, facts=facts) for text, facts in lines]
        assert [entry.facts["facts"] for entry in log.entries()] == [facts for _, facts in lines]
        check = verify(folder)
        assert check.problem == ""
        assert check.head == log.head == (heads[-1] if heads else Head())
        assert check.heads == {head.entries: head.sha256 for head in heads}


def test_an_empty_log_has_a_head(tmp_path: Path) -> None:
    """Whoever has said nothing yet can say that."""
    assert ChainedLog(tmp_path / "log").head == verify(tmp_path / "log").head == Head(0, START)


def test_every_changed_byte_shows(tmp_path: Path) -> None:
    """In the text, in a number, in a hash, at a line's end; but a changed last line shows only in its head."""
    log = written(tmp_path / "log", 4)
    path, right = tmp_path / "log" / CURRENT, (tmp_path / "log" / CURRENT).read_bytes()
    before = log.head
    for position in range(len(right)):
        path.write_bytes(right[:position] + bytes([right[position] ^ 1]) + right[position + 1 :])
        check = verify(tmp_path / "log")
        assert check.problem or check.head != before
    path.write_bytes(right)
    assert verify(tmp_path / "log").problem == ""


def test_lines_cannot_be_left_out_put_in_or_moved(tmp_path: Path) -> None:
    """The chain breaks; a log that was cut off at its end lacks a head that others have heard."""
    log = written(tmp_path / "log", 5)
    heard, lines = log.head, all_lines(tmp_path / "log")
    path = tmp_path / "log" / CURRENT
    for wrong in (
        lines[1:],
        lines[:2] + lines[3:],
        [*lines[:2], lines[3], lines[2], lines[4]],
        [*lines[:3], lines[2], *lines[3:]],
    ):
        path.write_bytes(b"".join(wrong))
        assert verify(tmp_path / "log").problem
    path.write_bytes(b"".join(lines[:3]))
    check = verify(tmp_path / "log")
    assert check.problem == "" and check.heads.get(heard.entries) != heard.sha256


def test_a_line_that_is_written_otherwise_is_no_line_of_the_log(tmp_path: Path) -> None:
    """The same facts with a space between them would have another hash, and two readings."""
    written(tmp_path / "log", 2)
    path = tmp_path / "log" / CURRENT
    entry = json.loads(path.read_bytes().splitlines()[1])
    first = path.read_bytes().splitlines(keepends=True)[0]
    for line in (json.dumps(entry).encode(), canonical_json({**entry, "more": 1}), b"[]", b"{}", b"\xff"):
        path.write_bytes(first + line + b"\n")
        assert "line" in verify(tmp_path / "log").problem


def test_half_a_line_is_cut_off_and_said(tmp_path: Path) -> None:
    """A crash between two bytes leaves it: it was never logged, and the chain goes on from the line before."""
    log = written(tmp_path / "log", 3)
    path = tmp_path / "log" / CURRENT
    with path.open("ab") as file:
        file.write(all_lines(tmp_path / "log")[0][:50])
    assert log.head.entries == 4
    assert [entry.code for entry in log.entries()] == ["test"] * 3 + ["log-mended"]
    assert verify(tmp_path / "log").problem == ""


def test_the_chain_goes_on_from_file_to_file(tmp_path: Path) -> None:
    """A full file is closed and kept; also where the last line of all lies in one that is closed."""
    log = written(tmp_path / "log", 30, file_bytes=1000)
    files = log_files(tmp_path / "log")
    assert len(files) > 3 and all(path.stat().st_size <= 1000 for path in files)
    assert verify(tmp_path / "log").head == log.head
    head = log.head
    (tmp_path / "log" / CURRENT).rename(tmp_path / "log" / f"{head.entries:012d}.ndjson")  # killed before the next line
    assert ChainedLog(tmp_path / "log").append("test", "on").entries == head.entries + 1
    assert verify(tmp_path / "log").problem == ""
    files[0].unlink()
    assert verify(tmp_path / "log").problem


def test_a_file_that_was_closed_has_its_name_before_the_next_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut the next file could be there and the full one not: a chain that leads to nothing."""
    log = written(tmp_path / "log", 5, file_bytes=1000)
    calls: list[str] = []
    replace, sync = Path.replace, os.fsync

    def synced(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "line")
        sync(descriptor)

    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("rename"), replace(self, to))[1])
    monkeypatch.setattr(os, "fsync", synced)
    while "rename" not in calls:
        log.append("test", "a line that fills the file")
    assert calls[calls.index("rename") :] == ["rename", "folder", "line"]


MANY = """
import sys
from pathlib import Path
from wardround.values.chained_log import ChainedLog

log = ChainedLog(Path(sys.argv[1]), file_bytes=3000)
for number in range(20):
    log.append("test", sys.argv[2], number=number)
"""


def test_processes_append_side_by_side(tmp_path: Path) -> None:
    """Service and commands write one log: every line is whole, in the chain, and none is lost."""
    command = [sys.executable, "-c", MANY, str(tmp_path / "log")]
    workers = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    check = verify(tmp_path / "log")
    assert (check.problem, check.head.entries) == ("", 60)
    for name in "abc":
        lines = [entry.facts["number"] for entry in ChainedLog(tmp_path / "log").entries() if entry.text == name]
        assert lines == list(range(20))


def test_a_log_that_others_can_read_or_that_is_no_log_is_refused(tmp_path: Path) -> None:
    """Fail closed: what is not logged is not done."""
    log = written(tmp_path / "log", 1)
    path = tmp_path / "log" / CURRENT
    path.chmod(0o644)
    with pytest.raises(RunError, match="Other users"):
        log.append("test", "x")
    path.chmod(0o600)
    path.write_bytes(b"no line of a log\n")
    with pytest.raises(RunError, match="no line of a log"):
        log.append("test", "x")


def test_a_text_cannot_write_lines_of_its_own(tmp_path: Path) -> None:
    """A message from elsewhere is quoted in the log: line ends and terminal codes in it stay inside its line."""
    log = written(tmp_path / "log", 0)
    log.append("test", 'a\n{"code":"forged"}\x1b[2J', name="b\nc")
    (line,) = all_lines(tmp_path / "log")
    assert b"\x1b" not in line
    assert verify(tmp_path / "log").head.entries == 1
