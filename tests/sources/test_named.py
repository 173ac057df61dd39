"""Public data sets by name; the tests on real data need WARDROUND_DATA."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from wardround.simulation.division import disjoint, divide_by_column, divide_by_label, shares_of
from wardround.sources.datasets import catalogue
from wardround.sources.datasets.catalogue import DataFile, DatasetEntry, entries, entry, find, get, suggested_contract, verified
from wardround.sources.datasets.named import Dataset, load_dataset, load_dataset_rows
from wardround.study.contract import ImageContract
from wardround.tasks.registry import task_of_label
from wardround.values.errors import DataError

real = pytest.mark.skipif("WARDROUND_DATA" not in os.environ, reason="WARDROUND_DATA is not set: no public data sets here")


def loaded(name: str) -> Dataset:
    return load_dataset(name, suggested_contract(name))


def test_every_entry_says_source_citation_licence_and_how_its_files_are_known() -> None:
    """Data without a licence may not be used; a file without a hash may be any file."""
    for name, found in entries().items():
        assert found.name == name
        assert found.title and found.source and found.citation and found.licence and found.records
        assert (not found.files) == found.drawn and all(file.hashes for file in found.files)
        for file in found.files:
            assert bool(file.address) == bool(file.address_hash)
            assert not file.address or (file.address.startswith("https://") and file.address_hash in file.hashes)


def test_every_readable_set_suggests_a_contract_that_names_it() -> None:
    """The starter study of a set must be valid."""
    for name, found in entries().items():
        if found.readable:
            assert suggested_contract(name).dataset == name


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """People mistype."""
    with pytest.raises(DataError, match="pneumoniamnist"):
        entry("pneumonia-mnist")


def test_a_set_that_is_not_here_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded where its publisher serves it, put there by hand where not."""
    monkeypatch.setattr(catalogue, "data_folders", lambda: (tmp_path,))
    with pytest.raises(DataError, match="wardround data get breastmnist"):
        find("breastmnist")
    with pytest.raises(DataError, match="WARDROUND_DATA"):
        find("kermany_cxr")
    with pytest.raises(DataError, match="served nowhere in this form"):
        get("kermany_cxr")


def test_other_bytes_under_a_known_name_are_refused(tmp_path: Path) -> None:
    """Many copies of these sets differ, some with flipped labels."""
    (tmp_path / "breastmnist.npz").write_bytes(b"something else")
    with pytest.raises(DataError, match="not the file that the catalogue knows"):
        verified(tmp_path, "breastmnist", "breastmnist.npz")


def test_get_fetches_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is here already is not asked for again."""
    content = b"content"
    known = "sha256:" + hashlib.sha256(content).hexdigest()
    toy = DatasetEntry("toy", "t", "s", "c", "l", "r", (DataFile("a.bin", (known,), "https://example.org/a.bin", known),))
    asked: list[str] = []

    def fetched(address: str, target: Path, _hash: str, _progress: object) -> None:
        asked.append(address)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    monkeypatch.setattr(catalogue, "entries", lambda: {"toy": toy})
    monkeypatch.setattr(catalogue, "data_folders", lambda: (tmp_path,))
    monkeypatch.setattr(catalogue, "fetch", fetched)
    assert get("toy") == get("toy") == tmp_path / "toy"
    assert asked == ["https://example.org/a.bin"]


MEDMNIST = {
    "retinamnist": (3, 1, 5),
    "bloodmnist": (3, 1, 8),
    "dermamnist": (3, 1, 7),
    "chestmnist": (1, 14, 2),
    "breastmnist": (1, 1, 2),
}


@pytest.mark.parametrize("name", MEDMNIST)
def test_a_medmnist_file_is_read_by_its_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the publisher's layout: three parts, labels in columns, the test part set apart. The file is drawn here."""
    channels, columns, values = MEDMNIST[name]
    rng = np.random.default_rng(1)
    arrays = {}
    for part, count in (("train", 30), ("val", 6), ("test", 9)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 28, 28, 3) if channels == 3 else (count, 28, 28), np.uint8)
        arrays[f"{part}_labels"] = rng.integers(0, values, (count, columns), np.uint8)
    (folder := tmp_path / name).mkdir()
    np.savez(folder / f"{name}.npz", **arrays)
    monkeypatch.setattr(catalogue, "data_folders", lambda: (tmp_path,))
    monkeypatch.setattr("wardround.sources.datasets.named.verified", lambda folder, _, file: folder / file)
    found = loaded(name)
    label = suggested_contract(name).label
    assert (len(found.records), len(found.external)) == (36, 9)
    assert found.records.inputs.shape == ((36, 28, 28, 3) if channels == 3 else (36, 28, 28))
    names = [one.name for one in label.asked.classes or label.asked.findings]
    written = dict(zip(map(bytes, arrays["test_images"]), arrays["test_labels"].tolist(), strict=True))
    for image, said in zip(found.external.inputs, task_of_label(label).said(found.external.labels), strict=True):
        row = written[bytes(image)]
        if label.kind == "findings":
            assert said == ("|".join(name for name, one in zip(names, row, strict=True) if one) or "none")
        elif label.kind != "binary":
            assert said == names[row[0]]


