"""Partners share a trunk and keep their heads: learned together, judged at home, and nowhere named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import wardround as wr
from wardround.algorithms.quantities import TrainedModel
from wardround.hub.notices import Notice
from wardround.plan.permission import Permission
from wardround.plan.plan import Plan
from wardround.plan.releases import releases
from wardround.prediction.answers import predict
from wardround.site.site import Site
from wardround.study.own_task import at_home, load_own_task
from wardround.study.record.run_record import RunRecord
from wardround.study.run_settings import load_run
from wardround.tasks.registry import task_of_record
from wardround.training.head import Head
from wardround.training.loop import TorchTrainer
from wardround.values.errors import RunError, StudyError, WardroundError
from wardround.values.randomness import seed_of
from wardround.values.tensor_file import read_tensors
from wardround.values.tree import Tree

from .partners import ASSAYS, write_partner, write_partners, write_study, write_task

ALGORITHMS = {
    "fedavg": (),
    "fedprox": (('name = "fedavg"', 'name = "fedprox"\nproximal_mu = 0.1'),),
    "fedopt": (('name = "fedavg"', 'name = "fedopt"'),),
    "scaffold": (('name = "fedavg"', 'name = "scaffold"'), ("momentum = 0.9\n", "")),
    "fedbn": (('name = "fedavg"', 'name = "fedbn"'),),
    "fedsgd": (('name = "fedavg"', 'name = "fedsgd"\nserver_optimizer = "momentum"\nserver_learning_rate = 0.1'),),
}
WORDS = {word for assays in ASSAYS.values() for word in assays} | {"quagga"}
PRIVATE = {
    "patient-local": "steps = 2\nsampling_rate = 0.3\n",
    "patient-distributed": "sampling_rate = 0.3\n",
    "site": "",
}


def partners_run(folder: Path, *, study: Path | None = None, out: str = "run", private: bool = False, **more: object) -> wr.Run:
    tables, tasks = write_partners(folder, private=private)
    asked: dict[str, object] = {"workers": 0, "register": False, **more}
    return wr.simulate(study or write_study(folder), tables, tasks=tasks, out=folder / out, **asked)  # type: ignore[arg-type]


def kept(run: wr.Run, partner: str) -> Tree:
    return read_tensors(run.folder / "sites" / partner / "federated.safetensors")[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> wr.Run:
    folder = tmp_path_factory.mktemp("partners")
    return partners_run(folder, study=write_study(folder, more='[personal]\ncandidates = ["own", "federated", "mixed"]\n'))


@pytest.mark.slow
def test_every_partner_has_the_shared_trunk_and_a_head_of_its_own(finished: wr.Run) -> None:
    """One trunk, bit for bit; each head as wide as its partner's own task, and trained."""
    trunk = finished.model
    assert sorted(trunk) == ["hidden.0.bias", "hidden.0.weight"]
    for partner, assays in ASSAYS.items():
        model = kept(finished, partner)
        assert all(np.array_equal(model[name], trunk[name]) for name in trunk)
        assert model["head.weight"].shape == (len(assays), 12) and np.any(model["head.weight"])


def test_figures_report_and_files_are_the_partners_own(finished: wr.Run) -> None:
    """Its record says its own task, its own model, and how the shared trunk does there against what it has alone."""
    records = finished.own_records
    assert set(records) == set(ASSAYS)
    for partner, record in records.items():
        folder, entry = finished.folder / "sites" / partner, record.sites[partner]
        assert entry.own is not None and entry.federated is not None and entry.personal is not None
        headline = task_of_record(record.study_toml).headline
        assert entry.own.value(headline) is not None and set(entry.paired) >= {headline}
        assert record.study_hash == finished.record.study_hash and record.hospitals == tuple(ASSAYS)
        assert all(word in (folder / "report.html").read_text("utf-8") for word in ASSAYS[partner])
        page = (folder / "report.html").read_text("utf-8")
        assert f"On the held-out test patients of {partner}" in page and "holds no evaluation" not in page
        assert "pass" in json.loads((folder / "report.json").read_bytes())["own_head"]["kept"]["refitted"]
        assert (folder / "federated.onnx").is_file() and (folder / "model_card.md").is_file()


