"""What every source of files promises besides: nothing vanishes, and what cannot be read is named. Readers inherit it."""

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wardround.sources.files.set_aside import FileAccount
from wardround.sources.opening import FileSource, open_source
from wardround.sources.readiness.report import Readiness
from wardround.values.errors import DataError

from .source_conformance import SourceConformance, case, same

NOBODY = 65534


def codes(report: Readiness) -> dict[str, list[str]]:
    """The files that each finding names."""
    return {finding.code: [spot.file for spot in finding.places] for finding in report.findings}


def account_of(source: FileSource) -> FileAccount:
    account = source.reader(source.path, source.contract).account
    assert account is not None
    return account


@contextmanager
def unprivileged(path: Path) -> Iterator[None]:
    """As a user without rights, in this process; what a test needs must be loaded before. Folders above `path` are opened up."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights of this kind are POSIX")
    if os.geteuid() != 0:
        yield  # whoever runs the tests has no rights over what was closed to its owner
        return
    for folder in path.parents:
        if "pytest" in str(folder):
            folder.chmod(0o755)
    for own in (path.parent / "user", *(path.parent / "user").rglob("*")):
        if own.exists():  # what a reader keeps for its user
            os.chown(own, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def bmp() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(content, "BMP")
    return content.getvalue()


def put(path: Path, name: str, content: bytes) -> None:
    """Another file in a folder or a zip."""
    if path.is_dir():
        (path / name).write_bytes(content)
        return
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, content)


class FileConformance(SourceConformance):
    """`write` returns a folder or a zip of one file a record."""

    def a_file(self, path: Path) -> Path:
        """A record's file in a folder; skips where the source is a zip, which has no rights and no links of this kind."""
        if not path.is_dir():
            pytest.skip("a zip has no rights and no links of this kind")
        return min(file for file in path.rglob("*") if file.is_file() and file.name != "manifest.csv")

    def test_the_account_of_a_good_source_is_its_records(self, tmp_path: Path) -> None:
        """walked = read + refused + unused, and nothing is unused but the list."""
        source = open_source(self.write(tmp_path / "a", case()), self.contract())
        account = account_of(source)
        assert (account.read, account.refused) == (60, 0)
        assert account.walked - account.read == sum(account.unused.values()) == account.unused.get("manifest", 0)

    def test_what_is_not_used_is_told_here_by_name_and_never_sent(self, tmp_path: Path) -> None:
        """A forgotten half of the data would never be noticed; its names are for this machine."""
        path = self.write(tmp_path / "a", case())
        odd = {"note-of-ward.txt": b"x", "old-scan.bmp": bmp(), ".hidden-scan": b"x", "Thumbs.db": b"x", "more-labels.csv": b"x"}
        for name, content in odd.items():
            put(path, name, content)
        source = open_source(path, self.contract())
        report = source.check()
        assert report.ready()
        assert {code: codes(report)[code] for code in ("other-file", "unread-kind", "hidden", "litter", "table")} == {
            "other-file": ["note-of-ward.txt"],
            "unread-kind": ["old-scan.bmp"],
            "hidden": [".hidden-scan"],
            "litter": ["Thumbs.db"],
            "table": ["more-labels.csv"],
        }
        account = account_of(source)
        assert account.walked == account.read + 5 + account.unused.get("manifest", 0)
        assert not any(name in str(report.to_json()) for name in odd)

    def test_what_may_not_be_read_is_named(self, tmp_path: Path) -> None:
        """Files and folders without permission vanished, and the rest was READY."""
        path = self.write(tmp_path / "a", case())
        closed = self.a_file(path)
        open_source(path, self.contract()).check()  # loads what this user may not load
        (path / "closed").mkdir(mode=0)
        closed.chmod(0)
        with unprivileged(path):
            report = open_source(path, self.contract()).check()
        told = codes(report)
        assert not report.ready()
        assert told["forbidden-file"] == [closed.relative_to(path).as_posix()]
        assert told["forbidden-folder"] == ["closed/"]
        assert closed.name not in str(report.to_json())
        (path / "closed").chmod(0o755)

    def test_a_linked_source_is_the_source(self, tmp_path: Path) -> None:
        """Hospitals link to their archive; links are followed, and what they double is refused by both names."""
        path = self.write(tmp_path / "a", case())
        real = self.a_file(path)
        (tmp_path / "linked").mkdir()
        for part in path.iterdir():
            (tmp_path / "linked" / part.name).symlink_to(part)
        linked = open_source(tmp_path / "linked", self.contract())
        assert same(linked.load(), open_source(path, self.contract()).load())
        again = real.with_name(f"again-{real.name}")
        again.symlink_to(real)
        report = open_source(path, self.contract()).check()
        names = sorted(file.relative_to(path).as_posix() for file in (real, again))
        assert codes(report)["reached-twice"] == names
        assert not report.ready()

    def test_a_name_that_is_not_utf8_is_refused_by_name(self, tmp_path: Path) -> None:
        """An old share has them; they ended in a traceback."""
        path = self.write(tmp_path / "a", case())
        real = self.a_file(path)
        try:
            (path / os.fsdecode(b"\xe4-scan")).write_bytes(real.read_bytes())
        except OSError:
            pytest.skip("this file system takes UTF-8 alone")
        source = open_source(path, self.contract())
        assert codes(source.check())["name-not-utf8"] == ["\\xe4-scan"]
        with pytest.raises(DataError, match="not in UTF-8"):
            source.load()

    def test_a_name_that_a_zip_holds_twice_is_refused(self, tmp_path: Path) -> None:
        """Which of the two is the record would hang on a library."""
        path = self.write(tmp_path / "a", case())
        if path.is_dir():
            pytest.skip("a folder holds a name once")
        with zipfile.ZipFile(path) as file:
            name = min(info.filename for info in file.infolist() if info.filename != "manifest.csv")
        put(path, name.replace("/", "\\"), b"other")
        source = open_source(path, self.contract())
        assert set(codes(source.check())["zip-doubled"]) == {name}
        with pytest.raises(DataError, match="several files of one name"):
            source.load()
