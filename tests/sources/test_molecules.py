"""Molecules: SMILES of any spelling give one compound, one scaffold and one row of numbers, and what is none is told."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")

from rdkit import Chem, rdBase

from wardround.sources import network_input, open_source, prepare
from wardround.sources.mapping.sections import HospitalMapping, KeptMapping
from wardround.sources.molecules import bench
from wardround.sources.molecules.bench import AGREED_FORMS, ReadMolecules, read_molecules
from wardround.sources.molecules.chemistry import Chemist, agreed_forms
from wardround.study.contract import DataContract, MoleculeContract, SplitsContract
from wardround.values.errors import DataError, MissingExtraError
from wardround.values.records_file import write_records

from .source_conformance import Item, case
from .test_table import TestCsv

DRUGS = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC[C@H]1c1cccnc1",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
    "O=[N+]([O-])c1ccc2[nH]ccc2c1",
    "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O",
    "CCCCCCCC/C=C\\CCCCCCCC(=O)O",
    "C1CC2CCC1C2",
    "ClC(Cl)(Cl)C(c1ccc(Cl)cc1)c1ccc(Cl)cc1",
)


def alcohol(patient: str) -> str:
    """A compound of its own, and so a fold of its own, for each patient of a case."""
    return "C" * (int(patient.rpartition("-")[2]) % 100 + 1) + "O"


def written(path: Path, rows: Sequence[tuple[str, ...]], header: str = "smiles,label") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def contract(**rules: Any) -> DataContract:
    return DataContract(kind="molecule", molecule=MoleculeContract(**rules), splits=SplitsContract(minimum_patients=1))


def one(smiles: str, **rules: Any) -> ReadMolecules:
    return read_molecules([smiles], MoleculeContract(**rules))


class TestMolecules(TestCsv):
    def contract(self) -> DataContract:
        return DataContract(kind="molecule")

    def write(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        rows = [(alcohol(i.patient), i.patient, i.label, i.split) for i in items]
        written(folder / "t.csv", rows, "smiles,name,label,split")
        return folder

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        folder.mkdir(parents=True)
        written(folder / "t.csv", [(alcohol(item.patient), item.patient) for item in items], "smiles,name")
        return folder

    def raw_records(self, path: Path) -> list[Any]:
        return pl.read_csv(path / "t.csv", infer_schema=False).head(2).to_dicts()

    @pytest.mark.slow
    def test_records_for_a_model_keep_the_order_and_the_names_of_the_source(self, tmp_path: Path) -> None:
        """An answer that stands beside another compound is worse than none."""
        items = case()
        path = self.write(tmp_path / "a", items)
        records = open_source(path, self.contract()).named()
        assert records.names.tolist() == [str(row) for row in range(1, 61)]
        assert [str(label) for label in records.labels.tolist()] == [item.label for item in items]
        for record, row in zip(self.raw_records(path), records.inputs, strict=False):
            assert np.array_equal(prepare(self.contract(), record), row)
            assert np.array_equal(prepare(self.contract(), record["smiles"]), row)

    @pytest.mark.slow
    def test_words_that_name_nobody_are_no_patient(self, tmp_path: Path) -> None:
        """A table's own names play no part: the compound counts, by its structure."""
        items = [Item(item.number, item.patient, item.label) for item in case()]
        rows = [(alcohol(item.patient), "NA", item.label) for item in items]
        source = open_source(written(tmp_path / "a.csv", rows, "smiles,patient,label"), self.contract())
        assert source.load().patient_count == 30
        assert "patient-absent" not in {finding.code for finding in source.check().findings}

    @pytest.mark.slow
    def test_one_patient_written_in_two_ways_is_told_and_in_a_private_study_refused(self, tmp_path: Path) -> None:
        """Two ways to write a compound are one compound, so that nothing is left open, in a private study neither."""
        rows = [(alcohol(item.patient)[:: 1 - 2 * (item.number % 2)], item.label) for item in case()]
        source = open_source(written(tmp_path / "a.csv", rows), self.contract(), private=True)
        assert source.check().ready() and source.load().patient_count == 30


