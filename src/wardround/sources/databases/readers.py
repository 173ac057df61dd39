"""The readers of databases, and how a source is told to be one. What reads them is loaded when it is needed.

folder, zip with person.csv   SQLite file   postgresql://   folder, zip with ndjson
         `----------------OMOP----------------'                     |
                             `--> EventTables --cohort--> frame --> the reader of tables
"""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wardround.sources.databases.fhir.bundles import starts_as_bundle
from wardround.sources.files.candidate import Candidate
from wardround.sources.images.picture_kinds import GZIP, HEAD_BYTES, gunzipped
from wardround.sources.read_result import Labels, Problem, ReadResult, Values
from wardround.sources.reader import Reader
from wardround.study.contract import DataContract
from wardround.study.sections.cohort import CohortSection
from wardround.values.address import Address
from wardround.values.errors import DataError

if TYPE_CHECKING:
    from wardround.sources.databases.events import EventTables

_CSV = (".csv", ".csv.gz")
_BESIDE_PERSON = frozenset({"observation_period", "visit_occurrence", "condition_occurrence", "measurement", "concept", "death"})
_JSON = (".json", ".json.gz")
_NDJSON = (".ndjson", ".ndjson.gz")
_SQLITE = b"SQLite format 3\0"


def _cohort(contract: DataContract) -> CohortSection:
    if contract.cohort is None:
        raise DataError(
            "The study does not say how a database's tables become records",
            expected="a section [data.cohort] in the study",
            hint="add it for all hospitals, or name a file that holds the columns of the contract",
        )
    return contract.cohort


def _records(tables: "EventTables", cohort: CohortSection, contract: DataContract, labels: Labels, values: Values) -> ReadResult:
    """The rows of the cohort through the reader of tables, with all that was left out on the way."""
    from wardround.sources.databases.cohort.records import cohort_rows
    from wardround.sources.tables.table import table_result

    rows = cohort_rows(tables, cohort, contract, labels)
    read_result = table_result(rows.frame, contract, labels, values)
    persons = rows.frame.get_column(contract.patient.column).to_list()
    problems = [_at_persons(problem, persons) for problem in read_result.problems]
    return replace(read_result, problems=(*tables.problems, *rows.problems, *problems))


def _at_persons(problem: Problem, persons: list[str]) -> Problem:
    """The same problem with the person at each place: a record of a cohort stands on no line of any file."""
    places = (replace(spot, file=f"person {persons[spot.position - 1]}") if spot.position else spot for spot in problem.places)
    return replace(problem, places=tuple(places), counted_in="of the cohort's records, by person and day")


def read_omop_csv(path: Path, contract: DataContract, labels: Labels = "required", values: Values = "prepared") -> ReadResult:
    """A cohort from the CSV files of a folder or zip."""
    from wardround.sources.databases.csv_tables import open_csv_tables
    from wardround.sources.databases.omop.cdm import omop_events

    cohort = _cohort(contract)
    with open_csv_tables(path) as tables:
        events = omop_events(tables, tables, cohort)
        events = replace(events, problems=(*tables.problems, *events.problems))
    return _records(events, cohort, contract, labels, values)


def read_omop_sql(
    database: Path | Address, contract: DataContract, labels: Labels = "required", values: Values = "prepared"
) -> ReadResult:
    """A cohort from a SQLite file or PostgreSQL, read in one transaction that cannot write."""
    from wardround.sources.databases.omop.cdm import omop_events
    from wardround.sources.databases.sql import connected, tables_of

    cohort = _cohort(contract)
    schema, vocabulary = (database.schema, database.vocabulary) if isinstance(database, Address) else (None, None)
    with connected(database) as connection:
        events = omop_events(tables_of(connection, schema), tables_of(connection, vocabulary or schema, schema), cohort)
    return _records(events, cohort, contract, labels, values)


def read_fhir(path: Path, contract: DataContract, labels: Labels = "required", values: Values = "prepared") -> ReadResult:
    """A cohort from the ndjson files and Bundles of a folder or zip, or from one file of Bundles."""
    from wardround.sources.databases.fhir.export import fhir_events
    from wardround.sources.databases.fhir.lines import beside_export, open_export

    cohort = _cohort(contract)
    with open_export(path) as files:
        if path.is_file() and path.name.casefold().endswith(_NDJSON) and not files[0].bundled:
            raise DataError(f"{path} is one file of a FHIR export", hint="name the folder that it lies in")
        events = fhir_events(files, cohort)
    events = replace(events, problems=(*beside_export(path), *events.problems))
    return _records(events, cohort, contract, labels, values)


@dataclass(frozen=True)
class AddressRead:
    """Reads a cohort from the database at an address, whatever path it is called with."""

    address: Address

    def __call__(
        self,
        path: Path,  # noqa: ARG002
        contract: DataContract,
        labels: Labels = "required",
        values: Values = "prepared",
        /,
    ) -> ReadResult:
        return read_omop_sql(self.address, contract, labels, values)


def _names(candidate: Candidate) -> list[str]:
    """The files directly in a folder, or all in a zip."""
    if candidate.members is None:
        return [name for name in candidate.names if "/" not in name]
    return [PurePosixPath(name).name for name in candidate.names]


def holds_omop_csv(candidate: Candidate) -> bool:
    """Whether a folder or zip has the table person and another one of OMOP. A file person.csv alone is a table like any other."""
    tables = {name.casefold().partition(".")[0] for name in _names(candidate) if name.casefold().endswith(_CSV)}
    return "person" in tables and not tables.isdisjoint(_BESIDE_PERSON)


def holds_fhir(candidate: Candidate) -> bool:
    """Whether a folder or zip has ndjson files or Bundles, or a file is one."""
    names = [candidate.path.name] if candidate.head else []
    if any(name.casefold().endswith(_NDJSON) for name in (*names, *_names(candidate))):
        return True
    in_folder = candidate.members is None
    documents = candidate.heads(HEAD_BYTES, lambda name: name.casefold().endswith(_JSON) and not (in_folder and "/" in name))
    return any(starts_as_bundle(_plain_head(head)) for head in (candidate.head, *(head for _, head in documents)))


def _plain_head(head: bytes) -> bytes:
    """The first bytes of a file, those inside where it is packed."""
    return gunzipped(head, HEAD_BYTES) if head.startswith(GZIP) else head


def is_sqlite(candidate: Candidate) -> bool:
    return candidate.head.startswith(_SQLITE)


OMOP_CSV = Reader("omop", "table", "OMOP tables", frozenset(), holds_omop_csv, read_omop_csv)
FHIR = Reader("fhir", "table", "FHIR resources", frozenset(), holds_fhir, read_fhir)
SQLITE = Reader("sqlite", "table", "SQLite", frozenset({".sqlite", ".sqlite3", ".db"}), is_sqlite, read_omop_sql)

READERS = (OMOP_CSV, FHIR, SQLITE)
