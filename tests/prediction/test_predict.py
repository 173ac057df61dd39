"""A finished model's answers are those that the run was judged by."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors import safe_open

import wardround as wr
from tests.simulation.small_study import write_hospitals, write_study
from wardround.sources import open_source
from wardround.sources.splitting import assign_splits
from wardround.sources.synthetic.hospitals import demo_hospitals
from wardround.study.record.model_statement import METADATA_KEY
from wardround.tasks.binary.figures import measure
from wardround.tasks.binary.score_sums import ScoreSums
from wardround.tasks.evaluation import sums_of
from wardround.tasks.registry import task_of_label
from wardround.values.errors import DataError, RegistryError, RunError, WardroundError
from wardround.values.records_file import read_records

IMAGES = """
format = 1
[question]
title = "A small question of images"
[data]
kind = "image"
[data.image]
size = [16, 16]
[network]
name = "small_cnn"
width = 8
blocks = [1]
[training]
learning_rate = 0.01
batch_size = 32
seed = 1
[algorithm]
name = "fedavg"
rounds = 1
[evaluation]
flip_average = true
own_baseline = false
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARDROUND_HOME", str(folder / "home"))
        return wr.simulate(write_study(folder), write_hospitals(folder), out=folder / "run", workers=0)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    """Three hospitals of drawn radiographs, as npz files of 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "study.toml").write_text(IMAGES, "utf-8")
    places = {}
    for name, records in demo_hospitals(3).items():
        places[name] = folder / f"{name}.npz"
        np.savez(places[name], images=records.inputs[:, ::4, ::4], label=records.labels, patient=records.patients)
    return wr.simulate(folder / "study.toml", places, out=folder / "run", workers=0, register=False, synthetic=True)


def data_of(run: wr.Run) -> dict[str, Path]:
    places = json.loads((run.folder / "hospitals.json").read_text())
    return {name: Path(place["path"]) for name, place in places.items()}


def judged(run: wr.Run, name: str, path: Path) -> None:
    """The figures of the run, computed anew from the answers to the same patients."""
    prediction = wr.predict(run.folder, path)
    records = prediction.records
    splits = assign_splits(records.patients, np.full(len(records), ""), prediction.statement.data.splits)
    test = splits == "test"
    assert records.labelled.all() and 0 < test.sum() < len(records)
    kept = run.record.sites[name].federated
    assert kept is not None
    sums = ScoreSums.from_scores(prediction.scores[test], records.labels[test])
    stored = sums_of(task_of_label(prediction.statement.data.label), kept)
    assert stored is not None
    own = ScoreSums.from_counts(stored.arrays)
    assert np.array_equal(sums.histogram, own.histogram)
    assert abs(int(sums.brier) - int(own.brier)) <= 2**20 * 1e-6 * sums.n + sums.n
    figures = measure(sums, prediction.statement.threshold, replicates=0).values
    for key, value in figures.items():
        assert kept.value(key) == pytest.approx(value, abs=1e-6, nan_ok=True) or np.isnan(value), key
    accuracy = np.mean(prediction.answers[test] == (records.labels[test] == 1))
    assert accuracy == pytest.approx(kept.value("accuracy"), abs=1e-12)


@pytest.mark.slow
def test_answers_to_a_tables_patients_give_the_figures_of_the_run(tables: wr.Run) -> None:
    """If they differed, either the figures or the answers would be of another model."""
    for name, path in data_of(tables).items():
        judged(tables, name, path)


@pytest.mark.slow
def test_answers_to_images_give_the_figures_of_the_run(images: wr.Run) -> None:
    """The same for images, whose answers average over the mirror image."""
    for name, path in data_of(images).items():
        judged(images, name, path)


def test_a_hospitals_own_threshold_decides_in_place_of_the_models(tables: wr.Run) -> None:
    """In a private study the model carries one half, and each hospital has found its own."""
    path = data_of(tables)["north"]
    asked = wr.predict(tables.folder, path)
    cut = float(np.median(asked.probabilities))
    moved = wr.predict(tables.folder, path, threshold=cut)
    assert np.array_equal(moved.probabilities, asked.probabilities) and moved.threshold == cut != asked.threshold
    assert moved.answers.sum() == pytest.approx(len(asked) / 2, abs=2)
    with pytest.raises(RunError, match="A threshold is a probability"):
        wr.predict(tables.folder, path, threshold=43.0)


def test_one_record_gets_the_answer_that_it_gets_in_its_table(tables: wr.Run) -> None:
    """The clinic asks about one patient at a time."""
    path = data_of(tables)["north"]
    whole = wr.predict(tables.folder, path)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:6]]
    assert wr.predict(tables.folder, rows).probabilities == pytest.approx(whole.probabilities[:5], abs=1e-6)
    assert wr.predict(tables.folder, rows[3]).probabilities == pytest.approx(whole.probabilities[3:4], abs=1e-6)


MAPPING = """
[source]
separator = ";"
decimal = ","
[[columns]]
name = "pressure"
from = "RR"
factor = 7.50061683
[[columns]]
name = "smoker"
from = "Raucher"
codes = { "ja" = 1, "nein" = 0 }
[patient]
from = "PatNr"
[label]
from = "Krank"
codes = { "J" = 1, "N" = 0 }
"""


def write_own_table(path: Path, contract_table: Path, *, labelled: bool) -> Path:
    """The same patients in another hospital's words, the pressure in kPa; MAPPING brings them back."""
    lines = ["PatNr;RR;Raucher" + ";Krank" * labelled]
    for line in contract_table.read_text().splitlines()[1:]:
        patient, pressure, smoker, ill = line.split(",")
        kilopascal = f"{float(pressure) / 7.50061683:.9f}".replace(".", ",")
        lines.append(f"{patient};{kilopascal};{('nein', 'ja')[int(smoker)]}" + f";{'NJ'[int(ill)]}" * labelled)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [True, False])
