"""A hospital's table read through its mapping: the file as it is, then the contract's columns, then as for any table."""

from pathlib import Path
from typing import TYPE_CHECKING

from wardround.sources.mapping.sections import HospitalMapping
from wardround.sources.read_result import Labels, ReadResult, Values
from wardround.sources.tables.column_names import used_names
from wardround.sources.tables.csv_text import CsvSettings, is_parquet
from wardround.sources.tables.excel import hidden_parts, is_workbook, workbook_frame
from wardround.sources.tables.table import LineOf, is_table, records_of
from wardround.sources.tables.workbooks.shown_otherwise import IN_THOUSANDS
from wardround.study.contract import DataContract
from wardround.values.errors import DataError

if TYPE_CHECKING:
    import polars as pl


def read_mapped(
    path: Path,
    contract: DataContract,
    mapping: HospitalMapping,
    labels: Labels = "required",
    values: Values = "prepared",
) -> ReadResult:
    """Every row of a hospital's own table. DataError where the file or the mapping does not fit."""
    from wardround.sources.mapping.applying import mapped
    from wardround.sources.tables.frame_rows import rows_of_frame

    frame, line_of = hospital_frame(path, contract, mapping)
    names = frame.columns
    if labels == "optional":
        mapping = _askable(mapping, frame.columns)
    frame, problems = mapped(frame, mapping, contract, line_of)
    if not mapping.source.query and is_workbook(path):
        source = mapping.source
        scaled = {f"{IN_THOUSANDS}:{section.source}" for section in mapping.columns if section.factor != 1}
        seen = hidden_parts(path, names, hospital_names(mapping), source.sheet, source.header_line)
        problems = (*(problem for problem in seen if problem.code not in scaled), *problems)
    settled = mapping.patient is not None and mapping.patient.same != ""
    rows = rows_of_frame(frame, contract, line_of, problems=problems, spellings_settled=settled)
    return records_of(rows, contract, labels, values)


def hospital_frame(path: Path, contract: DataContract, mapping: HospitalMapping) -> "tuple[pl.DataFrame, LineOf | None]":
    """The table as the hospital has it, with the hospital's names."""
    from wardround.sources.tables.header_again import without_headers
    from wardround.sources.tables.table_frame import csv_frame, parquet_frame

    source = mapping.source
    if source.query:
        return _queried(path, contract, mapping), None
    used = tuple(dict.fromkeys([*hospital_names(mapping), *used_names(contract)]))
    left_out = source.repeated_header == "left out"
    if is_workbook(path):
        return without_headers(*workbook_frame(path, used, source.sheet, source.header_line), used, left_out=left_out)
    if not is_table(path):
        raise DataError(f"A mapping is for tables, and {path} is none", hint="leave --mapping out, or name a table")
    if is_parquet(path):
        return parquet_frame(path, hospital_names(mapping)), None
    settings = CsvSettings(source.encoding, source.separator, source.header_line)
    return without_headers(*csv_frame(path, contract, settings, used), used, left_out=left_out)


def _askable(mapping: HospitalMapping, names: list[str]) -> HospitalMapping:
    """The mapping for a table that a model is asked about, which may lack an outcome, a split and a hospital."""
    sections = {"label": mapping.label, "split": mapping.split, "site": mapping.site}
    absent = {key: None for key, section in sections.items() if section is not None and section.source not in names}
    return mapping.changed(**absent) if absent else mapping


def hospital_names(mapping: HospitalMapping) -> tuple[str, ...]:
    """The hospital's columns that a mapping reads."""
    sections = (*mapping.columns, mapping.label, mapping.patient, mapping.split, mapping.site)
    named = [section.source for section in sections if section is not None]
    named += [name for column in mapping.columns for name in (column.unit_column, column.minus) if name]
    return tuple(dict.fromkeys(named))


def _queried(path: Path, contract: DataContract, mapping: HospitalMapping) -> "pl.DataFrame":
    from wardround.sources.databases.sql import read_query

    return read_query(mapping.source.url or path, mapping.source.query, contract, hospital_names(mapping))
