"""One finished run that many tests look at."""

from pathlib import Path

import pytest

import wardround as wr
from tests.simulation.small_study import write_hospitals, write_study


@pytest.fixture(autouse=True)
def a_registry_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    folder = tmp_path_factory.mktemp("finished")
    return wr.simulate(write_study(folder), write_hospitals(folder), out=folder / "run", workers=0, register=False)