def test_a_hospitals_own_table_is_answered_through_its_mapping(labelled: bool, tables: wr.Run, tmp_path: Path) -> None:
    """Who trained through a mapping asks through it; the patients of today have no outcome yet."""
    clean = data_of(tables)["north"]
    own, kept = write_own_table(tmp_path / "own.csv", clean, labelled=labelled), tmp_path / "mapping.toml"
    kept.write_text(MAPPING, "utf-8")
    mapped, plain = wr.predict(tables.folder, own, mapping=kept), wr.predict(tables.folder, clean)
    assert mapped.probabilities == pytest.approx(plain.probabilities, abs=1e-6)
    assert mapped.records.patients.tolist() == plain.records.patients.tolist()
    assert mapped.records.labelled.all() if labelled else not mapped.records.labelled.any()
    assert not labelled or mapped.records.labels.tolist() == plain.records.labels.tolist()
    told = json.loads(command(tables.folder, own, "--mapping", kept, "--json", home=tmp_path).stdout)
    assert [row["probability"] for row in told["answers"]] == pytest.approx(mapped.probabilities.tolist(), abs=1e-12)


def test_a_mapping_that_does_not_fit_what_is_asked_is_refused(tables: wr.Run, images: wr.Run, tmp_path: Path) -> None:
    """An answer read past the mapping would be an answer about other numbers."""
    kept, clean = tmp_path / "mapping.toml", data_of(tables)["north"]
    kept.write_text(MAPPING, "utf-8")
    own = write_own_table(tmp_path / "own.csv", clean, labelled=False)
    own.write_text(own.read_text().replace("RR", "Blutdruck"))
    with pytest.raises(DataError, match="lacks the column 'RR'"):
        wr.predict(tables.folder, own, mapping=kept)
    with pytest.raises(DataError, match="records in memory"):
        wr.predict(tables.folder, {"pressure": 130, "smoker": 1}, mapping=kept)
    with pytest.raises(DataError, match="What to do"):
        wr.predict(images.folder, data_of(images)[sorted(data_of(images))[0]], mapping=kept)


def test_the_file_alone_asked_with_raw_columns_gives_the_same(tables: wr.Run) -> None:
    """Other programs read model.onnx without Wardround."""
    import onnxruntime

    session = onnxruntime.InferenceSession(tables.folder / "model.onnx", providers=["CPUExecutionProvider"])
    frame = [line.split(",") for line in data_of(tables)["west"].read_text().splitlines()[1:]]
    raw = {"pressure": np.array([float(row[1]) for row in frame]), "smoker": np.array([row[2] for row in frame], object)}
    answers = session.run(["probability"], raw)[0]
    assert answers == pytest.approx(wr.predict(tables.folder, data_of(tables)["west"]).probabilities, abs=1e-6)


def test_a_folder_of_images_without_labels_is_answered_by_name(images: wr.Run, tmp_path: Path) -> None:
    """A clinic has files and no outcomes; which answer belongs to which file must be plain."""
    with np.load(data_of(images)["north" if "north" in data_of(images) else sorted(data_of(images))[0]]) as file:
        pixels = file["images"][:5]
    (tmp_path / "x").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "x" / f"{9 - number}.png")
    prediction = wr.predict(images.folder, tmp_path / "x")
    assert prediction.names == ("5.png", "6.png", "7.png", "8.png", "9.png")
    assert prediction.probabilities == pytest.approx(wr.predict(images.folder, list(pixels)).probabilities[::-1], abs=1e-6)
    assert [row["label"] for row in prediction.table] == [None] * 5
    assert prediction.to_frame().columns == ["record", "patient", "probability", "answer", "label"]


