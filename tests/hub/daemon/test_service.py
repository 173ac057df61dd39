"""The hub as a service: a study from its submission to its model, whatever happens on the way."""

from pathlib import Path

from wardround.hub.artifacts import CARD, MODEL, RECORD, REPORT
from wardround.study.record.run_record import RunRecord
from wardround.values.canonical import sha256_hex

from ...federation.tiny_federation import NAMES, study
from .hub_ward import hub_ward, until


def test_a_study_that_all_approve_ends_with_a_model_and_a_report(tmp_path: Path) -> None:
    """The whole way, without a person at the hub after `hub run`."""
    with hub_ward(tmp_path) as hub:
        folder = hub.submit(study(mode="masked", rounds=2, collusion=0))
        with hub.up():
            state = until(folder, "finished", "failed")
        assert state.phase == "finished", state.reason
        record = RunRecord.from_json((folder.run / RECORD).read_bytes())
        assert state.model == sha256_hex((folder.run / MODEL).read_bytes())
        assert (folder.run / REPORT).exists() and (folder.run / CARD).exists()
    assert record.hospitals == NAMES and record.sites == {} and record.cross == {}
    assert [line.number for line in state.rounds] == [1, 2]
