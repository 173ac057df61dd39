"""A hospital's own file: what its machine needs, without a word to the others."""

from pathlib import Path

import pytest

from tests.federation.private_studies import private_study
from tests.simulation.small_study import write_hospital, write_study
from wardround.privacy.ledger.file import witness_of
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.config import SiteConfig
from wardround.study.reading import load_study
from wardround.values.errors import RefusedError
from wardround.values.home import default_home


def test_a_hospital_is_opened_from_its_own_file(tmp_path: Path) -> None:
    """It names its data and graphics card itself; the study stays as all agreed to it."""
    write_hospital(tmp_path / "ours.csv", rows=60, seed=1)
    (tmp_path / "site.toml").write_text('data = "ours.csv"\nfolder = "state"\ndevice = "cpu"\nthreads = 2\n', "utf-8")
    study = load_study(write_study(tmp_path)).revised(summation={"mode": "plain"})
    config = SiteConfig.from_toml(tmp_path / "site.toml", "north", study)
    assert (config.data, config.folder, config.ledger) == (
        tmp_path / "ours.csv",
        tmp_path / "state",
        tmp_path / "state" / "ledger.sqlite",
    )
    assert config.ledger is not None and config.ledger_witness == witness_of(config.ledger)
    assert config.ledger_witness.parent == default_home() / "counters", "outside the folder that a backup brings back"
    assert (config.device, config.threads, config.study.hash) == ("cpu", 2, study.hash)
    site = config.open()
    site.close()
    assert (tmp_path / "state").is_dir()


@pytest.mark.permission
def test_a_private_hospital_without_a_ledger_is_refused_with_the_command_that_begins_one(tmp_path: Path) -> None:
    """A ledger that the program made by itself would have no budget, and would refuse nothing for ever."""
    (tmp_path / "site.toml").write_text('data = "ours.csv"\nfolder = "state"\nledger = "patients.ledger"\n', "utf-8")
    config = SiteConfig.from_toml(tmp_path / "site.toml", "east", private_study("patient-local", "fedavg", summation="plain"))
    with pytest.raises(RefusedError, match="wardround site ledger") as refusal:
        config.open()
    assert refusal.value.code == "ledger" and not (tmp_path / "patients.ledger").exists()
    Ledger(tmp_path / "patients.ledger").set_budget(2.0, 1e-3)
    config.open().close()