class TestMoleculesInParquet(TestMolecules):
    def write(self, folder: Path, items: list[Item]) -> Path:
        path = super().write(folder, items) / "t.csv"
        pl.read_csv(path, infer_schema=False).with_columns(pl.col("split").fill_null("")).write_parquet(folder / "t.parquet")
        path.unlink()
        return folder / "t.parquet"

    def write_unlabelled(self, folder: Path, items: list[Item]) -> Path:
        path = super().write_unlabelled(folder, items) / "t.csv"
        pl.read_csv(path).write_parquet(folder / "t.parquet")
        path.unlink()
        return folder / "t.parquet"

    def raw_records(self, path: Path) -> list[Any]:
        return pl.read_parquet(path).head(2).to_dicts()


@pytest.mark.parametrize("smiles", DRUGS)
def test_every_way_to_write_a_molecule_gives_the_same_numbers_and_the_same_fold(smiles: str) -> None:
    """One hospital's file starts at the ring, another's at the chain: one compound in train here, in test there."""
    chemist = Chemist(MoleculeContract(values="counts", descriptors=True))
    first = chemist.compound(smiles)
    assert first is not None
    for other in Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 25, randomSeed=5):
        again = chemist.compound(other)
        assert again is not None
        assert (again.key, again.group) == (first.key, first.group)
        assert np.array_equal(again.values, first.values)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text("CNOSPcnos[]()=#123%+-@/\\.HFIBrl", max_size=40), st.integers(0, 2**30))
def test_whatever_is_read_as_a_molecule_is_read_the_same_in_another_spelling(text: str, seed: int) -> None:
    """Molecules that no chemist would draw are in files all the same."""
    chemist = Chemist(MoleculeContract(values="counts"))
    first = chemist.compound(text)
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text) if first else None
    if molecule is None or first is None:
        return
    (other,) = Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed)
    again = chemist.compound(other)
    assert again is not None and (again.key, again.group) == (first.key, first.group)
    assert np.array_equal(again.values, first.values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("salt", "parent"),
    [
        ("CC(=O)Oc1ccccc1C(=O)[O-].[Na+]", "CC(=O)Oc1ccccc1C(=O)O"),
        ("CC(=O)Oc1ccccc1C(=O)O[K]", "CC(=O)Oc1ccccc1C(=O)O"),
        ("CN1CCC[C@H]1c1cccnc1.Cl", "CN1CCC[C@@H]1c1cccnc1"),
        ("C[NH+]1CCCC1c1cccnc1.OC(=O)C(O)C(O)C(=O)O", "CN1CCCC1c1cccnc1"),
        ("O=N(=O)c1ccccc1", "[O-][N+](=O)c1ccccc1"),
        ("[2H]C([2H])([2H])O", "CO"),
        ("[CH3:7][OH:1]", "CO"),
    ],
)
def test_salts_charges_stereo_and_isotopes_are_one_compound(salt: str, parent: str) -> None:
    """One partner measured the hydrochloride, another the base: as two compounds they would stand in train and in test."""
    read = read_molecules([salt, parent], MoleculeContract())
    assert read.keys[0] == read.keys[1] and read.groups[0] == read.groups[1]
    assert np.array_equal(read.values[0], read.values[1])
    assert read.mended[0] == (Chem.MolFromSmiles(salt).GetNumAtoms() != Chem.MolFromSmiles(parent).GetNumAtoms() or "+" in salt)


def test_an_ion_without_an_uncharged_form_is_kept_as_it_is() -> None:
    """Ferrocene's ring has none: what could not be mended must not vanish."""
    read = read_molecules(["[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1", "[SbH6+3]"], MoleculeContract())
    assert read.outcome.tolist() == [bench.READ, bench.READ]


def test_compounds_of_a_scaffold_share_a_fold_and_chains_are_each_their_own() -> None:
    """Cousins of a training compound in the test set flatter; all chains together would be one fold of half the data."""
    read = read_molecules(["Cc1ccccc1", "OCCc1ccccc1", "Cc1ccncc1", "CCO", "CCCO"], MoleculeContract())
    assert read.groups[0] == read.groups[1] != read.groups[2]
    assert read.groups[3:].tolist() == read.keys[3:].tolist() and len(set(read.groups.tolist())) == 4


