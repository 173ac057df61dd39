"""A hub that is handed a finished model and a study about it: offered, evaluated, and nothing said of training."""

import json
from pathlib import Path

import pytest

from wardround.cli.hub.standing import study_lines
from wardround.hub.artifacts import CARD, MODEL, ONNX, RECORD, REPORT
from wardround.hub.coordinator import Coordinator
from wardround.hub.daemon.status import study_view
from wardround.plan.evaluated_model import EVALUATED, GivenModel
from wardround.study.record.run_record import RunRecord
from wardround.values.canonical import sha256_hex
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId
from wardround.wire.envelope import from_bytes
from wardround.wire.messages import OrderHeader

from ...federation.evaluations import evaluation, finished_bytes, finished_tree, write_finished
from ...federation.tiny_federation import NAMES, Handle, Ward, enrolled, study, ward
from .hub_ward import hub_ward, until

CONTENT = finished_bytes(finished_tree())


def test_from_a_submitted_model_to_its_figures(tmp_path: Path) -> None:
    """The whole way over the hub, and what is shown of it."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(evaluation(), model=CONTENT)
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "finished", state.reason
        record = RunRecord.from_json((folder.run / RECORD).read_bytes())
        view = study_view(folder, state)
        codes = [entry.code for entry in hub.home.log.entries()]
        submitted = next(entry for entry in hub.home.log.entries() if entry.code == "submitted")
        reports = [json.loads(path.read_bytes()) for path in tmp_path.glob("hospitals/*/*/report.json")]
    assert (state.model, state.rounds, record.model, record.rounds) == ("", (), None, ())
    assert record.evaluated is not None and record.evaluated.sha256 == sha256_hex(CONTENT)
    assert record.hospitals == NAMES and record.sites == {} and record.pooled is not None
    tested = [report["evaluations"]["federated"]["test"] for report in reports]
    assert len(tested) == 3 and record.pooled.federated.values["n"] == 19
    assert sorted(path.name for path in folder.run.iterdir() if path.name in (MODEL, ONNX, CARD, REPORT)) == [REPORT]
    assert (folder.run / EVALUATED).read_bytes() == CONTENT
    assert "evaluated" in codes and "model" not in codes and "round" not in codes
    assert submitted.facts["model"] == sha256_hex(CONTENT)
    shown = "\n".join(study_lines(view))
    assert f"evaluation only of the model {view['evaluates'][:12]}" in shown
    assert "rounds" not in shown and "Model, record" not in shown and "trained" not in shown


def test_a_model_is_handed_over_with_the_study_or_the_study_is_none(tmp_path: Path) -> None:
    """Refused at the command, and not at the first order."""
    with hub_ward(tmp_path) as hub:
        with pytest.raises(StudyError, match="none was handed over"):
            hub.submit(evaluation())
        with pytest.raises(StudyError, match="evaluation of another model"):
            hub.submit(evaluation(), model=finished_bytes(finished_tree(8)))
        other = study().revised(network={"hidden": [5]})
        with pytest.raises(StudyError, match="other arrays"):
            hub.submit(evaluation().revised(network={"hidden": [5]}), model=CONTENT)
        assert other.network != study().network
        first, again = hub.submit(evaluation(), model=CONTENT), hub.submit(evaluation(), model=CONTENT)
        assert first == again


def test_a_file_that_was_exchanged_at_the_hub_is_not_sent(tmp_path: Path) -> None:
    """Between the approval and the first order."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(evaluation(), model=CONTENT)
        (folder.run / EVALUATED).write_bytes(finished_bytes(finished_tree(8)))
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "failed" and "another model" in state.reason
        assert hub.hospitals["north"].orders == 0


def test_a_coordinator_that_was_given_no_model_draws_none(tmp_path: Path) -> None:
    """A network with its first random weights would have figures, too."""
    of = evaluation(mode="plain")
    with ward(of, tmp_path) as engine, pytest.raises(StudyError, match="was not given"):
        Coordinator(of, engine, tmp_path / "hub").run()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["open", "evaluate", "close"])
def test_a_hub_that_was_killed_goes_on_to_the_same_figures(tmp_path: Path, step: str) -> None:
    """At any exchange; no hospital evaluates twice, since it has its answer stored."""
    of = enrolled(evaluation(collusion=0), tmp_path)
    model = write_finished(tmp_path / "model.safetensors")
    killed = []

    def dying(_name: SiteId, order: bytes, handle: Handle) -> bytes | None:
        header = from_bytes(order).header
        answer = handle(order)
        if isinstance(header, OrderHeader) and header.step == step and not killed:
            killed.append(step)
            raise KeyboardInterrupt
        return answer

    def run(engine: Ward, folder: Path) -> Coordinator:
        coordinator = Coordinator(of, engine, folder, networks=GivenModel(model), spare_memory=True, every_site_must_open=True)
        coordinator.run()
        coordinator.close()
        return coordinator

    with ward(of, tmp_path, dying) as engine:
        with pytest.raises(KeyboardInterrupt):
            run(engine, tmp_path / "hub")
        ended = run(engine, tmp_path / "hub")
    undisturbed = enrolled(evaluation(collusion=0), tmp_path / "again")
    with ward(undisturbed, tmp_path / "again") as engine:
        other = Coordinator(undisturbed, engine, tmp_path / "again" / "hub", networks=GivenModel(model))
        other.run()
    assert killed == [step]
    assert ended.progress.evaluations == other.progress.evaluations and ended.progress.evaluations["federated"]["test"]
