"""The file of a hospital's signing key."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wardround.crypto.identity import Identity, signed_by
from wardround.values.errors import RunError

AT_ONCE = """
import sys, time
from pathlib import Path
from wardround.crypto.identity import Identity

folder, start = Path(sys.argv[1]), float(sys.argv[2])
for number in range(20):
    while time.time() < start + 0.02 * number:
        pass
    print(Identity.at(folder / f"{number}.key").public)
"""


@pytest.mark.slow
def test_processes_that_come_at_once_have_one_key(tmp_path: Path) -> None:
    """The one that wrote first would sign with a key that no file holds: its hospital would be a stranger after a restart."""
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path), str(time.time() + 2.0)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert len(said[0]) == 20 and said[0] == said[1] == said[2]
    assert said[0] == [Identity.at(tmp_path / f"{number}.key").public for number in range(20)]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="no folder is closed to this user")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A lock comes before the key; what it raises must be a sentence as well."""
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match=r"identity\.key could not be written"):
        Identity.at(tmp_path / "identity.key")
    tmp_path.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    """The same for whoever may write everywhere."""
    (tmp_path / "site").write_bytes(b"")
    with pytest.raises(RunError, match=r"identity\.key (could not be written|cannot be read)"):
        Identity.at(tmp_path / "site" / "identity.key")


def test_nobody_signs_without_a_secret() -> None:
    """Under a key of small order a signature of zeros fits many messages: whoever has such a key could deny what he signed."""
    for key in ("0" * 64, "01" + "0" * 62, "ec" + "f" * 60 + "7f"):
        for number in range(16):
            assert not signed_by(key, "0" * 128, bytes([number]))
            assert not signed_by(key, key + "0" * 64, bytes([number]))