@pytest.mark.slow
def test_the_records_of_a_divided_data_set_are_answered(tmp_path: Path) -> None:
    """`runs/RUN/data/NAME.npz` lies in every such run folder, and holds no raw column any more."""
    path = write_hospitals(tmp_path)["north"]
    study = wr.load_study(write_study(tmp_path))
    parts = {name: open_source(path, study.data).load() for name in ("a", "b", "c")}
    run = wr.simulate(study, parts, out=tmp_path / "run", workers=0, register=False)
    prediction = wr.predict(run.folder, run.folder / "data" / "a.npz")
    assert prediction.records.patients.tolist() == read_records(run.folder / "data" / "a.npz").patients.tolist()
    by_patient = dict(zip(prediction.records.patients.tolist(), prediction.probabilities.tolist(), strict=True))
    raw = wr.predict(run.folder, path)
    assert raw.probabilities == pytest.approx([by_patient[patient] for patient in raw.records.patients.tolist()], abs=1e-6)


def test_both_files_say_the_same_of_the_model(images: wr.Run) -> None:
    """Whoever holds one file only must know the contract, the threshold and that the data were drawn."""
    with safe_open(images.folder / "model.safetensors", framework="numpy") as file:
        told = file.metadata()[METADATA_KEY]
    properties = {entry.key: entry.value for entry in onnx.load(images.folder / "model.onnx").metadata_props}
    assert properties[METADATA_KEY] == told
    statement = json.loads(told)
    assert statement["synthetic"] is True and statement["study_hash"] == images.record.study_hash
    assert images.record.model is not None and statement["threshold"] == images.record.model.threshold
    assert statement["data"]["image"]["size"] == [16, 16]


@pytest.mark.slow
def test_answers_need_no_torch(tables: wr.Run, tmp_path: Path) -> None:
    """The program that answers may run where nobody trains."""
    code = (
        "import sys, wardround as wr\n"
        f"wr.predict({str(tables.folder)!r}, {str(data_of(tables)['north'])!r}).to_csv()\n"
        "sys.exit(int('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def command(*words: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"WARDROUND_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home)}
    line = [sys.executable, "-m", "wardround", "predict", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, check=False, cwd=home)


@pytest.mark.slow
def test_the_command_finds_a_model_in_the_registry_and_writes_answers(tables: wr.Run, tmp_path: Path) -> None:
    """A model is known by its hash or its run, wherever its folder went."""
    assert tables.record.model is not None
    home, path = tables.folder.parent / "home", data_of(tables)["south"]
    done = command(tables.record.model.sha256[:12], path, "--out", tmp_path / "answers.csv", "--json", home=home)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    assert lines[0] == "record,patient,probability,answer,label" and len(lines) == 81
    assert lines[1].startswith("1,MARKER-1-0,")
    told = json.loads(done.stdout)
    assert told["threshold"] == tables.record.model.threshold and len(told["answers"]) == 80
    assert command(tables.record.run_id, path, home=home).stdout.splitlines() == lines


@pytest.mark.slow
@pytest.mark.parametrize("what", ["kind", "text", "foreign", "cut", "missing", "unfinished", "data", "row"])
def test_what_cannot_be_answered_is_refused_and_nothing_is_written(
    what: str, tables: wr.Run, images: wr.Run, tmp_path: Path
) -> None:
    """Half a list of answers is taken for a whole one."""
    model, path = tables.folder / "model.onnx", data_of(tables)["north"]
    if what == "kind":
        model = images.folder
    elif what == "text":
        model = path
    elif what == "foreign":
        plain = onnx.load(model)
        del plain.metadata_props[:]
        model = tmp_path / "foreign.onnx"
        onnx.save(plain, model)
    elif what == "cut":
        model = tmp_path / "cut.onnx"
        model.write_bytes((tables.folder / "model.onnx").read_bytes()[:900])
    elif what == "missing":
        model = tmp_path / "nowhere"
    elif what == "unfinished":
        (tmp_path / "run").mkdir()
        model = tmp_path / "run"
    elif what == "data":
        path = tmp_path / "no.csv"
    else:
        path = tmp_path / "row.csv"
        path.write_text("patient,pressure,smoker\na,130,1\nb,900,0\n")
    kinds: dict[str, type[WardroundError]] = {"kind": DataError, "data": DataError, "row": DataError, "missing": RegistryError}
    with pytest.raises(kinds.get(what, RunError), match="What to do"):
        wr.predict(model, path, registry=tmp_path / "home")
    done = command(model, path, "--out", tmp_path / "answers.csv", home=tmp_path)
    assert done.returncode == kinds.get(what, RunError).exit_code and done.stdout == "", done.stderr
    assert not (tmp_path / "answers.csv").exists() and "Traceback" not in done.stderr


def test_the_card_tells_people_what_the_files_tell_programs(tables: wr.Run, images: wr.Run) -> None:
    """Who reads the card decides whether a hospital's data fit."""
    card = (tables.folder / "model_card.md").read_text("utf-8")
    assert "| Column pressure | number; 60 to 200, outside: refuse; may not be missing |" in card
    assert "| Output | A probability; called positive at" in card
    card = (images.folder / "model_card.md").read_text("utf-8")
    assert "images of 16 x 16 pixels, grey, 8 bits, stretch" in card and "| Trained on | synthetic data |" in card
