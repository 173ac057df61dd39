"""What the registry answers: frozen values, free of the database."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StudyEntry:
    """first_seen: start of the first registered run of the study, ISO 8601."""

    hash: str
    title: str
    first_seen: str


@dataclass(frozen=True)
class RunEntry:
    """finished is None while the run has not ended; model is the hash of its model, None while there is none."""

    id: str
    study_hash: str
    study_title: str
    created: str
    finished: str | None
    engine: str
    algorithm: str
    network: str
    privacy_mode: str
    synthetic: bool
    rounds: int
    model: str | None


@dataclass(frozen=True)
class FileEntry:
    """size in bytes."""

    kind: str
    sha256: str
    suffix: str
    size: int


@dataclass(frozen=True)
class LineageEntry:
    """Where a model came from: the run, its study, and the model that the run started from."""

    model: str
    run: str
    study_hash: str
    parent: str | None


@dataclass(frozen=True)
class ModelEntry:
    """synthetic: True where generated data had a part in it. threshold: that of a yes or no; None of other questions.
    holds_records: whether values of single patients stand in its files, which must never leave the hospital then."""

    sha256: str
    parameters: int
    threshold: float | None
    synthetic: bool
    files: tuple[FileEntry, ...]
    lineage: tuple[LineageEntry, ...]
    holds_records: bool = False


@dataclass(frozen=True)
class MetricEntry:
    """A figure and its 95 % interval; None where undefined. See tables.MetricRow for model, scope and test_set."""

    run: str
    model: str
    scope: str
    test_set: str
    name: str
    value: float | None
    low: float | None
    high: float | None
