"""Molecules go the whole way: check, run, report, card, model file, answers, a private study; no SMILES is in what comes out."""

import csv
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("rdkit")

import wardround as wr
from wardround.evidence.model_card import render_model_card
from wardround.evidence.report import render_report
from wardround.prediction.answers import predict
from wardround.sources import network_input, open_source
from wardround.study.reading import parse_study
from wardround.study.record.model_statement import METADATA_KEY, ModelStatement
from wardround.values.errors import WardroundError

HEADS = ("c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "C1CCOC1", "c1ccc2ccccc2c1", "C1CC1", "c1c[nH]cn1")
TAILS = ("", "C", "CC", "O", "N", "Cl", "Br", "OC(=O)", "NC(=O)", "CO", "OCC", "NCC", "N#C", "FC(F)(F)", "CS(=O)(=O)")
STUDY = """
format = 1
[question]
title = "Two assays of drawn molecules"
[task]
kind = "findings"
findings = [{ name = "acid", column = "acid" }, { name = "halogen", column = "halogen" }]
[data]
kind = "molecule"
[data.molecule]
folds = "compound"
[network]
name = "mlp"
hidden = [8]
[training]
batch_size = 16
local_epochs = 4
[algorithm]
rounds = 8
"""


def molecules() -> list[tuple[str, ...]]:
    """SMILES, and whether it is an acid and has a halogen; a sixth of the cells is blank."""
    drawn = np.random.default_rng(3)
    rows = []
    for head in HEADS:
        for first in TAILS:
            for chain in ("", "C", "CCC", "O"):
                smiles = f"{first}{chain}{head}"
                answers = (first == "OC(=O)", any(atom in first for atom in ("Cl", "Br", "F")))
                rows.append((smiles, *("" if drawn.random() < 1 / 6 else str(int(answer)) for answer in answers)))
    return rows


def partners(folder: Path, count: int = 3) -> dict[str, Path]:
    folder.mkdir()
    rows, paths = molecules(), {}
    for number in range(count):
        paths[f"partner_{number}"] = folder / f"{number}.csv"
        with paths[f"partner_{number}"].open("w", newline="") as file:
            csv.writer(file).writerows([("smiles", "acid", "halogen"), *rows[number::count]])
    return paths


@pytest.mark.slow
def test_molecules_go_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partner in drug discovery has what a hospital has: figures, report, card, a model file, and answers for new compounds."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    study, paths = parse_study(STUDY), partners(tmp_path / "data")
    assert all(open_source(path, study.data).check().ready() for path in paths.values())
    run = wr.simulate(study, paths, out=tmp_path / "run", workers=0)
    assert run.record.pooled is not None
    assert (run.record.pooled.federated.value("macro_auc") or 0) > 0.8
    assert "Two assays of drawn molecules" in render_report(run.record)
    assert "Morgan fingerprint of the parent compound, radius 2, 2048 bits" in render_model_card(run.record)

    asked = tmp_path / "asked.csv"
    asked.write_text("smiles\nOC(=O)c1ccccc1\n[Na+].[O-]C(=O)c1ccccc1\nClc1ccccc1\n")
    said = predict(run.folder, asked).columns
    acid, halogen = (said[f"probability of {name}"] for name in ("acid", "halogen"))
    assert acid[0] == acid[1] != acid[2] and halogen[2] > halogen[0]
    alone = predict(run.folder, {"smiles": "OC(=O)c1ccccc1"})
    assert next(iter(alone.columns.values())).tolist() == pytest.approx(acid[:1].tolist(), abs=1e-6)

    session = onnxruntime.InferenceSession((run.folder / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    statement = ModelStatement.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY], name="model.onnx")
    assert statement.data.kind == "molecule" and [one.name for one in session.get_inputs()] == ["features"]
    inputs = network_input(statement.data, open_source(asked, statement.data).named().inputs)
    assert session.run(["acid"], {"features": inputs})[0] == pytest.approx(acid, abs=1e-5)


@pytest.mark.slow
def test_no_file_of_a_run_holds_a_smiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder is shown around; a partner's structures are its property."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    secret = "BrC(F)(F)C1CCOC1"
    paths = partners(tmp_path / "data")
    with paths["partner_0"].open("a") as file:
        file.write(f"{secret},1,1\n")
    run = wr.simulate(parse_study(STUDY.replace("rounds = 8", "rounds = 1")), paths, out=tmp_path / "run", workers=0)
    whole = [path.read_bytes() for path in run.folder.rglob("*") if path.is_file()]
    assert whole and not any(secret.encode() in content or b"C(F)(F)" in content for content in whole)
    assert json.loads((run.folder / "record.json").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["patient-local", "patient-distributed"])
def test_a_private_study_protects_the_compound(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modes that bound what is learned of a patient bound what is learned of whether a partner measured a compound."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    paths = partners(tmp_path / "data")
    private = f"""
[privacy]
mode = "{mode}"
epsilon = 8.0
delta = 1e-4
clip_norm = 1.0
sampling_rate = 0.2
public_patients = 140
[evaluation]
threshold = "local"
own_baseline = false
[summation]
mode = "masked"
"""
    text = STUDY.replace("[training]\nbatch_size = 16\nlocal_epochs = 4\n", "").replace("rounds = 8", "rounds = 3") + private
    if mode == "patient-local":
        text = text.replace("sampling_rate = 0.2", "sampling_rate = 0.2\nsteps = 4")
    else:
        text = text.replace("[algorithm]\n", '[algorithm]\nname = "fedsgd"\n')
    run = wr.simulate(parse_study(text), paths, out=tmp_path / "run", workers=0)
    assert run.record.privacy is not None and run.record.model is not None


@pytest.mark.slow
def test_a_table_that_is_refused_shows_no_smiles_to_anybody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coordinator hears that a partner's records cannot be read, and not which: that its own report says."""
    monkeypatch.setenv("WARDROUND_HOME", str(tmp_path / "home"))
    secret = "BrC(F)(F)C1CCOC1(C)(C)(C)(C)C"
    paths = partners(tmp_path / "data")
    with paths["partner_0"].open("a") as file:
        file.write(f"{secret},1,1\n")
    with pytest.raises(WardroundError) as caught:
        wr.simulate(parse_study(STUDY), paths, out=tmp_path / "run", workers=0)
    whole = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    told = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
    assert "C(F)(F)" not in told and b"C(F)(F)" not in whole
    report = open_source(paths["partner_0"], parse_study(STUDY).data).check()
    assert secret in [spot.value for finding in report.findings for spot in finding.places]