@pytest.mark.slow
def test_partners_agree_on_folds_without_talking(tmp_path: Path) -> None:
    """The fold of a compound follows from its scaffold and the public salt alone, whatever else a partner holds."""
    rows = [(smiles, "1") for smiles in DRUGS]
    whole = open_source(written(tmp_path / "a.csv", rows), contract()).load()
    split_of = dict(zip(whole.patients.tolist(), whole.splits.tolist(), strict=True))
    for size in (3, 7):
        part = open_source(written(tmp_path / f"{size}.csv", rows[-size:]), contract().changed(splits=_none_left())).load()
        assert {patient: split_of[patient] for patient in part.patients.tolist()} == dict(
            zip(part.patients.tolist(), part.splits.tolist(), strict=True)
        )


def _none_left() -> SplitsContract:
    return SplitsContract(minimum_patients=1)


@pytest.mark.slow
def test_folds_by_compound_part_what_scaffolds_keep_together(tmp_path: Path) -> None:
    """A random division is what most papers show; a study may ask for it, and says so."""
    rows = [("C" * chain + "c1ccccc1", "1") for chain in range(1, 60)]
    path = written(tmp_path / "a.csv", rows)
    rules = SplitsContract(minimum_patients=1, salt="a", validation=0.2, test=0.2)
    together, apart = (
        open_source(path, contract(folds=folds).changed(splits=rules)).look()[0].counts for folds in ("scaffold", "compound")
    )
    assert _count(together, "groups that a split keeps whole") == "1"
    assert _count(apart, "groups that a split keeps whole") == "59"


def _count(counts: Sequence[Any], name: str) -> str:
    return next(count.exact for count in counts if count.name == name)


def test_rows_that_are_no_molecule_are_told_by_line_and_refused(tmp_path: Path) -> None:
    """A row that is lost unseen is a patient lost unseen."""
    rows = [("CCO", "1"), ("not a molecule", "1"), ("", "0"), ("C" * 3000, "0"), ("CCN", "0"), ("C*", "1"), ("C C", "1")]
    source = open_source(written(tmp_path / "a.csv", rows), contract())
    report = source.check()
    told = {finding.code: [spot.line for spot in finding.places] for finding in report.findings if finding.level == "error"}
    assert told == {"smiles-unreadable": [3, 7, 8], "smiles-absent": [4], "smiles-too-long": [5]}
    assert not report.ready()
    with pytest.raises(DataError, match="SMILES"):
        source.load()


@pytest.mark.slow
def test_rows_that_are_no_molecule_are_left_out_where_the_study_says_so_and_told(tmp_path: Path) -> None:
    """MoleculeNet's sets hold such rows: whoever agrees to go on without them still sees which."""
    rows = [("CCO", "1"), ("not a molecule", "1"), ("", "0"), ("CCN", "0"), ("CC", "1")]
    source = open_source(written(tmp_path / "a.csv", rows), contract(unreadable="leave_out"))
    report = source.check()
    assert report.ready() and len(source.load()) == 3
    told = {finding.code: [spot.line for spot in finding.places] for finding in report.findings if finding.level == "warning"}
    assert told == {"smiles-unreadable": [3], "smiles-absent": [4]}
    assert source.named().left_out == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "secret", ["NC(=O)NC1N=C(O[AlH3](O)O)NC1=O", "SECRET-COMPOUND", "C(" * 900 + "C" + ")" * 900 + "X", "C" * 5000]
)
def test_what_may_be_sent_on_holds_no_smiles(tmp_path: Path, secret: str) -> None:
    """A partner's compounds are its property: no report, refusal or error holds one, not even a wrong one."""
    rows = [("CCO", "1"), (secret, "1"), ("CCCBr", "0")]
    source = open_source(written(tmp_path / "a.csv", rows), contract())
    with pytest.raises(DataError) as caught:
        source.load()
    with pytest.raises(DataError) as asked:
        prepare(contract(), secret)
    told = f"{caught.value} {asked.value} {json.dumps(source.check().to_json())}"
    assert secret[:12] not in told and "CCCBr" not in told and "CCO" not in told
    good = open_source(written(tmp_path / "b.csv", rows[::2]), contract()).load()
    assert not any("CCO" in patient or "Br" in patient for patient in good.patients.tolist())


