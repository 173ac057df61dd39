"""A hospital's keys and memory are for its own user, whatever the umask; what others could touch is refused with its mend."""

import os
import shlex
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wardround.values.errors import RunError
from wardround.values.private_files import make_private, private_folder, private_lock, private_status, read_private

pytestmark = [pytest.mark.permission, pytest.mark.skipif(os.name != "posix", reason="rights of files are a POSIX thing")]
SIGN, SIGNS = "site.lock", ("key", "site.lock")
STRANGER = 54_321


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o777])
def any_umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def mended(error: pytest.ExceptionInfo[RunError]) -> None:
    """Follows the hint to the letter: what stands between the last colon, if any, and the semicolon is a command."""
    command = error.value.hint.split(";")[0].split(": ")[-1]
    subprocess.run(command, shell=True, check=True)


def file_in(folder: Path, name: str = "a key's file", mode: int = 0o600) -> Path:
    path = folder / name
    path.write_bytes(b"secret")
    path.chmod(mode)
    return path


def test_folders_are_for_their_owner_whatever_the_umask(tmp_path: Path, any_umask: int) -> None:
    """A hospital's server has the umask that somebody once set; the parents that we make must not be open either."""
    folder = tmp_path / "made" / "for" / "site"
    private_folder(folder, signs=SIGNS)
    assert [rights(one) for one in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3, oct(any_umask)
    make_private(folder / "more")
    assert rights(folder / "more") == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711])
@pytest.mark.parametrize("content", ["nothing", "the sign"])
def test_a_folder_of_ours_that_others_could_only_read_is_closed(tmp_path: Path, mode: int, content: str) -> None:
    """Folders of earlier versions have the umask's 0755: nobody else could change a file there, so no person is asked."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "site"
    folder.mkdir()
    if content == "the sign":
        file_in(folder, SIGN)
        file_in(folder, "state")
    folder.chmod(mode)
    private_folder(folder, signs=SIGNS)
    assert rights(folder) == 0o700
    assert rights(tmp_path) == 0o755, "a parent that was there is not ours to close"


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused_until_a_person_has_looked(tmp_path: Path, mode: int) -> None:
    """Others could have put an older state there, or taken it away: closing the folder in silence would hide that."""
    folder = tmp_path / "a site's folder"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(RunError, match=f"Expected: .*700. Found: {mode:o}") as error:
        private_folder(folder, signs=SIGNS)
    mended(error)
    private_folder(folder, signs=SIGNS)


def test_a_folder_of_something_else_is_not_closed_behind_its_owner_s_back(tmp_path: Path) -> None:
    """Somebody who names their home folder by mistake must not lock their colleagues out of it."""
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o755)
    file_in(folder, "letter.txt")
    with pytest.raises(RunError, match="nothing else uses") as error:
        private_folder(folder, signs=SIGNS)
    assert rights(folder) == 0o755
    mended(error)
    private_folder(folder, signs=SIGNS)


@pytest.mark.parametrize("read", [private_status, lambda path: read_private(path, 100)], ids=["status", "bytes"])
class TestAFile:
    """Looked at and read: both refuse the same."""

    def test_ours_alone_is_taken(self, tmp_path: Path, read: Callable[[Path], object]) -> None:
        """Read-only is less than 0600, and as good."""
        for mode in (0o600, 0o400, 0o700):
            assert read(file_in(tmp_path, f"key-{mode:o}", mode))
        assert read(tmp_path / "none") is None

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o666, 0o602, 0o620, 0o601])
    def test_open_to_others_is_refused_and_the_hint_mends_it(
        self, tmp_path: Path, read: Callable[[Path], object], mode: int
    ) -> None:
        """A key with mode 0666 was used in silence."""
        path = file_in(tmp_path, mode=mode)
        with pytest.raises(RunError, match=f"Found: {mode:o}") as error:
            read(path)
        assert f"chmod 600 {shlex.quote(str(path))}" in error.value.hint
        mended(error)
        assert read(path)

    def test_a_link_is_refused_and_the_hint_mends_it(self, tmp_path: Path, read: Callable[[Path], object]) -> None:
        """Whoever made the link decides what is read."""
        real = file_in(tmp_path, "real")
        link = tmp_path / "the link"
        link.symlink_to(real)
        with pytest.raises(RunError, match="symbolic link") as error:
            read(link)
        mended(error)
        assert read(link) and not real.exists()

    def test_a_link_to_nothing_is_refused_and_the_hint_mends_it(self, tmp_path: Path, read: Callable[[Path], object]) -> None:
        """Through such a link a new key would be made wherever its maker likes."""
        (tmp_path / "link").symlink_to(tmp_path / "nothing")
        with pytest.raises(RunError, match="symbolic link") as error:
            read(tmp_path / "link")
        mended(error)
        assert read(tmp_path / "link") is None

    def test_a_folder_and_a_pipe_are_refused_at_once(self, tmp_path: Path, read: Callable[[Path], object]) -> None:
        """A pipe that nobody writes to would hold a hospital up for ever."""
        (tmp_path / "folder").mkdir()
        os.mkfifo(tmp_path / "pipe", 0o600)
        for name in ("folder", "pipe"):
            with pytest.raises(RunError, match="is no file") as error:
                read(tmp_path / name)
            mended(error)
            assert read(tmp_path / name) is None

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
    def test_another_user_s_is_refused_and_the_hint_says_whose(self, tmp_path: Path, read: Callable[[Path], object]) -> None:
        """What another user owns, that user can change at any time."""
        path = file_in(tmp_path)
        os.chown(path, STRANGER, STRANGER)
        with pytest.raises(RunError, match=f"another user.*Found: {STRANGER}") as error:
            read(path)
        assert error.value.hint.endswith(f"chown root {shlex.quote(str(path))}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives folders away")
def test_another_user_s_folder_is_refused(tmp_path: Path) -> None:
    """Its owner can replace every file in it."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, STRANGER, STRANGER)
    with pytest.raises(RunError, match="another user"):
        private_folder(folder, signs=SIGNS)


def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    """A key's file that somebody blew up must not fill the memory."""
    assert read_private(file_in(tmp_path), 3) == b"sec"


def test_a_lock_is_for_its_owner_and_never_follows_a_link(tmp_path: Path, any_umask: int) -> None:
    """Some lock libraries empty the file that they lock."""
    for name in ("new", "old"):
        if name == "old":
            file_in(tmp_path, "old", 0o666)
        with private_lock(tmp_path / name):
            assert rights(tmp_path / name) == 0o600, oct(any_umask)
    target = file_in(tmp_path, "target")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(RunError, match="symbolic link"):
        private_lock(tmp_path / "link")
    assert target.read_bytes() == b"secret"