@real
def test_kermany_keeps_the_published_test_split_apart_and_divides_as_the_reference_job_wants() -> None:
    """The split that figures are compared on is never trained on, nor are its patients."""
    found = loaded("kermany_cxr")
    assert found.external is not None
    assert (len(found.records), len(found.external)) == (5232, 624)
    assert int(found.external.labels.sum()) == 390
    assert not set(found.records.patients.tolist()) & set(found.external.patients.tolist())
    parts = divide_by_label(
        found.records, {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.88, "b": 0.73, "c": 0.41}, found.records.labels, seed=0
    )
    assert disjoint(parts)
    for name, size, share in (("a", 0.5, 0.88), ("b", 0.3, 0.73), ("c", 0.2, 0.41)):
        assert shares_of(parts)[name] == (pytest.approx(size, abs=0.005), pytest.approx(share, abs=0.01))
        assert set(parts[name].splits.tolist()) == {"train", "validation", "test"}


@pytest.mark.slow
@real
def test_kermany_jpegs_are_read_where_the_arrays_are_too_small() -> None:
    """Both forms hold the same patients and labels."""
    contract = suggested_contract("kermany_cxr").changed(image=ImageContract(size=(96, 96)))
    found, small = load_dataset("kermany_cxr", contract), loaded("kermany_cxr")
    assert found.external is not None and small.external is not None
    assert found.records.inputs.shape == (5232, 96, 96)
    assert sorted(found.records.patients.tolist()) == sorted(small.records.patients.tolist())
    assert (len(found.external), int(found.external.labels.sum())) == (624, 390)


@real
def test_three_institutions_divide_by_their_column() -> None:
    """Natural hospitals, with the declared test patients kept."""
    found = loaded("cxr_multisite")
    parts = divide_by_column(found.records, found.sites)
    assert {name: len(part) for name, part in parts.items()} == {
        "guangzhou_wcmc": 1000,
        "hannover_mhh": 243,
        "nih_clinical_center": 1000,
    }
    assert len(parts["guangzhou_wcmc"].where("test")) == 200
    assert parts["hannover_mhh"].labels.min() == 1


@real
def test_heart_disease_is_four_hospitals_with_the_published_numbers() -> None:
    """FLamby's complete records, so that figures compare."""
    found = loaded("uci_heart_disease")
    parts = divide_by_column(found.records, found.sites)
    assert {name: len(part) for name, part in parts.items()} == {"cleveland": 303, "hungarian": 261, "switzerland": 46, "va": 130}
    assert found.records.inputs.shape == (740, len(suggested_contract("uci_heart_disease").feature_names))
    assert np.isfinite(found.records.inputs).all()
    assert np.abs(found.records.inputs).max() < 10


