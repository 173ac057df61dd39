"""Files that are not read, each named as what it is and with a way that leads to one that is: a reader that only refuses."""

import re
from pathlib import Path

from wardround.sources.files.candidate import Candidate, candidate_at
from wardround.sources.images.picture_kinds import suffix_of
from wardround.sources.read_result import Labels, ReadResult, Values
from wardround.sources.reader import Reader
from wardround.study.contract import DataContract
from wardround.values.errors import DataError

_SAS = 'in SAS: PROC EXPORT with DBMS=CSV; or in Python: pandas.read_sas("FILE").to_csv("table.csv", index=False)'
_R, _PYTHON = (
    'in R: write.csv(data, "table.csv", row.names = FALSE)',
    'in Python: pandas.{}("FILE").to_csv("table.csv", index=False)',
)
_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"$FL2@(#)", "an SPSS file (.sav)", "in SPSS: File, Save As, CSV; or " + _PYTHON.format("read_spss")),
    (b"$FL3@(#)", "a compressed SPSS file (.zsav)", "in SPSS: File, Save As, CSV; or " + _PYTHON.format("read_spss")),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS data set (.sas7bdat)", _SAS),
    (b"HEADER RECORD***", "a SAS transport file (.xpt)", _SAS),
    (b"<stata_dta>", "a Stata file (.dta)", "in Stata: export delimited using table.csv; or " + _PYTHON.format("read_stata")),
    (b"RDX3\n", "an R data file (.RData)", _R),
    (b"RDX2\n", "an R data file (.RData)", _R),
    (b"ARROW1\0\0", "an Arrow or Feather file", _PYTHON.format("read_feather")),
    (b"\x89HDF", "an HDF5 or netCDF file", "write the variables that the contract names into a CSV, one row a record"),
    (b"CDF\x01", "a netCDF file", "write the variables that the contract names into a CSV, one row a record"),
    (b"%PDF", "a PDF", "ask for the table itself, as CSV or Parquet"),
    (b"{\\rtf", "a text document (.rtf)", "copy its table into a spreadsheet, and save it as CSV UTF-8"),
    (b"\x1f\x9d", "a file packed with compress (.Z)", "unpack it with: uncompress FILE"),
    (b"BZh91AY&SY", "a file packed with bzip2", "unpack it with: bunzip2 FILE"),
    (b"\xfd7zXZ", "a file packed with xz", "unpack it with: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "a file packed with zstd", "unpack it with: unzstd FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and name the table or the folder in it"),
    (b"Rar!\x1a", "a RAR archive", "unpack it, and name the table or the folder in it"),
)  # fmt: skip
_JSON = re.compile(rb"[{\[]\s*[{\[\"}\]]")
_TEXTS: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"<(?:!doctype html|html|table|head|body)\b", re.IGNORECASE), "a web page (HTML), whatever its name is",
     "open it in a spreadsheet, and save it as CSV UTF-8 or .xlsx"),
    (re.compile(rb"<\?xml|<!--|<[a-z][\w:.-]*(?:\s[^<]*)?>", re.IGNORECASE), "an XML file",
     "export the same data as CSV, Parquet or a workbook"),
    (_JSON, "a JSON file", _PYTHON.format("read_json") + "; resources of FHIR: export them in bulk, as .ndjson"),
)  # fmt: skip
"""How a text begins that is no table."""
_STATA = tuple(range(110, 116))
_TABLES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".gz", ".xlsx", ".xls", ".ods", ".data"})


def what_it_is(candidate: Candidate) -> tuple[str, str] | None:
    """What a file is that is not read, and how to get one that is; None of any other file."""
    head = candidate.head
    for mark, title, mend in _MARKS:
        if head.startswith(mark):
            return title, mend
    if head[:1] and head[0] in _STATA and head[1:2] in (b"\x01", b"\x02") and head[2:4] == b"\x01\x00":
        return "a Stata file (.dta)", "in Stata: export delimited using table.csv"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, title, mend in _TEXTS:
        if pattern.match(text):
            return title, mend
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it, and name the table or the folder in it"
    return _zip_of_tables(candidate) if candidate.is_zip else None


def _zip_of_tables(candidate: Candidate) -> tuple[str, str] | None:
    if any(name.startswith("word/") for name in candidate.names):
        return "a text document (.docx)", "copy its table into a spreadsheet, and save it as CSV UTF-8"
    if candidate.names and all(suffix_of(name) in _TABLES for name in candidate.names):
        return "a zip of tables", "unpack it, and name the table in it"
    return None


def refuse(path: Path, _contract: DataContract, _labels: Labels = "required", _values: Values = "prepared", /) -> ReadResult:
    with candidate_at(path) as candidate:
        title, mend = what_it_is(candidate) or ("of no known kind", "export it as CSV or Parquet")
    raise DataError(
        f"The file is {title}, which is not read", expected="CSV, Parquet, a workbook, npz, images or DICOM", hint=mend
    )


def is_foreign(candidate: Candidate) -> bool:
    return what_it_is(candidate) is not None


READER = Reader("foreign", "any", "a file of another program", frozenset(), is_foreign, refuse)