def test_a_cell_of_ten_megabytes_is_refused_at_once(tmp_path: Path) -> None:
    """A file that was cut wrongly has one endless cell."""
    path = written(tmp_path / "a.csv", [("CCO", "1"), ("C(" * 5_000_000, "1"), ("C" * 10_000_000, "0")])
    start = time.monotonic()
    report = open_source(path, contract()).check()
    assert {finding.code for finding in report.findings if finding.level == "error"} >= {"smiles-too-long"}
    assert time.monotonic() - start < 20


@pytest.mark.slow
def test_a_smiles_that_ends_rdkits_process_costs_its_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """RDKit's recursion overflows its stack on deep brackets, and a segmentation fault is no exception: the program would end
    without a word. Twenty thousand brackets did (RDKit 2026.9), and fewer do where the stack is smaller."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(bench, "LONGEST_SMILES", 1_000_000)
    monkeypatch.setattr(bench, "MOST_ATOMS", 1_000_000)
    deep = "C(" * 5000 + "C" + ")" * 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, hard))  # children get it as they start
    try:
        read = read_molecules(["CCO", deep, "CCN", deep + "C", "c1ccccc1"], MoleculeContract())
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    assert [int(outcome) for outcome in read.outcome] == [bench.READ, *([bench.BROKE_OFF, bench.READ] * 2)]
    plain = read_molecules(["CCO", "CCN", "c1ccccc1"], MoleculeContract())
    assert np.array_equal(read.values[[0, 2, 4]], plain.values) and read.keys[[0, 2, 4]].tolist() == plain.keys.tolist()


@pytest.mark.slow
def test_a_smiles_that_keeps_rdkit_busy_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next row is waiting, and so is the hospital."""
    monkeypatch.setattr(bench, "_PIECE_S", 0.001)
    monkeypatch.setattr(bench, "_WORD_S", 0.001)
    monkeypatch.setattr(bench, "LONGEST_SMILES", 100_000)
    slow = "C" * 90_000
    read = read_molecules([slow, slow + "O"], MoleculeContract())
    assert set(read.outcome.tolist()) == {bench.BROKE_OFF}


