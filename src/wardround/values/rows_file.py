"""Rows in one file: how a simulation hands each hospital its part of a data set that is analysed."""

import io
import zipfile
from pathlib import Path

import numpy as np

from wardround.values.durable import write_atomic
from wardround.values.errors import DataError
from wardround.values.rows import Rows

# As in `records_file`: what numpy and zipfile raise for damage.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile)


def write_rows(path: Path, rows: Rows) -> None:
    """Whole or not at all. The names of columns may hold any sign, so they are an array of their own."""
    names = np.array(list(rows.columns), np.str_)
    values = np.stack(list(rows.columns.values())) if rows.columns else np.zeros((0, len(rows)))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, names=names, values=values, patients=rows.patients, splits=rows.splits)
    write_atomic(path, buffer.getvalue(), private=True)


def read_rows(path: Path, hospital: str) -> Rows:
    """Raises DataError where the file is missing or damaged."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            columns = dict(zip(file["names"].tolist(), file["values"], strict=True))
            return Rows(columns, file["patients"], file["splits"], hospital)
    except _DAMAGE as error:
        raise DataError(
            f"{path} does not hold prepared rows", found=type(error).__name__, hint="start the run again in a new folder"
        ) from error
