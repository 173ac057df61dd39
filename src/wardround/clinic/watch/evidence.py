"""A clinic's evidence, one zip for an auditor: what was in service when, which answers were given, who has seen them.

    register.csv  audit.ndjson  audit_cut.json  service/  acceptances/  criteria.toml  alerts.json  withdrawals.json  watch.json
    --hashes--> manifest.json --signed by the clinic's key--> manifest.sig

It holds pseudonyms and names of accounts, no identifier and no film of a patient, and no setting that opens anything.
`check_evidence` looks at it offline: nothing but the zip is needed.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from wardround.clinic.place.acceptance_record import SignedAcceptance
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import Service, state_of
from wardround.clinic.store.database import Store, first_break, latest_cut
from wardround.clinic.store.tables import audit, withdrawals
from wardround.clinic.watch.alerts import all_alerts
from wardround.clinic.watch.register import register, register_csv
from wardround.clinic.watch.summary import as_json
from wardround.clinic.watch.watcher import look
from wardround.crypto.identity import signed_by
from wardround.evidence.pack import write_signed
from wardround.evidence.pack_check import files_of, files_problem, manifest_of, signature_problem
from wardround.values.canonical import canonical_json
from wardround.values.chained_log import follow, log_files, read_entries
from wardround.values.errors import WardroundError

SIGNED = b"wardround clinic evidence 1\0"
REGISTER, AUDIT, AUDIT_CUT, SERVICE, ACCEPTANCES = "register.csv", "audit.ndjson", "audit_cut.json", "service/", "acceptances/"
ALERTS, WITHDRAWALS, WATCH, CRITERIA = "alerts.json", "withdrawals.json", "watch.json", "criteria.toml"
_LATE_S = 2.0
"""An answer that was stored so soon after a change of model may be of the one before."""


@dataclass(frozen=True)
class EvidenceCheck:
    """hospital, identity: as the manifest states them, and its signature proves. confirmed: what was found true, in words.
    problems: what was not; empty where all is as it was signed."""

    path: Path
    hospital: str
    identity: str
    confirmed: tuple[str, ...]
    problems: tuple[str, ...]


def write_evidence(clinic: ClinicPlace, store: Store, path: Path) -> int:
    """Writes the zip whole or not at all. How many answers are in it. RunError where the log of the service is broken."""
    drift, _ = look(clinic, store)
    store.note("command-line", "evidence-written")
    lines = register(store)
    with store.reading() as connection:
        kept = [dict(row) for row in connection.execute(select(audit).order_by(audit.c.number)).mappings()]
        gone = [dict(row) for row in connection.execute(select(withdrawals)).mappings()]
        cut = latest_cut(connection)
    files = {
        REGISTER: register_csv(lines).encode(),
        AUDIT: b"".join(canonical_json(row) + b"\n" for row in kept),
        ALERTS: canonical_json([asdict(alert) for alert in all_alerts(store)]),
        WITHDRAWALS: canonical_json(gone),
        WATCH: canonical_json(as_json(drift, ())),
        **{f"{SERVICE}{one.name}": one.read_bytes() for one in log_files(clinic.path / "service")},
        **{f"{ACCEPTANCES}{one.name}": one.read_bytes() for one in sorted(clinic.acceptances.glob("*.json"))},
    }
    if cut is not None:
        files[AUDIT_CUT] = canonical_json({"number": cut[0], "sha256": cut[1]})
    if (clinic.path / CRITERIA).exists():
        files[CRITERIA] = (clinic.path / CRITERIA).read_bytes()
    write_signed(path, {"hospital": clinic.settings.hospital}, files, clinic.identity, SIGNED)
    return len(lines)


def check_evidence(path: Path) -> EvidenceCheck:
    """Looks at everything in the zip. RunError where it is none of evidence at all."""
    files = files_of(path)
    manifest = manifest_of(path, files, ("hospital",))
    confirmed: list[str] = []
    problems: list[str] = []
    for what, problem in (
        ("the manifest is signed by the key that it names", signature_problem(files, manifest, SIGNED)),
        (f"{len(manifest['files'])} files are those that were signed", files_problem(files, manifest)),
        ("every acceptance is signed by the same key", _acceptances_problem(files, manifest["identity"])),
        ("no line of the log of what is in service was changed, left out or put in", _service_problem(files)),
        ("no line of the audit was changed, left out or put in", _audit_problem(files)),
        ("every answer that was shown is of the model that was in service then", _answers_problem(files)),
    ):
        (problems if problem else confirmed).append(problem or what)
    return EvidenceCheck(path, manifest["hospital"], manifest["identity"], tuple(confirmed), tuple(problems))


def _acceptances_problem(files: Mapping[str, bytes], identity: str) -> str:
    for name in sorted(name for name in files if name.startswith(ACCEPTANCES)):
        try:
            signed = SignedAcceptance.model_validate_json(files[name])
        except ValidationError:
            return f"{name} cannot be read"
        record = signed.record
        if signed.key != identity or not signed_by(identity, signed.signature, record.content):
            return f"{name} is not signed by the key of the manifest"
        if name != f"{ACCEPTANCES}{record.id}.json":
            return f"{name} is not what its name says"
    return ""


def _service_parts(files: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """Full files by their number, then the current one."""
    names = sorted((name for name in files if name.startswith(SERVICE)), key=lambda name: (not Path(name).stem.isdecimal(), name))
    return [(name, files[name]) for name in names]


def _service_problem(files: Mapping[str, bytes]) -> str:
    parts = _service_parts(files)
    checked = follow(parts)
    if checked.problem:
        return f"the log of what is in service is broken: {checked.problem}"
    try:
        state_of(entry for _, data in parts for entry in read_entries(data))
    except WardroundError as error:
        return f"the log of what is in service is broken: {error.found}"
    return ""


def _audit_problem(files: Mapping[str, bytes]) -> str:
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in files[AUDIT].splitlines()]
        cut = json.loads(files[AUDIT_CUT]) if AUDIT_CUT in files else None
        broken = first_break(lines, None if cut is None else (int(cut["number"]), str(cut["sha256"])))
    except (KeyError, ValueError, TypeError, RecursionError):
        return f"{AUDIT} cannot be read"
    return f"the audit is broken at line {broken}" if broken else ""


def _answers_problem(files: Mapping[str, bytes]) -> str:
    try:
        times = _times_of_service(files)
        for row in csv.DictReader(io.StringIO(files[REGISTER].decode("utf-8"))):
            at = datetime.fromisoformat(row["given"]).timestamp()
            near = {acceptance for since, until, acceptance in times if since - _LATE_S <= at <= until + _LATE_S}
            if row["shown"] == "yes" and (row["acceptance"], row["model"]) not in near:
                return f"an answer of {row['given']} is of a model that was not in service"
    except (KeyError, ValueError, TypeError, WardroundError):
        return f"{REGISTER} cannot be read"
    return ""


def _times_of_service(files: Mapping[str, bytes]) -> list[tuple[float, float, tuple[str, str]]]:
    """From when until when which acceptance and model answered."""
    entries = [entry for _, data in _service_parts(files) for entry in read_entries(data)]
    times, before, since = [], Service().answering, 0.0
    for number, entry in enumerate(entries):
        now = state_of(entries[: number + 1]).answering
        at = datetime.fromisoformat(entry.time).astimezone(UTC).timestamp()
        if before is not None:
            times.append((since, at, (before.acceptance, before.model)))
        before, since = now, at
    if before is not None:
        times.append((since, float("inf"), (before.acceptance, before.model)))
    return times
