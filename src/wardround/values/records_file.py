"""Prepared records in one file: how a simulation hands each hospital its part of a divided data set."""

import io
import zipfile
from pathlib import Path

import numpy as np

from wardround.values.durable import write_atomic
from wardround.values.errors import DataError
from wardround.values.records import Records

_NAMES = ("inputs", "labels", "patients", "splits")
# What numpy and zipfile raise for damage: one changed byte can look like encryption (RuntimeError) or another format (TypeError).
_DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile)


def write_records(path: Path, records: Records) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: getattr(records, name) for name in _NAMES})
    write_atomic(path, buffer.getvalue(), private=True)


def read_records(path: Path) -> Records:
    """Raises DataError where the file is missing or damaged."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return Records(*(file[name] for name in _NAMES))
    except _DAMAGE as error:
        raise DataError(
            f"{path} does not hold prepared records", found=type(error).__name__, hint="start the run again in a new folder"
        ) from error
