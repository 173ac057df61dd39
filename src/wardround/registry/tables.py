"""The registry's tables, version 1. Portable SQL only: the same on SQLite and PostgreSQL.

studies 1 -- n runs 1 -- n metrics
                runs n -- m models, through lineage: the same bits may come out of more than one run
                            models 1 -- n files
Moments are ISO 8601 text as the run record gives them; hashes are lower-case SHA-256.
"""

from sqlalchemy import BigInteger, Boolean, Float, ForeignKey, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = 1
_HASH = String(64)
_RUN = String(128)
_MOMENT = String(40)


class Base(DeclarativeBase):
    """All tables of the registry."""


class SchemaVersion(Base):
    """One row: the version of these tables."""

    __tablename__ = "schema_version"
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)


class StudyRow(Base):
    __tablename__ = "studies"
    hash: Mapped[str] = mapped_column(_HASH, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    toml: Mapped[str] = mapped_column(Text)
    first_seen: Mapped[str] = mapped_column(_MOMENT)


class RunRow(Base):
    """`record` is the whole run record, canonical JSON; the other columns are for lists."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(_RUN, primary_key=True)
    study_hash: Mapped[str] = mapped_column(_HASH, ForeignKey("studies.hash"), index=True)
    created: Mapped[str] = mapped_column(_MOMENT)
    finished: Mapped[str | None] = mapped_column(_MOMENT)
    engine: Mapped[str] = mapped_column(Text)
    algorithm: Mapped[str] = mapped_column(Text)
    network: Mapped[str] = mapped_column(Text)
    privacy_mode: Mapped[str] = mapped_column(Text)
    synthetic: Mapped[bool] = mapped_column(Boolean)
    rounds: Mapped[int] = mapped_column(Integer)
    record: Mapped[str] = mapped_column(Text)


class ModelRow(Base):
    __tablename__ = "models"
    sha256: Mapped[str] = mapped_column(_HASH, primary_key=True)
    parameters: Mapped[int] = mapped_column(BigInteger)
    threshold: Mapped[float | None] = mapped_column(Float(53))
    synthetic: Mapped[bool] = mapped_column(Boolean)


class FileRow(Base):
    """A stored file of a model: its own hash and suffix give its place in the store."""

    __tablename__ = "files"
    model: Mapped[str] = mapped_column(_HASH, ForeignKey("models.sha256"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    sha256: Mapped[str] = mapped_column(_HASH)
    suffix: Mapped[str] = mapped_column(String(20))
    size: Mapped[int] = mapped_column(BigInteger)


class LineageRow(Base):
    """`parent` is the hash of the model that the run started from; it need not be in this registry."""

    __tablename__ = "lineage"
    model: Mapped[str] = mapped_column(_HASH, ForeignKey("models.sha256"), primary_key=True)
    run: Mapped[str] = mapped_column(_RUN, ForeignKey("runs.id"), primary_key=True)
    study_hash: Mapped[str] = mapped_column(_HASH, ForeignKey("studies.hash"))
    parent: Mapped[str | None] = mapped_column(_HASH)


class MetricRow(Base):
    """One figure of a model ("federated", the site that trained it alone, or "chosen by" a site).

    scope: pooled, site or external. test_set: the site's or the external set's name, empty where pooled."""

    __tablename__ = "metrics"
    run: Mapped[str] = mapped_column(_RUN, ForeignKey("runs.id"), primary_key=True)
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    scope: Mapped[str] = mapped_column(String(16), primary_key=True)
    test_set: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float | None] = mapped_column(Float(53))
    low: Mapped[float | None] = mapped_column(Float(53))
    high: Mapped[float | None] = mapped_column(Float(53))
