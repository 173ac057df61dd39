"""A patient who withdrew is in no record that is read, however her identifier is spelled; whoever stays, stays."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.sources import open_source
from wardround.sources.excluded_patients import ExcludedPatients
from wardround.study.contract import ColumnContract, DataContract, LabelContract
from wardround.values.errors import DataError, RunError

CONTRACT = DataContract(
    kind="table", columns=(ColumnContract(name="age", range=(0, 120)),), label=LabelContract(name="ill", column="ill")
)
ROWS = "patient,age,ill\n" + "".join(f"P{number:03},{20 + number},{number % 2}\n" for number in range(40))


@pytest.fixture
def excluded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExcludedPatients:
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    return ExcludedPatients.of_user()


@pytest.mark.parametrize("spelling", ["P007", "p007", " P7 ", "p0007"])
def test_she_is_left_out_and_counted(tmp_path: Path, excluded: ExcludedPatients, spelling: str) -> None:
    """In what studies learn from, in what a model is asked about, and in the report that a person reads."""
    (tmp_path / "rows.csv").write_text(ROWS)
    assert excluded.add(spelling) and not excluded.add(spelling)
    source = open_source(tmp_path / "rows.csv", CONTRACT, excluded=excluded)
    others = {f"P{number:03}" for number in range(40)} - {"P007"}
    assert set(source.load().patients.tolist()) == set(source.named().patients.tolist()) == others
    (finding,) = [one for one in source.check().findings if one.code == "patient-withdrew"]
    assert finding.level == "note" and finding.exact.endswith(": 1") and "fewer than 5" in finding.text
    assert set(open_source(tmp_path / "rows.csv", CONTRACT).load().patients.tolist()) == others | {"P007"}


def test_dicom_patients_are_known_by_what_reading_makes_of_them(tmp_path: Path, excluded: ExcludedPatients) -> None:
    """No identifier of a header is kept anywhere; the hash of it is."""
    from tests.clinic.dicom_files import dicom, film_pixels
    from wardround.study.contract import ImageContract

    pytest.importorskip("pydicom")
    for number in range(12):
        (tmp_path / "films" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        content = dicom(film_pixels(seed=number), BitsStored=12, PatientID=f"N-{number}")
        (tmp_path / "films" / str(number % 2) / f"{number}.dcm").write_bytes(content)
    contract = DataContract(kind="image", image=ImageContract(size=(32, 32)), label=LabelContract(name="ill"))
    assert len(open_source(tmp_path / "films", contract, excluded=excluded).load()) == 12
    excluded.add("N-3")
    assert len(open_source(tmp_path / "films", contract, excluded=excluded).load()) == 11


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs"]), min_size=1, max_size=8)))
def test_nobody_else_is_on_the_list(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    """A hash fits its own patient alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARDROUND_HOME", str(tmp_path_factory.getbasetemp() / "one-home"))
        excluded = ExcludedPatients(tmp_path_factory.mktemp("list") / "excluded.json")
        excluded.add("the-one")
        on_list = excluded.among(np.array([*words, "the-one"], dtype=np.str_))
        assert on_list[-1] and not on_list[:-1].any()


def test_the_file_names_nobody(excluded: ExcludedPatients) -> None:
    """Whoever reads it without the key cannot try identifiers."""
    excluded.add("P007")
    content = excluded.path.read_bytes()
    assert b"P007" not in content and b"p7" not in content and excluded.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"format": 1, "key": "0", "patients": []}'])
def test_a_list_that_cannot_be_trusted_stops_every_reading(excluded: ExcludedPatients, content: bytes) -> None:
    """An empty list in its place would bring back whoever withdrew."""
    excluded.add("P007")
    excluded.path.write_bytes(content)
    with pytest.raises(RunError, match="cannot be used"):
        excluded.among(np.array(["P001"]))


def test_a_lost_key_stops_every_reading(excluded: ExcludedPatients) -> None:
    """A new key would match nobody."""
    excluded.add("P007")
    excluded.path.with_suffix(".key").unlink()
    with pytest.raises(RunError, match="another key"):
        ExcludedPatients.of_user().among(np.array(["P007"]))


@pytest.mark.parametrize("patient", ["", "  "])
def test_nobody_cannot_withdraw(excluded: ExcludedPatients, patient: str) -> None:
    """Records without a patient would all be hers."""
    with pytest.raises(DataError, match="no patient"):
        excluded.add(patient)