def test_a_partners_model_answers_its_own_question(finished: wr.Run, tmp_path: Path) -> None:
    """`wardround predict` reads the partner's columns and answers by its names."""
    table = write_partner(tmp_path, "birch")
    with pytest.raises(RunError, match="no last layer that answers"):
        predict(str(finished.folder), table)
    assert len(predict(str(finished.folder / "sites" / "birch"), table)) == 90  # the model that birch keeps
    answers = predict(str(finished.folder / "sites" / "birch" / "federated.onnx"), table)
    assert len(answers) == 90 and {f"probability of {name}" for name in ASSAYS["birch"]} <= set(answers.columns)


def test_no_word_of_a_task_is_in_what_everybody_sees(finished: wr.Run) -> None:
    """The attack: whoever has the hub's whole folder looks for an assay's name, a kind of question, a count of labels."""
    shared = [path for path in finished.folder.iterdir() if path.is_file() and path.suffix != ".run.toml"]
    assert {path.name for path in shared} >= {
        "record.json",
        "report.html",
        "model_card.md",
        "checkpoint.safetensors",
        "study.toml",
    }
    for path in shared:
        content = path.read_bytes().lower()
        assert not [word for word in WORDS if word.encode() in content], path.name
        assert b"findings" not in content or path.name in ("report.html", "model_card.md"), path.name
    record = finished.record
    assert record.sites == {} and record.pooled is None and record.start is None and record.totals is not None
    assert record.totals.labels == {} and all(entry.validation is None and entry.train_loss is None for entry in record.rounds)
    assert not (finished.folder / "model.onnx").exists()


@pytest.fixture
def bytes_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Site, size of the order and size of the answer, of every message of the runs of a test."""
    seen: list[tuple[str, int, int]] = []
    handle: Callable[[Site, bytes], bytes] = Site.handle

    def heard(site: Site, data: bytes) -> bytes:
        answer = handle(site, data)
        seen.append((site.name, len(data), len(answer)))
        assert not [word for word in WORDS if word.encode() in data.lower() or word.encode() in answer.lower()]
        return answer

    monkeypatch.setattr(Site, "handle", heard)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["plain", "masked"])
def test_orders_and_answers_are_of_one_shape_whatever_a_partner_asks(
    tmp_path: Path, bytes_of: list[tuple[str, int, int]], mode: str
) -> None:
    """The attack: the size of a message tells how many tasks there are. Every partner's is as long, and stays so."""
    study = write_study(tmp_path, rounds=2, more=f'[summation]\nmode = "{mode}"\n')
    partners_run(tmp_path, study=study, out="first")
    first = sorted(bytes_of)
    bytes_of.clear()
    write_task(tmp_path, "birch", ("vole",))
    tables = {name: tmp_path / f"{name}.csv" for name in ASSAYS}
    tasks = {name: tmp_path / f"{name}.task.toml" for name in ASSAYS}
    wr.simulate(study, tables, tasks=tasks, out=tmp_path / "second", workers=0, register=False)
    assert len(first) == len(bytes_of)
    by_partner = {name: sorted(sizes for site, *sizes in first if site == name) for name in ASSAYS}
    again = {name: sorted(sizes for site, *sizes in bytes_of if site == name) for name in ASSAYS}
    lengths = {name: len(name) for name in ASSAYS}
    assert by_partner == again
    assert len({tuple(answer - lengths[name] for _, answer in by_partner[name]) for name in ("birch", "cedar")}) == 1


def test_what_leaves_is_the_trunk_and_nothing_that_is_a_figure_of_a_task(tmp_path: Path) -> None:
    """From the study alone: the list that a site answers by."""
    study = wr.load_study(write_study(tmp_path)).revised(sites={"names": tuple(ASSAYS)}, summation={"mode": "plain"})
    plan = Plan(study)
    listed = {release.step: release for release in releases(plan)}
    assert set(listed) == {"opening", "training"}
    assert listed["training"].model_words == 6 * 12 + 12 and listed["training"].counts == 2
    assert set(plan.dataset_counts) == {"images", "patients"}
    evaluated = [order for order in Permission(plan) if order.step == "evaluate"]
    assert [order.label for order in evaluated] == ["federated"] and not evaluated[0].summed


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_learns_a_trunk_for_heads_that_stay(tmp_path: Path, algorithm: str) -> None:
    """No algorithm knows of heads; each head learns, and the trunk is one."""
    rounds = 12 if algorithm == "fedsgd" else 3
    run = partners_run(tmp_path, study=write_study(tmp_path, rounds=rounds, changes=ALGORITHMS[algorithm]))
    first = {name: read_tensors(run.folder / "sites" / name / "start.safetensors")[0] for name in ASSAYS}
    for partner in ASSAYS:
        model = kept(run, partner)
        assert np.any(model["head.weight"]) and not np.array_equal(model["hidden.0.weight"], first[partner]["hidden.0.weight"])
        report = json.loads((run.folder / "sites" / partner / "report.json").read_bytes())
        losses = [one["loss_sum"] / one["loss_count"] for one in report["rounds"].values()]
        assert losses[-1] < losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", PRIVATE)
