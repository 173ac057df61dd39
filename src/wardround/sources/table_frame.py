"""CSV, CSV.gz and Parquet as columns of cells, through polars. The only module that imports polars: it is large, and starts
threads when it is imported.

Cells are read as text, so that "?" and -9 mean what the contract says and no type is guessed.
"""

import gzip
from pathlib import Path

import polars as pl

from wardround.sources.columns import Cells, cell_of
from wardround.sources.damage import DAMAGE
from wardround.sources.file_tree import separator_in
from wardround.study.contract import DataContract
from wardround.values.errors import DataError

_UNREADABLE: tuple[type[BaseException], ...] = (pl.exceptions.PolarsError, pl.exceptions.PanicException, *DAMAGE)
"""polars is written in Rust, whose assertions on a damaged Parquet file surface as PanicException."""


def read_frame(path: Path, contract: DataContract) -> pl.DataFrame:
    """The table as it is written, with the contract's header where the file has none."""
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        if parquet:
            return pl.read_parquet(path)
        frame = pl.read_csv(path, separator=_separator(path), has_header=not contract.header, infer_schema=False)
    except _UNREADABLE:
        raise DataError(
            "The table cannot be read",
            expected="CSV (also gzipped) or Parquet, the same number of cells in every row, UTF-8",
            hint="export it again; for a CSV without a header line, name its columns in header under [data]",
        ) from None
    if not contract.header:
        return frame
    if frame.width != len(contract.header):
        raise DataError(
            "The table has another number of columns than the contract's header",
            expected=str(len(contract.header)),
            found=str(frame.width),
            hint="correct header under [data]",
        )
    return frame.rename(dict(zip(frame.columns, contract.header, strict=True)))


def _separator(path: Path) -> str:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as file:
        return separator_in(file.readline().decode())


def cells_in(frame: pl.DataFrame, name: str) -> Cells | None:
    """A column as canonical text, "" where it is empty; None where the table has no such column."""
    if name not in frame.columns:
        return None
    column = frame.get_column(name)
    if column.dtype == pl.Boolean:
        column = column.cast(pl.Int8)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    spelled = {value: cell_of(value) for value in column.unique().to_list()}
    return [spelled[value] for value in column.to_list()]


def words_in(frame: pl.DataFrame, name: str) -> list[str] | None:
    """A column of names as they are written, trimmed; None where the table has no such column."""
    if name not in frame.columns:
        return None
    return ["" if value is None else str(value).strip() for value in frame.get_column(name).to_list()]