@real
def test_the_small_sets_are_read() -> None:
    """Patients by the map for PneumoniaMNIST; the image that BreastMNIST shows twice is not trained on."""
    pneumonia, breast, cells = loaded("pneumoniamnist"), loaded("breastmnist"), loaded("uci_wdbc")
    assert pneumonia.external is not None and breast.external is not None
    assert len(pneumonia.external) == 624
    assert pneumonia.records.patient_count < 3800
    assert not set(pneumonia.records.patients.tolist()) & set(pneumonia.external.patients.tolist())
    assert (len(breast.records), len(breast.external), len(breast.notes)) == (623, 156, 1)
    assert (cells.records.inputs.shape, int(cells.records.labels.sum())) == ((569, 30), 212)


@real
def test_intensive_care_stays_are_divided_by_region() -> None:
    """Each patient in one region, deaths about one in eleven."""
    found = loaded("eicu_demo")
    parts = divide_by_column(found.records, found.sites)
    assert list(parts) == ["Midwest", "Northeast", "South", "West"]
    assert disjoint(parts)
    assert 1900 < len(found.records) < 2005
    assert 0.07 < float(found.records.labels.mean()) < 0.11
    assert np.isfinite(found.records.inputs).all()


@real
def test_breast_cancer_is_six_regions_with_flambys_folds() -> None:
    """The event is `died`, the time `days`: FLamby's page has them the other way round."""
    rows, sites = load_dataset_rows("fed_tcga_brca", suggested_contract("fed_tcga_brca"))
    assert sites is not None
    counts = {str(name): (int((sites == name).sum()), int(rows["died"][sites == name].sum())) for name in np.unique(sites)}
    assert counts == {
        "Northeast": (311, 59),
        "South": (196, 39),
        "West": (206, 22),
        "Midwest": (162, 19),
        "Europe": (162, 9),
        "Canada": (51, 3),
    }
    train = rows.splits != "test"
    assert (int(train.sum()), int(rows["died"][train].sum()), int((rows["days"][train] == 0).sum())) == (866, 119, 8)
    assert rows["days"].max() == 8605 and len(rows.columns) == 41


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "records", "compounds", "unread"),
    [
        ("tox21", 7823, 7460, 8),
        ("bbbp", 2039, 1942, 11),
        ("clintox", 1480, 1391, 4),
        ("esol", 1128, 1115, 0),
        ("freesolv", 642, 639, 0),
    ],
)
@real
def test_moleculenets_sets_are_read_and_say_what_is_no_molecule(name: str, records: int, compounds: int, unread: int) -> None:
    """Other readers drop these rows in silence, so that no two papers have the same set."""
    pytest.importorskip("rdkit")
    found = load_dataset(name, suggested_contract(name))
    assert (len(found.records), found.records.patient_count) == (records, compounds)
    assert found.notes == ((f"{unread} records were left out, as the contract says",) if unread else ())


def test_a_table_may_lie_gzipped_and_is_known_by_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two programs pack the same table into other bytes."""
    content = b"smiles\nCCO\n"
    known = "sha256:" + hashlib.sha256(content).hexdigest()
    toy = DatasetEntry("toy", "t", "s", "c", "l", "r", (DataFile("a.csv", (known,)),), folder="several")
    monkeypatch.setattr(catalogue, "entries", lambda: {"toy": toy})
    monkeypatch.setattr(catalogue, "data_folders", lambda: (tmp_path,))
    with pytest.raises(DataError, match=r"a folder several with a\.csv"):
        find("toy")
    (tmp_path / "several").mkdir()
    packed = tmp_path / "several" / "a.csv.gz"
    packed.write_bytes(gzip.compress(content, 1))
    assert verified(find("toy"), "toy", "a.csv") == packed
    for wrong in (gzip.compress(content + b"C,1\n"), gzip.compress(content)[:-9], b"no gzip", content):
        packed.write_bytes(wrong)
        with pytest.raises(DataError, match="not the file that the catalogue knows"):
            verified(find("toy"), "toy", "a.csv")
    packed.with_name("a.csv").write_bytes(content)
    assert verified(find("toy"), "toy", "a.csv").name == "a.csv"