@pytest.mark.slow
def test_rdkit_writes_nothing_on_the_screen_and_is_loaded_by_nothing_else(tmp_path: Path) -> None:
    """It logs every unreadable SMILES to standard error, with the SMILES."""
    path = written(tmp_path / "a.csv", [("CCO", "1"), ("NC(=O)NC1N=C(O[AlH3](O)O)NC1=O", "1")])
    program = (
        "import sys, wardround; import wardround.cli.main; import wardround.sources.opening as opening;"
        "from wardround.study.contract import DataContract;"
        f"opening.open_source({str(path)!r}, DataContract(kind='molecule')).check();"
        "print('rdkit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_this_rdkit_writes_molecules_as_agreed() -> None:
    """RDKit 2025.3 and older count hydrogen bond acceptors in another way: a partner who has it would learn from other inputs."""
    assert agreed_forms() == AGREED_FORMS


def test_another_rdkit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning: its folds would leak test compounds into training, and nobody could see it."""
    monkeypatch.setattr(bench, "AGREED_FORMS", "other")
    with pytest.raises(DataError, match="other numbers of molecules than is agreed") as caught:
        one("CCO")
    assert "pip install" in caught.value.hint


def test_without_rdkit_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="RDKit") as caught:
        one("CCO")
    assert "wardround[chemistry]" in caught.value.hint


@pytest.mark.slow
def test_fingerprints_are_those_of_rdkit() -> None:
    """Radius, length, bits and counts mean what the field means by them (ECFP4 is radius 2)."""
    from rdkit.Chem import rdFingerprintGenerator

    molecule = Chem.MolFromSmiles("ClC(Cl)(Cl)C(c1ccc(Cl)cc1)c1ccc(Cl)cc1")
    for radius, bits in ((2, 2048), (3, 4096), (2, 32768)):
        generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
        counts = one(Chem.MolToSmiles(molecule), radius=radius, bits=bits, values="counts").values[0]
        assert np.array_equal(counts, generator.GetCountFingerprintAsNumPy(molecule))
        plain = one(Chem.MolToSmiles(molecule), radius=radius, bits=bits).values[0]
        assert np.array_equal(plain, generator.GetFingerprintAsNumPy(molecule)) and plain.dtype == np.uint8


@pytest.mark.slow
def test_descriptors_stand_behind_the_fingerprint_on_public_scales() -> None:
    """No mean of a partner's compounds may be needed for them."""
    values = one("CC(=O)Oc1ccccc1C(=O)O", descriptors=True).values[0]
    assert values.dtype == np.float32 and values.shape == (2056,)
    assert values[2048] == pytest.approx((180.159 - 300) / 150, abs=1e-4)
    assert values[2049] == pytest.approx((1.3101 - 2.5) / 2, abs=1e-4)
    assert values[2050] == pytest.approx((63.6 - 60) / 50, abs=1e-4)
    assert values[2054] == pytest.approx((1 - 2) / 1.5)
    far = one("C" * 900, descriptors=True).values[0]
    assert np.isfinite(far).all() and far.max() == 10.0


@pytest.mark.slow
def test_pieces_and_lanes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with more cores must give the same records."""
    words = [*DRUGS, "no", *("C" * n for n in range(1, 40))]
    whole = read_molecules(words, MoleculeContract())
    monkeypatch.setattr(bench, "_PIECE", 7)
    monkeypatch.setattr(bench, "spare_threads", lambda: 3)
    cut = read_molecules(words, MoleculeContract())
    assert np.array_equal(whole.values, cut.values) and whole.keys.tolist() == cut.keys.tolist()
    assert whole.outcome.tolist() == cut.outcome.tolist()


def test_prepared_molecules_are_read_back_as_bytes(tmp_path: Path) -> None:
    """A simulation divides them into files; in float32 these would take four times the memory."""
    path = written(tmp_path / "a.csv", [(smiles, str(k % 2)) for k, smiles in enumerate(DRUGS)])
    records = open_source(path, contract()).load()
    assert records.inputs.dtype == np.uint8
    write_records(tmp_path / "a.npz", records)
    again = open_source(tmp_path / "a.npz", contract().changed(splits=SplitsContract(declared=True, minimum_patients=1))).load()
    assert np.array_equal(again.inputs, records.inputs) and again.splits.tolist() == records.splits.tolist()
    assert network_input(contract(), again.inputs).dtype == np.float32
    with pytest.raises(DataError, match="another contract"):
        open_source(tmp_path / "a.npz", contract(descriptors=True)).load()


def test_a_mapping_is_refused_with_a_way_out(tmp_path: Path) -> None:
    """It would rename columns that nobody reads."""
    path = written(tmp_path / "a.csv", [("CCO", "1")])
    mapping = KeptMapping(HospitalMapping(), "0" * 64)
    with pytest.raises(DataError, match="asks for molecules"):
        open_source(path, contract(), mapping=mapping)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "table", "columns": [{"name": "x", "kind": "binary"}], "molecule": {}}, "does nothing"),
        ({"kind": "molecule", "columns": [{"name": "x", "kind": "binary"}]}, "leave"),
        ({"kind": "molecule", "patient": {"column": "id"}}, "compound is the patient"),
        ({"kind": "molecule", "patient": {"required": True}}, "compound is the patient"),
        ({"kind": "molecule", "label": {"column": "smiles"}}, "may not be the column of the SMILES"),
        ({"kind": "molecule", "molecule": {"bits": 1000}}, "2048"),
    ],
)
def test_a_contract_with_what_nothing_reads_is_refused(settings: dict[str, Any], words: str) -> None:
    """A setting that nothing reads is not understood."""
    with pytest.raises(ValueError, match=words):
        DataContract.model_validate_json(json.dumps(settings))