def test_every_privacy_mode_has_private_heads(tmp_path: Path, mode: str) -> None:
    """And what they cost follows from public words: it is the same for any task."""
    privacy = f'[privacy]\nmode = "{mode}"\nnoise_multiplier = 1.0\ndelta = 1e-3\nclip_norm = 1.0\n{PRIVATE[mode]}'
    if mode != "site":
        privacy += "public_patients = 50\n"
    changes = [("momentum = 0.9\nbatch_size = 16\n", "" if mode != "site" else "batch_size = 16\n")]
    if mode == "patient-distributed":
        changes += list(ALGORITHMS["fedsgd"])
    more = f"[evaluation]\nown_baseline = false\n{privacy}"
    run = partners_run(tmp_path, study=write_study(tmp_path, more=more, changes=tuple(changes)), private=True)
    assert run.record.privacy is not None and len(set(run.record.privacy.spent.values())) == 1
    for partner in ASSAYS:
        assert np.any(kept(run, partner)["head.weight"])
        assert run.own_records[partner].sites[partner].federated is not None


@pytest.mark.slow
def test_a_head_is_not_trained_beside_sums_that_all_noise_together(tmp_path: Path) -> None:
    """A head that learned of one patient without noise would stand in the gradients of all others, which are charged as if it did
    not. It stays as it was drawn until nothing leaves any more."""
    privacy = (
        '[evaluation]\nown_baseline = false\n[privacy]\nmode = "patient-distributed"\nnoise_multiplier = 1.0\ndelta = 1e-3\n'
        "clip_norm = 1.0\nsampling_rate = 0.3\npublic_patients = 50\n"
    )
    changes = (
        ("momentum = 0.9\nbatch_size = 16\nseed = 3\nhead_passes = 3\n", "seed = 3\nhead_passes = 0\n"),
        *ALGORITHMS["fedsgd"],
    )
    drawn = []
    for rounds in (1, 3):
        study = write_study(tmp_path, rounds=rounds, more=privacy, changes=changes)
        drawn.append(kept(partners_run(tmp_path, study=study, out=str(rounds), private=True), "ash"))
    assert np.array_equal(drawn[0]["head.weight"], drawn[1]["head.weight"]) and np.any(drawn[0]["head.weight"])
    assert not np.array_equal(drawn[0]["hidden.0.weight"], drawn[1]["hidden.0.weight"])


def test_one_partner_alone_is_local_training(tmp_path: Path) -> None:
    """The sum of one is what that one would have learned for itself, but for the grid of the sum."""
    write_partner(tmp_path, "ash")
    path = write_study(
        tmp_path, more='[sites]\nminimum = 1\n[summation]\nmode = "plain"\n', changes=(("head_passes = 3", "head_passes = 0"),)
    )
    run = wr.simulate(
        path,
        {"ash": tmp_path / "ash.csv"},
        tasks={"ash": tmp_path / "ash.task.toml"},
        out=tmp_path / "run",
        workers=0,
        register=False,
    )
    study = wr.load_study(path)
    home = Plan(at_home(study, load_own_task(tmp_path / "ash.task.toml")))
    from wardround.sources import open_source

    records = open_source(tmp_path / "ash.csv", home.study.data).load().where("train")
    model = home.initial_model()
    for number in range(1, 4):
        head = Head(home.task.outputs, home.task.row_loss(home.study.training, records.labels), home.task.targets)
        trainer = TorchTrainer(
            home.study.learned, home.study.training, home.inputs, records, head,
            seed=seed_of("train", 3, "ash"), round_number=number, rounds=3, device="cpu",
        )  # fmt: skip
        model = trainer.compute(TrainedModel(model)).model
    assert all(np.allclose(kept(run, "ash")[name], model[name], atol=2e-4) for name in model)


