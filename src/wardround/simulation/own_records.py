"""What each hospital with a question of its own has at the end: its record, report, card and model, in its own folder alone.

In a deployment the hospital's service writes the record, and its people make the report of it (`wardround report FOLDER`). Here
the hospitals are folders of this machine, so both are made at once. The record of the run holds nothing of them.
"""

from contextlib import closing
from pathlib import Path

from wardround.evidence.model_card import write_model_card
from wardround.evidence.report import write_report
from wardround.hub.artifacts import CARD, RECORD, REPORT
from wardround.hub.outcome import IN_PROCESS
from wardround.hub.run_folder import RunFolder
from wardround.site.config import SiteConfig
from wardround.site.own_record import register_own_record, write_own_record
from wardround.site.store import SiteStore
from wardround.study.record.run_record import RunRecord
from wardround.values.ids import site_id


def keep_own_records(folder: RunFolder, study_hash: str, configs: list[SiteConfig], *, register: bool, synthetic: bool) -> None:
    """Of every hospital of a run whose study keeps heads. A record that was written before stays as it is.

    study_hash: as the run's own record says it. configs: of a masked study with the keys that the simulation made.
    """
    for config in configs:
        site_folder = folder.site(config.name)
        record = _written_before(site_folder / RECORD)
        if record is None:
            record = _written(config, study_hash, synthetic=synthetic)
        if record is None:
            continue
        for name, write in ((REPORT, write_report), (CARD, write_model_card)):
            write(record, site_folder / name)
        if register and record.model is not None:
            register_own_record(record, site_folder)


def _written(config: SiteConfig, study_hash: str, *, synthetic: bool) -> RunRecord | None:
    with closing(SiteStore(config.folder, config.counter)) as store:
        return write_own_record(
            site_id(config.name),
            config.study_at_home,
            store,
            synthetic=synthetic,
            agreed_hash=study_hash,
            engine=IN_PROCESS,
        )


def _written_before(path: Path) -> RunRecord | None:
    return RunRecord.from_json(path.read_bytes(), name=str(path)) if path.exists() else None
