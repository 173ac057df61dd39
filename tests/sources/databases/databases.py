"""Databases for the tests: OMOP tables as CSV, SQLite and PostgreSQL, and FHIR exports, from the same rows."""

import csv
import gzip
import io
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]

COLUMNS = {
    "person": ("person_id", "gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth"),
    "death": ("person_id", "death_date"),
    "observation_period": ("person_id", "observation_period_start_date", "observation_period_end_date"),
    "visit_occurrence": (
        "person_id", "visit_concept_id", "visit_start_date", "visit_end_date", "visit_source_concept_id",
        "discharged_to_concept_id",
    ),
    "condition_occurrence": (
        "person_id", "condition_concept_id", "condition_start_date", "condition_end_date", "condition_source_concept_id",
    ),
    "procedure_occurrence": ("person_id", "procedure_concept_id", "procedure_date", "procedure_source_concept_id"),
    "drug_exposure": (
        "person_id", "drug_concept_id", "drug_exposure_start_date", "drug_exposure_end_date", "drug_source_concept_id",
    ),
    "measurement": (
        "person_id", "measurement_concept_id", "measurement_date", "value_as_number", "unit_concept_id", "unit_source_value",
        "measurement_source_concept_id", "operator_concept_id",
    ),
    "observation": ("person_id", "observation_concept_id", "observation_date", "value_as_number", "unit_source_value"),
    "concept": ("concept_id", "vocabulary_id", "concept_code", "standard_concept"),
    "concept_ancestor": ("ancestor_concept_id", "descendant_concept_id"),
}  # fmt: skip
"""What a test writes of each table. A real table has more columns, which nobody reads."""


def csv_text(table: str, rows: Sequence[Row], separator: str = ",") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(COLUMNS[table])
    writer.writerows(["" if row.get(name) is None else row[name] for name in COLUMNS[table]] for row in rows)
    return text.getvalue()


def write_csv(folder: Path, tables: Tables) -> Path:
    """The tables as CSV files in a folder; those that are not named are empty."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in COLUMNS:
        (folder / f"{table}.csv").write_text(csv_text(table, tables.get(table, ())))
    return folder


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member in sorted(folder.iterdir()):
            file.write(member, member.name)
    return path


def write_fhir(folder: Path, resources: Sequence[Row], zip_files: bool = False) -> Path:
    """One ndjson file for each kind of resource."""
    folder.mkdir(parents=True, exist_ok=True)
    by_kind: dict[str, list[str]] = {}
    for resource in resources:
        by_kind.setdefault(resource["resourceType"], []).append(json.dumps(resource))
    for kind, lines in by_kind.items():
        content = ("\n".join(lines) + "\n").encode()
        name = f"{kind}.000.ndjson{'.gz' if zip_files else ''}"
        (folder / name).write_bytes(gzip.compress(content) if zip_files else content)
    return folder


def bundle(resources: Sequence[Row], kind: str = "collection", **more: Any) -> Row:
    entries = [{"fullUrl": f"https://h/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries, **more}


def write_bundles(folder: Path, export: Path) -> Path:
    """The resources of an export as one Bundle, laid out over many lines, for each patient."""
    by_patient: dict[str, list[Row]] = {}
    for line in (line for file in sorted(export.glob("*.ndjson")) for line in file.read_text().splitlines()):
        resource = json.loads(line)
        name = resource["subject"]["reference"].rpartition("/")[2] if "subject" in resource else resource["id"]
        by_patient.setdefault(name, []).append(resource)
    folder.mkdir(parents=True)
    for number, resources in enumerate(by_patient.values()):
        (folder / f"{number:03}.json").write_text(json.dumps(bundle(resources), indent=2))
    return folder


def cells_of(source: Path) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Name in lower case, header and rows of every CSV in a folder or zip, by Python's own reader."""
    if source.is_dir():
        texts = {path.name: path.read_text() for path in source.glob("*.csv")}
    else:
        with zipfile.ZipFile(source) as file:
            texts = {name: file.read(name).decode() for name in file.namelist() if name.endswith(".csv") and "/" not in name}
    for name, text in sorted(texts.items()):
        header, *rows = csv.reader(io.StringIO(text))
        yield name.removesuffix(".csv").lower(), [cell.lower() for cell in header], rows


_TEXT_IDS = (
    "domain_id", "vocabulary_id", "concept_class_id", "relationship_id", "reverse_relationship_id", "production_id",
    "unique_device_id", "specimen_source_id",
)  # fmt: skip


def sql_type(column: str) -> str:
    """The type that OMOP's own definition has for a column."""
    if (column.endswith("_id") and column not in _TEXT_IDS) or column in ("year_of_birth", "month_of_birth", "day_of_birth"):
        return "INTEGER"
    if column.endswith("_datetime"):
        return "TIMESTAMP"
    if column.endswith("_date"):
        return "DATE"
    return "NUMERIC" if column in ("value_as_number", "range_low", "range_high") else "TEXT"


def load_sqlite(source: Path, path: Path) -> Path:
    """Every CSV of a folder or zip as a table of a SQLite file, typed as OMOP says."""
    with sqlite3.connect(path) as connection:
        for table, header, rows in cells_of(source):
            columns = ", ".join(f'"{name}" {sql_type(name)}' for name in header)
            connection.execute(f'CREATE TABLE "{table}" ({columns})')
            marks = ", ".join("?" for _ in header)
            cells = ([None if cell == "" else cell for cell in row] for row in rows)
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', cells)
    connection.close()
    return path


def load_postgres(source: Path, address: str, schema: str) -> None:
    """Every CSV of a folder or zip as a table of a schema, typed as OMOP says."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')
        for table, header, rows in cells_of(source):
            columns = ", ".join(f'"{name}" {sql_type(name)}' for name in header)
            connection.execute(f'CREATE TABLE "{schema}"."{table}" ({columns})')
            with connection.cursor().copy(f'COPY "{schema}"."{table}" FROM STDIN') as copy:
                for row in rows:
                    copy.write_row([None if cell == "" else cell for cell in row])


class Server:
    """A PostgreSQL server of this test run, on a socket in its own folder. Nobody else can reach it."""

    def __init__(self, folder: Path, programs: Path, user: str | None) -> None:
        self.folder, self._programs, self._user = folder, programs, user
        self._run("initdb", "-D", str(folder / "data"), "-U", "keeper", "-A", "trust", "-E", "UTF8", "--no-sync")
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(folder / "data"), "-o", options, "-l", str(folder / "log"), "-w", "start")

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        done = subprocess.run(command, user=self._user, capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr[-500:]}")

    def address(self, user: str = "keeper", database: str = "postgres", **settings: str) -> str:
        query = "".join(f"&{name}={value}" for name, value in settings.items())
        return f"postgresql://{user}@/{database}?host={self.folder}{query}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")


def server_programs() -> Path | None:
    """Where PostgreSQL's server programs are, if they are anywhere."""
    here = shutil.which("initdb")
    folders = [Path(here).resolve().parent] if here else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def running_server() -> Iterator[Server]:
    """A server in a temporary folder, under an unprivileged user: PostgreSQL does not run as root."""
    programs = server_programs()
    assert programs is not None
    user = None
    folder = Path(tempfile.mkdtemp(prefix="ward-pg-"))
    if os.getuid() == 0:
        user = "nobody"
        folder.chmod(0o755)
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    server = Server(folder, programs, user)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