@pytest.mark.slow
def test_side_by_side_or_in_order_it_is_the_same_to_the_bit(tmp_path: Path, finished: wr.Run) -> None:
    """Engine parity: heads too."""
    again = partners_run(tmp_path, study=finished.folder / "study.toml", workers=3)
    for partner in ASSAYS:
        assert all(np.array_equal(one, kept(finished, partner)[name]) for name, one in kept(again, partner).items())
    assert all(np.array_equal(one, finished.model[name]) for name, one in again.model.items())


class _Stop(Exception):
    """Stands for whatever ends a process."""


class _Stopper:
    def __init__(self, events: int) -> None:
        self._left = events

    def __call__(self, _event: Notice) -> None:
        self._left -= 1
        if self._left < 0:
            raise _Stop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "stop_after"),
    [
        ("fedavg", 7),
        ("fedsgd", 9),
        pytest.param("fedavg", 13, marks=[pytest.mark.slow, pytest.mark.many]),
        pytest.param("fedavg", 21, marks=[pytest.mark.slow, pytest.mark.many]),
    ],
)
def test_a_run_killed_in_the_middle_resumes_to_the_same_bits(tmp_path: Path, algorithm: str, stop_after: int) -> None:
    """A head is committed where its round counted, once: a killed run neither loses a step of it nor takes one twice."""
    study = write_study(tmp_path, changes=ALGORITHMS[algorithm])
    whole = partners_run(tmp_path, study=study, out="whole")
    with pytest.raises(_Stop):
        partners_run(tmp_path, study=study, out="stopped", listener=_Stopper(stop_after))
    again = partners_run(tmp_path, study=study, out="stopped", resume=True)
    assert (again.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    for partner in ASSAYS:
        assert all(np.array_equal(one, kept(whole, partner)[name]) for name, one in kept(again, partner).items())


@pytest.mark.slow
def test_a_finished_run_resumes_to_the_same_records(tmp_path: Path) -> None:
    """`--resume` on a run that was done must do no harm."""
    before = partners_run(tmp_path)
    records = {name: record.to_json() for name, record in before.own_records.items()}
    again = partners_run(tmp_path, resume=True)
    assert {name: record.to_json() for name, record in again.own_records.items()} == records


def test_a_task_that_changed_since_the_run_began_is_refused(tmp_path: Path) -> None:
    """Half a head of one question and half of another answers none."""
    with pytest.raises(_Stop):
        partners_run(tmp_path, listener=_Stopper(9))
    write_task(tmp_path, "birch", ("walrus", "vole"))
    tables = {name: tmp_path / f"{name}.csv" for name in ASSAYS}
    with pytest.raises(WardroundError):
        wr.simulate(tmp_path / "study.toml", tables, out=tmp_path / "run", workers=0, register=False, resume=True)
    log = tmp_path / "run" / "sites" / "birch" / "log.ndjson"
    assert not log.exists() or "walrus" not in log.read_text("utf-8")


def test_partners_without_a_task_and_tasks_without_a_partner_are_refused(tmp_path: Path) -> None:
    """Before anything begins, with what to do."""
    tables, tasks = write_partners(tmp_path)
    study = write_study(tmp_path)
    del tasks["cedar"]
    with pytest.raises(StudyError, match="cedar names none"):
        wr.simulate(study, tables, tasks=tasks, out=tmp_path / "a", workers=0, register=False)
    with pytest.raises(StudyError, match="not there: oak"):
        wr.simulate(study, tables, tasks={**tasks, "oak": tasks["ash"]}, out=tmp_path / "b", workers=0, register=False)


RUN = """
[simulation]
by = "size"
seed = 2
hospitals = [
    { name = "ash", share = 0.5, task = "ash.task.toml" },
    { name = "birch", share = 0.5, task = "birch.task.toml" },
]
"""


@pytest.mark.slow
def test_one_data_set_is_divided_and_read_by_each_partners_task(tmp_path: Path) -> None:
    """The run file names the task files; the division knows no label, so it is the same whatever is asked."""
    write_partner(tmp_path, "birch", assays=("zebra", "yak", "walrus", "vole", "unau"), rows=160)
    data = (tmp_path / "birch.csv").rename(tmp_path / "all.csv")
    for name in ("ash", "birch"):
        write_task(tmp_path, name, ASSAYS[name])
    study = write_study(tmp_path, more='[summation]\nmode = "plain"\n')
    (tmp_path / "study.run.toml").write_text(RUN, "utf-8")
    assert load_run(tmp_path / "study.run.toml").simulation is not None
    run = wr.simulate(study, data=data, out=tmp_path / "run", workers=0, register=False)
    assert {name: kept(run, name)["head.weight"].shape[0] for name in ("ash", "birch")} == {"ash": 2, "birch": 3}
    counts = {name: record.sites[name].images for name, record in run.own_records.items()}
    assert sum(counts.values()) == 160
    write_task(tmp_path, "ash", ("walrus",))
    with pytest.raises(StudyError, match="names no task of birch"):
        settings = (tmp_path / "study.run.toml").read_text("utf-8").replace(', task = "birch.task.toml"', "")
        (tmp_path / "study.run.toml").write_text(settings, "utf-8")
        write_task(tmp_path, "ash", ASSAYS["ash"])
        wr.simulate(study, data=data, out=tmp_path / "other", workers=0, register=False)


SMILES = (
    "CCOC(=O)C", "CC(=O)Oc1ccccc1C(=O)O", "CN1CCCC1c1cccnc1", "c1ccc2ccccc2c1", "O=C(O)CCc1ccccc1", "CCCCCC", "C1CCCCC1N",
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "c1ccncc1", "OCC1OC(O)C(O)C(O)C1O", "C1CC1C(=O)O", "CCN(CC)CC", "c1ccsc1", "c1ccoc1C=O",
    "CC1=CC(=O)CC(C)(C)C1", "Nc1ccc(cc1)S(N)(=O)=O", "O=c1[nH]cnc2[nH]cnc12", "C1CCNCC1", "CCCl", "CC#N",
)  # fmt: skip


@pytest.mark.slow
def test_molecules_are_divided_by_scaffold_and_read_by_each_partners_task(tmp_path: Path) -> None:
    """No scaffold is at two partners, whatever each asks of it."""
    pytest.importorskip("rdkit")
    lines = ["smiles,zebra,yak,walrus"]
    lines += [f"{smiles},{k % 2},{(k // 2) % 2},{(k // 3) % 2 if k % 5 else ''}" for k, smiles in enumerate(SMILES)]
    (tmp_path / "all.csv").write_text("\n".join(lines) + "\n", "utf-8")
    for name, assays in (("ash", ("zebra", "yak")), ("birch", ("yak", "walrus"))):
        write_task(tmp_path, name, assays)
    (tmp_path / "study.run.toml").write_text(RUN.replace('by = "size"', 'by = "scaffold"').replace("share = 0.5, ", ""), "utf-8")
    text = write_study(tmp_path, rounds=1, more='[summation]\nmode = "plain"\n').read_text("utf-8")
    start, end = text.index("[[data.columns]]"), text.index("[data.splits]")
    text = (text[:start] + text[end:]).replace('kind = "table"', 'kind = "molecule"')
    study = tmp_path / "study.toml"
    study.write_text(text.replace("validation = 0.2\ntest = 0.2", "validation = 0.1\ntest = 0.2\nminimum_patients = 1"), "utf-8")
    run = wr.simulate(study, data=tmp_path / "all.csv", out=tmp_path / "run", workers=0, register=False)
    counts = {name: record.sites[name].images for name, record in run.own_records.items()}
    assert sum(counts.values()) == len(SMILES) and set(counts) == {"ash", "birch"}
    with pytest.raises(StudyError, match="divides molecules"):
        (tmp_path / "table").mkdir()
        other = write_study(tmp_path / "table")
        wr.simulate(other, data=tmp_path / "all.csv", run=load_run(tmp_path / "study.run.toml"), out=tmp_path / "b", workers=0)


def test_a_record_is_read_back_as_it_was_written(finished: wr.Run) -> None:
    """An own record is a run record like any other."""
    for name in ASSAYS:
        path = finished.folder / "sites" / name / "record.json"
        assert RunRecord.from_json(path.read_bytes()).to_json() == path.read_bytes()
