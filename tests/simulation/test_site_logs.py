"""Where a hospital says why it did not take part."""

import json
from pathlib import Path

import pytest

import wardround as wr
from tests.simulation.small_study import write_hospitals, write_study
from wardround.hub.notices import ExchangeStarted, SiteLost, silent
from wardround.hub.run_folder import RunFolder
from wardround.simulation.site_logs import Losses, naming_logs, numbers_notes
from wardround.values.errors import EngineError
from wardround.values.ids import SiteId
from wardround.values.log import write_log


def test_a_hospital_that_cannot_take_part_is_named_with_its_log(tmp_path: Path) -> None:
    """Reading "see the site's log" helps nobody who does not know where that is."""
    hospitals = write_hospitals(tmp_path)
    hospitals["north"].write_text(hospitals["north"].read_text().replace("pressure", "presure", 1), "utf-8")
    with pytest.raises(EngineError) as caught:
        wr.simulate(write_study(tmp_path), hospitals, out=tmp_path / "run", workers=0, register=False)
    log = tmp_path / "run" / "sites" / "north" / "log.ndjson"
    assert f"read why in {log}, mend it" in str(caught.value) and log.is_file()
    assert caught.value.__notes__ == [f"north: {json.loads(log.read_text().splitlines()[-1])['text']}"]
    assert "pressure" not in str(caught.value)  # the text may quote records


def _hint(folder: Path, sites: list[str], logs: list[str]) -> str:
    """What is said where these sites were lost, and those of them wrote a log."""
    run = RunFolder(folder)
    losses = Losses(silent)
    losses(ExchangeStarted("open", 0, 0, tuple(SiteId(site) for site in sites)))
    for site in sites:
        losses(SiteLost(SiteId(site), "run"))
    for site in logs:
        run.site(site).mkdir(parents=True)
        write_log(run.site(site), "run", "why")
    with pytest.raises(EngineError) as caught, naming_logs(run, losses):
        raise EngineError("Too few sites contributed")
    run.close()
    return caught.value.hint


def test_of_many_logs_a_few_are_named(tmp_path: Path) -> None:
    """A hundred paths in one sentence hide the sentence."""
    names = [f"site-{number}" for number in range(100)]
    assert _hint(tmp_path / "run", names, names).count("log.ndjson") == 3
    assert "and 97 more" in _hint(tmp_path / "other", names, names)


def test_no_log_is_named_that_is_not_there(tmp_path: Path) -> None:
    """On a full disk, or where a process was killed, the hospital could write nothing."""
    hint = _hint(tmp_path / "run", ["north"], [])
    assert "log.ndjson" not in hint and "disk" in hint and "--resume" in hint


def test_only_the_losses_of_the_exchange_at_hand_are_told() -> None:
    """A hospital that was late in round 1 and is back has nothing to do with the end in round 5."""
    losses = Losses(silent)
    losses(ExchangeStarted("train", 1, 5, ()))
    losses(SiteLost(SiteId("north"), "no-answer"))
    losses(ExchangeStarted("train", 2, 5, ()))
    assert losses.lost == {}


@pytest.mark.slow
def test_numbers_that_are_not_finite_are_told_on_the_terminal(tmp_path: Path) -> None:
    """A fill code of 9.97e29 makes a hospital count for nothing; no answer may tell of it, and its data manager must hear it."""
    hospitals = write_hospitals(tmp_path)
    study = write_study(tmp_path)
    text = study.read_text("utf-8").replace("range = [60, 200]", "center = 130\nscale = 20")
    study.write_text(text, "utf-8")
    lines = hospitals["north"].read_text("utf-8").splitlines()
    cells = [line.split(",") for line in lines]
    column = cells[0].index("pressure")
    for row in cells[1:]:
        row[column] = "9.96921e29"
    hospitals["north"].write_text("\n".join(map(",".join, cells)) + "\n", "utf-8")
    run = wr.simulate(study, hospitals, out=tmp_path / "run", workers=0, register=False)
    (note,) = numbers_notes(run.folder)
    assert note.startswith("north: numbers were not finite") and "wardround data check" in note
