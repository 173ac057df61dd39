"""How far a reader of images is."""

from pathlib import Path

from wardround.sources.opening import open_source
from wardround.sources.progress import heard_by

from .test_image_folder import WORDS, folder_of


def test_progress_is_heard_by_whoever_asked_and_ends_with_all(tmp_path: Path) -> None:
    """A check of 100,000 images takes minutes; without a sign it looks stuck."""
    heard: list[tuple[str, int, int]] = []
    source = open_source(folder_of(tmp_path / "d"), WORDS)
    with heard_by(lambda step, done, total: heard.append((step, done, total))):
        source.check()
    assert heard == [("images", number, 24) for number in range(1, 25)]
    source.check()
    assert len(heard) == 24
