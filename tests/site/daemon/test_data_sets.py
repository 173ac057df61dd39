"""Registered data sets: where they lie stays here, and a name means one thing."""

from pathlib import Path

import pytest

from wardround.site.daemon.data_sets import DataSets
from wardround.values.errors import DataError, RunError, StudyError


@pytest.fixture
def sets(tmp_path: Path) -> DataSets:
    (tmp_path / "films").mkdir()
    (tmp_path / "mapping.toml").write_text("")
    return DataSets(tmp_path / "home" / "data.toml")


def test_a_data_set_is_found_again_by_its_name(sets: DataSets, tmp_path: Path) -> None:
    """Absolute, whatever folder the service starts in."""
    sets.add("films", str(tmp_path / "films"), mapping=tmp_path / "mapping.toml", ledger="patients")
    one = DataSets(sets.path).get("films")
    assert (one.data, one.mapping, one.ledger) == (str(tmp_path / "films"), str(tmp_path / "mapping.toml"), "patients")
    assert sets.path.stat().st_mode & 0o77 == 0


def test_a_name_is_not_taken_twice(sets: DataSets, tmp_path: Path) -> None:
    """An approval is for what stood under the name."""
    sets.add("films", str(tmp_path / "films"), mapping=None, ledger=None)
    with pytest.raises(DataError, match="--replace"):
        sets.add("films", str(tmp_path), mapping=None, ledger=None)
    assert sets.add("films", str(tmp_path), mapping=None, ledger=None, replace=True).data == str(tmp_path)


def test_what_is_not_there_is_not_registered(sets: DataSets, tmp_path: Path) -> None:
    """A typing error shows now and not in the first round."""
    with pytest.raises(DataError, match="nothing at"):
        sets.add("films", str(tmp_path / "filsm"), mapping=None, ledger=None)
    with pytest.raises(DataError, match="no file"):
        sets.add("films", str(tmp_path / "films"), mapping=tmp_path / "films", ledger=None)
    with pytest.raises(DataError, match="No data set"):
        sets.get("films")
    assert sets.all() == {}


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 64, "-a", "federated"])
def test_names_are_names(sets: DataSets, tmp_path: Path, name: str) -> None:
    """They become names of ledgers, and of columns in a log."""
    with pytest.raises(StudyError):
        sets.add(name, str(tmp_path / "films"), mapping=None, ledger=None)
    with pytest.raises(StudyError):
        sets.add("films", str(tmp_path / "films"), mapping=None, ledger=name or "/")


def test_an_address_stays_as_it_is(sets: DataSets) -> None:
    """A database is no path, and whether it answers is seen when a study is reviewed."""
    address = "postgresql://db.example.org/omop"
    assert sets.add("omop", address, mapping=None, ledger=None).data == address


def test_removing_forgets_the_place_alone(sets: DataSets, tmp_path: Path) -> None:
    """The files stay."""
    sets.add("films", str(tmp_path / "films"), mapping=None, ledger=None)
    sets.remove("films")
    assert (tmp_path / "films").is_dir() and sets.all() == {}


def test_a_file_that_others_can_change_is_refused(sets: DataSets, tmp_path: Path) -> None:
    """Somebody could put other data under the name."""
    sets.add("films", str(tmp_path / "films"), mapping=None, ledger=None)
    sets.path.chmod(0o644)
    with pytest.raises(RunError, match="Other users"):
        sets.all()


@pytest.mark.parametrize("address", ["postgresql://u:hidden@db/ward", "mysql://u:hidden@db/ward", "host=db password=hidden"])
def test_no_password_is_kept_or_shown(sets: DataSets, address: str) -> None:
    """The list of data sets is a file that is backed up, and a command prints it."""
    with pytest.raises(DataError) as caught:
        sets.add("ward", address, mapping=None, ledger=None)
    assert "hidden" not in str(caught.value) and not sets.path.exists()
    assert sets.add("ward", "postgresql://u@db/ward?schema=cdm", mapping=None, ledger=None).data.endswith("?schema=cdm")
