"""Sources are tested away from this user's own folders."""

from pathlib import Path

import platformdirs
import pytest


@pytest.fixture(autouse=True)
def a_site_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A salt drawn anew would deal patients to splits by chance, and now and then leave one empty."""
    folder: Path = tmp_path_factory.mktemp("user-data")
    (folder / "site-salt").write_bytes(bytes(range(32)))
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: str(folder))
