"""Files of a folder or of a zip: what is never opened, however it is dressed."""

import os
import zipfile
from pathlib import Path

import pytest

from wardround.sources.files.file_tree import LARGEST_FILE, open_file_tree

MORE = LARGEST_FILE + 1


@pytest.mark.skipif(os.name != "posix", reason="no sparse files")
def test_a_huge_file_in_a_folder_is_not_read(tmp_path: Path) -> None:
    """An image has some megabytes; what has 512 MiB would fill the memory of a small server before it is known for no image."""
    for name, size in (("huge.png", MORE), ("large.png", LARGEST_FILE)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    with open_file_tree(tmp_path) as tree:
        assert tree.read("huge.png") is None and tree.read("huge.png", 8) is None
        assert tree.read("large.png", 8) == bytes(8)


@pytest.mark.slow
def test_a_small_zip_does_not_become_a_huge_file(tmp_path: Path) -> None:
    """Half a gigabyte of zeros is half a megabyte of zip."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb, bomb.open("huge.png", "w") as member:
        for _ in range(LARGEST_FILE // 2**20):
            member.write(bytes(2**20))
        member.write(b"\0")
    assert (tmp_path / "bomb.zip").stat().st_size < 2**20
    with open_file_tree(tmp_path / "bomb.zip") as tree:
        assert tree.names == ("huge.png",) and tree.read("huge.png") is None
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]  # nothing was unpacked
