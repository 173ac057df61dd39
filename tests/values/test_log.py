"""A site's log: it never raises, never grows without end, and is written in no other file than its own."""

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.values.log import BEFORE, FILE_BYTES, FIRST, LOG, TEXT_LIMIT, shortened, write_log

pytestmark = pytest.mark.permission


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.skipif(os.name != "posix", reason="rights of files are a POSIX thing")
def test_the_log_is_for_this_user_whatever_the_umask(tmp_path: Path) -> None:
    """An error's text may quote a record."""
    before = os.umask(0)
    try:
        write_log(tmp_path, "data", "one")
        (tmp_path / LOG).chmod(0o666)
        write_log(tmp_path, "data", "two")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / LOG).stat().st_mode) == 0o600
    assert [line["text"] for line in lines(tmp_path / LOG)] == ["one", "two"]


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_a_file(path: Path) -> None:
    (path.parent / "victim").write_bytes(b"")
    path.symlink_to(path.parent / "victim")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "made by the log")


def a_full_device(path: Path) -> None:
    path.symlink_to("/dev/full")


def no_folder_for_it(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.skipif(os.name != "posix", reason="makes POSIX files")
@pytest.mark.parametrize(
    "obstacle",
    [a_folder, a_pipe, a_link_to_a_file, a_link_to_nothing, a_full_device, no_folder_for_it],
    ids=lambda one: one.__name__,
)
def test_a_log_that_cannot_be_written_raises_nothing_and_writes_nowhere_else(
    tmp_path: Path, obstacle: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """An unwritable log raised out of a site's `handle`, and a link sent what quotes records wherever its maker liked."""
    folder = tmp_path / "site"
    folder.mkdir()
    obstacle(folder / LOG)
    before = sorted(tmp_path.rglob("*"))
    write_log(folder, "data", "patient 7")
    assert sorted(tmp_path.rglob("*")) == before
    assert all(path.read_bytes() == b"" for path in folder.glob("victim"))
    told = capfd.readouterr().err
    assert str(folder / LOG) in told and "left out: data" in told and "patient" not in told


@pytest.mark.skipif(os.name != "posix", reason="file-size limits are a POSIX thing")
def test_a_disk_that_fills_up_in_the_middle_of_a_line_leaves_whole_lines(tmp_path: Path) -> None:
    """Half a line would make the next one unreadable, too: both would be lost to whoever looks for the reason."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from wardround.values.log import write_log;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); folder = Path(sys.argv[1]); write_log(folder, 'one', 'x' * 100);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (400, {resource.RLIM_INFINITY}));"
        "write_log(folder, 'two', 'y' * 1000); write_log(folder, 'three', 'z')"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "the disk is full); left out: two" in ended.stderr
    assert [line["code"] for line in lines(tmp_path / LOG)] == ["one", "three"]


def test_a_flood_of_lines_keeps_the_first_and_the_last(tmp_path: Path) -> None:
    """Whoever floods a log to hide what they did before, or will do after, hides neither."""
    numbers = range(4 * FILE_BYTES // 4000)
    for number in numbers:
        write_log(tmp_path, "wire", f"{number} {'x' * 3900}")
    files = [tmp_path / name for name in (FIRST, BEFORE, LOG)]
    assert all(path.stat().st_size <= FILE_BYTES for path in files)
    assert len(list(tmp_path.iterdir())) == 3
    first, before, last = ([int(line["text"].split()[0]) for line in lines(path)] for path in files)
    assert first == list(range(len(first))) and len(first) > 200
    assert before + last == list(numbers)[-len(before + last) :] and len(before) > 200


@pytest.mark.slow
@given(st.text(max_size=200), st.text(max_size=50), st.integers(1, 300))
def test_any_text_makes_one_short_line(tmp_path_factory: pytest.TempPathFactory, text: str, code: str, times: int) -> None:
    """Surrogates, line breaks and megabytes of a traceback among them."""
    folder = tmp_path_factory.mktemp("site")
    write_log(folder, code, text * times)
    (line,) = lines(folder / LOG)
    assert line["code"] == code
    assert line["text"] == text * times or len(line["text"]) < TEXT_LIMIT + 60


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    """The last lines of a traceback say what went wrong, the first where it began."""
    text = "".join(f"{number:06d} " for number in range(10_000))
    short = shortened(text)
    assert short.startswith(text[:1000]) and short.endswith(text[-3000:]) and "66000 characters left out" in short
    assert shortened(text[:TEXT_LIMIT]) == text[:TEXT_LIMIT]


def test_without_a_standard_error_nothing_is_raised_nor_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A service may run without one, and a site's standard output carries messages."""
    (tmp_path / LOG).mkdir()
    monkeypatch.setattr(sys, "stderr", None)
    write_log(tmp_path, "data", "x")
    assert capfd.readouterr().out == ""
