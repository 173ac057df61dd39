"""Where a site sits on this machine: all that a process needs to bring it to life."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from wardround.analysis.registry import analysis_of
from wardround.crypto.identity import Identity
from wardround.privacy.ledger.file import witness_of
from wardround.privacy.ledger.ledger import Ledger
from wardround.site.analysis_work import fingerprint_of_rows
from wardround.site.site import Site
from wardround.site.work import fingerprint
from wardround.study.declaration import Study
from wardround.study.own_task import OwnTask, load_own_task, require_own_task
from wardround.study.run_settings import load_site
from wardround.values.errors import DataError, StudyError
from wardround.values.home import default_home
from wardround.values.ids import site_id
from wardround.values.records import Records
from wardround.values.records_file import read_records
from wardround.values.rows import Rows
from wardround.values.rows_file import read_rows
from wardround.values.stored import head_of, value_of

if TYPE_CHECKING:
    from wardround.sources import FileSource
    from wardround.sources.read_result import Labels

StudyAsJson = Annotated[
    Study,
    PlainSerializer(lambda study: study.model_dump_json()),
    BeforeValidator(lambda value: Study.model_validate_json(value) if isinstance(value, str) else value),
]
"""Strict sections are read from JSON text, not from what JSON text became."""


def identity_in(folder: Path) -> Identity:
    """The signing key of the site in this folder; made on first use."""
    return Identity.at(folder / "identity.key")


@dataclass(frozen=True)
class SiteConfig:
    """data: the site's file or folder; prepared: it holds records that were read and checked already. folder: where the site
    keeps its memory, report and log. ledger: of its patients, for a private study. threads: 0 for all cores. outside, counter:
    see Site. ledger_witness: see Ledger. run: the run's name, for the ledger. mapping: the hospital's own, for a table;
    mapping_sha256: of the one agreed to, "" for whichever there is. records: the fingerprint of the records agreed to, likewise.
    identity: file of the signing key; None for the one in `folder`. synthetic, questions: see Site. excluded: who withdrew. task:
    the hospital's own task, for a study that leaves the question to it; task_sha256: of the one agreed to, as mapping_sha256."""

    name: str
    study: StudyAsJson
    data: Path
    folder: Path
    device: str = "auto"
    threads: int = 0
    prepared: bool = False
    ledger: Path | None = None
    outside: Path | None = None
    counter: Path | None = None
    ledger_witness: Path | None = None
    run: str = ""
    mapping: Path | None = None
    mapping_sha256: str = ""
    records: str = ""
    identity: Path | None = None
    synthetic: bool = False
    excluded: Path | None = None
    questions: Path | None = None
    task: Path | None = None
    task_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """What another process needs to open the same site."""
        return head_of(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SiteConfig":
        return value_of(cls, value)

    @classmethod
    def from_toml(cls, path: str | Path, name: str, study: Study) -> "SiteConfig":
        """The hospital `name` of a study, as its own machine's `site.toml` at `path` says. StudyError where that is not sound."""
        settings = load_site(path)
        folder = Path(settings.folder)
        ledger = Path(settings.ledger) if settings.ledger is not None else folder / "ledger.sqlite"
        return cls(
            name,
            study,
            Path(settings.data),
            folder,
            device=settings.device,
            threads=settings.threads,
            ledger=ledger,
            mapping=None if settings.mapping is None else Path(settings.mapping),
            task=None if settings.task is None else Path(settings.task),
            counter=default_home() / "counters" / f"{study.hash[:16]}-{name}",
            ledger_witness=witness_of(ledger),
            excluded=default_home() / "excluded.json",
            questions=default_home() / "questions",
        )

    def open(self) -> Site:
        ledger = None
        if self.study.privacy.private and self.ledger is not None:
            ledger = Ledger(self.ledger, begin=False, run=self.run, witness=self.ledger_witness)
        identity = self._identity() if self.study.summation.mode == "masked" else None
        name = site_id(self.name)
        return Site(
            name,
            self.study,
            self._load if self.study.analysis is None else self._load_rows,
            self.folder,
            identity=identity,
            device=self.device,
            threads=self.threads,
            ledger=ledger,
            outside=self.outside,
            counter=self.counter,
            synthetic=self.synthetic,
            questions=self.questions,
            task=self.own_task(),
        )

    def own_task(self) -> OwnTask | None:
        """The hospital's own task, as it was agreed to. StudyError where the file is another now."""
        if self.task is None:
            return None
        task = load_own_task(self.task)
        if self.task_sha256 not in ("", task.hash):
            raise StudyError(
                "The hospital's task file has changed since the study was approved, or the run began",
                expected=f"SHA-256 {self.task_sha256} of what it says",
                found=task.hash,
                hint="put the earlier file back; or review and approve the study with the new one, or start a new run",
            )
        return task

    @property
    def study_at_home(self) -> Study:
        """The study as this hospital carries it out: with its own question, where the study leaves it to each."""
        return require_own_task(self.study, self.own_task(), self.name)

    def _identity(self) -> Identity:
        return identity_in(self.folder) if self.identity is None else Identity.at(self.identity)

    def _load(self) -> Records:
        records = load_records(
            self.study_at_home,
            self.data,
            prepared=self.prepared,
            mapping=self.mapping,
            mapping_sha256=self.mapping_sha256,
            excluded=self.excluded,
        )
        if self.records not in ("", fingerprint(records)):
            raise _other_records()
        return records

    def _load_rows(self) -> Rows:
        rows = load_rows(self)
        if self.records not in ("", fingerprint_of_rows(rows)):
            raise _other_records()
        return rows


def _other_records() -> DataError:
    return DataError(
        "The records are not those that the study was approved for",
        hint="bring back the earlier files; or look at the study again and approve it with the new ones",
    )


def load_rows(config: SiteConfig) -> Rows:
    """A hospital's rows as they were measured, as the study's contract reads them."""
    study, name = config.study, str(site_id(config.name))
    if config.prepared:
        return read_rows(config.data, name)
    return opened_source(study, config.data, config.mapping, config.mapping_sha256, config.excluded).rows(name, labels_of(study))


def labels_of(study: Study) -> "Labels":
    """Whether each row must have a label: where the analysis reads it."""
    analysis = None if study.analysis is None else analysis_of(study)
    return "required" if analysis is None or study.data.label.column in analysis.columns else "optional"


def load_records(
    study: Study,
    data: Path,
    *,
    prepared: bool,
    mapping: Path | None = None,
    mapping_sha256: str = "",
    excluded: Path | None = None,
) -> Records:
    """A hospital's records, all splits, as the study's contract reads them; the parameters are those of `SiteConfig`."""
    if prepared:
        return read_records(data)
    return opened_source(study, data, mapping, mapping_sha256, excluded).load()


def opened_source(study: Study, data: Path, mapping: Path | None, mapping_sha256: str, excluded: Path | None) -> "FileSource":
    """A hospital's data as a source; the parameters are those of `SiteConfig`."""
    from wardround.sources import open_source
    from wardround.sources.excluded_patients import ExcludedPatients
    from wardround.sources.mapping.sections import load_mapping

    kept = None if mapping is None else load_mapping(mapping)
    if kept is not None and mapping_sha256 not in ("", kept.sha256):
        raise DataError(
            "The hospital's mapping has changed since the run began", expected=f"SHA-256 {mapping_sha256}",
            found=kept.sha256, hint="put the earlier mapping back, or start a new run",
        )  # fmt: skip
    gone = None if excluded is None else ExcludedPatients(excluded)
    return open_source(data, study.data, private=study.privacy.private, mapping=kept, excluded=gone)
