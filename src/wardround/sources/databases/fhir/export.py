"""A FHIR R4 bulk export: its resources as persons, events and time under observation.

    Patient --> persons      Encounter, Condition, Observation, ... --> events of the cohort's codes      Encounter --> periods

FHIR has no table of observation times. A person counts as observed from the first day of the first encounter to the last day of
the last one. What is left out is counted by reason.
Source: https://hl7.org/fhir/R4/
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import polars as pl

from wardround.sources.databases.events import PERIODS, EventCollector, EventTables, Tally, unmet_sets
from wardround.sources.databases.fhir.lines import ExportFile
from wardround.sources.databases.fhir.patients import MODIFIED_HINT, patients
from wardround.sources.databases.fhir.values import (
    MODIFIED,
    RESOURCE_KINDS,
    Coding,
    Resource,
    ResourceKind,
    bare_codes,
    coded_parts,
    codings,
    day_of,
    first_text,
    id_in,
    is_unread_date,
    listed,
    part,
    unused_status,
)
from wardround.sources.databases.fhir.versions import Versions
from wardround.sources.places import Place
from wardround.study.sections.cohort import CohortSection, ConceptSet
from wardround.values.errors import DataError

BATCH = 50_000
_BATCH_SCHEMA: dict[str, pl.DataType] = {
    "key": pl.String(), "concepts": pl.UInt16(), "start": pl.Date(), "end": pl.Date(), "number": pl.Float64(),
    "unit": pl.String(), "row": pl.UInt32(),
}  # fmt: skip
_STAYS: dict[str, pl.DataType] = {"key": pl.String(), "start": pl.Date(), "end": pl.Date(), "row": pl.UInt32()}


def fhir_events(files: tuple[ExportFile, ...], cohort: CohortSection) -> EventTables:
    """Everything that the cohort needs of an export. DataError where a kind of resource is not there."""
    tally = Tally()
    kinds = _needed(files, cohort)
    _tell_unread([file for file in files if file.kinds.isdisjoint({"Patient", "Medication", *kinds})], tally)
    _tell_absent_pages(files, tally)
    persons, keys = patients([file for file in files if "Patient" in file.kinds], tally)
    reading = _Reading(cohort, EventCollector(cohort, keys, tally), tally, _medications(files, kinds, tally))
    for file in files:
        if not file.kinds.isdisjoint(kinds):
            reading.read(file, kinds)
    replaced = reading.versions.superseded(tally).cast(pl.UInt32)
    current = ~pl.col("row").is_in(replaced.implode())
    events = reading.collector.events().filter(current)
    periods = keys.joined(pl.concat([pl.DataFrame(schema=_STAYS), *reading.stays]).filter(current))[0].select(*PERIODS)
    reading.tell_zones()
    unmet_sets(cohort, events, tally)
    periods = periods.group_by("person").agg(pl.col("start").min(), pl.col("end").max())
    return EventTables(persons, events, periods, reading.collector.units, tally.problems())


def _tell_absent_pages(files: tuple[ExportFile, ...], tally: Tally) -> None:
    """A search that was saved without its later pages looks whole, and half of the patients are not there."""
    pages = {address for file in files for address in file.pages}
    text = "Bundles say that another page follows, which is not among the files"
    absent = [Place(file=file.name) for file in files if file.next_pages - pages]
    tally.add("warning", "absent-pages", text, "save every page; nothing is to be done where all are there", len(absent), absent)


def _tell_unread(files: list[ExportFile], tally: Tally) -> None:
    """Count the files that are not read. What is no resource may be a damaged one."""
    for file in files:
        if "OperationOutcome" in file.kinds:
            text = "The export holds messages of the server, which may say that resources are missing"
            hint = "read them (OperationOutcome), and export again what failed"
            tally.add("warning", "server-messages", text, hint, places=[Place(file=file.name)])
        elif file.holds_resources:
            text = "Files of resources that this cohort does not need were not read"
            tally.add("note", "unused-files", text, "", places=[Place(file=file.name)])
        else:
            not_json(Place(file=file.name, line=1), tally)


def _needed(files: tuple[ExportFile, ...], cohort: CohortSection) -> frozenset[str]:
    """The kinds of resources to read. Every kind that the cohort asks of must be there, or nothing would look like never."""
    present = {kind for file in files for kind in file.kinds}
    needed = {"Encounter"} if cohort.needs_observation else set()
    for concept_set in cohort.concepts:
        if concept_set.descendants:
            raise DataError(
                f"The concept set {concept_set.name!r} asks for descendants, and FHIR has no table of them",
                hint="list every code under codes and leave descendants out, for all hospitals",
            )
        if concept_set.codes and not any(code.fhir_systems for code in concept_set.parsed_codes):
            raise DataError(
                f"FHIR can hold none of the codes of the concept set {concept_set.name!r}",
                expected="a code of a system that FHIR knows, for example SNOMED|59621000, or ActCode|IMP for visits",
                hint="add one to the study, for all hospitals",
            )
        needed |= _resources_of(concept_set, present)
    if absent := sorted({"Patient", *needed} - present):
        raise DataError(
            f"The export has no {', '.join(absent)}",
            expected="a file of each kind of resource that the study's concept sets are looked for in",
            hint=f"export it as well; where there really is none, add an empty file named {absent[0]}.ndjson",
        )
    return frozenset(needed)


def _resources_of(concept_set: ConceptSet, present: set[str]) -> set[str]:
    """The kinds of resources that a set is looked for in. Vaccinations are drugs: codes of CVX are theirs, others may be."""
    if concept_set.event == "discharge":
        return {"Encounter"}
    kinds = {kind.name for kind in RESOURCE_KINDS.values() if kind.event == concept_set.event}
    if concept_set.event != "drug":
        return kinds
    vaccines = {code.vocabulary == "CVX" for code in concept_set.parsed_codes} or {False}
    must = {"Immunization" if vaccine else "MedicationRequest" for vaccine in vaccines}
    return must | (kinds & present)


def _medications(files: Iterable[ExportFile], kinds: frozenset[str], tally: Tally) -> dict[str, list[Coding]]:
    """The codes of each Medication, which a prescription may refer to."""
    if "MedicationRequest" not in kinds:
        return {}
    codes: dict[str, list[Coding]] = {}
    for file in files:
        if "Medication" in file.kinds:
            for spot, _, resource in file.resources({"Medication"}):
                if resource is None:
                    if not file.bundled:  # else it is counted among the events
                        not_json(spot, tally)
                elif isinstance(resource.get("id"), str):
                    codes[resource["id"]] = codings(resource.get("code"))
    return codes


def tell_unread_date(kind: str, spot: Place, tally: Tally) -> None:
    """Count a date that is there and cannot be read: left out, it would look like never."""
    text = f"Dates of resources {kind} cannot be read"
    tally.add("error", f"date-unread:{kind}", text, "export them as FHIR writes them: 2020-12-31, or 2020-12", places=[spot])


def not_json(spot: Place, tally: Tally) -> None:
    """Count a line or entry that holds no resource; the person at the machine is told which it is."""
    tally.add(
        "error", "not-a-resource", "Lines of the export are no FHIR resource, or longer than 16 MiB",
        "export this file again in UTF-8, each resource whole on one line: no array, and nothing set in on lines of its own",
        places=[spot],
    )  # fmt: skip


@dataclass
class _Reading:
    """One pass over the files of events."""

    cohort: CohortSection
    collector: EventCollector
    tally: Tally
    medications: dict[str, list[Coding]]
    versions: Versions = field(default_factory=Versions)
    batch: list[tuple[Any, ...]] = field(default_factory=list)
    stays: list[pl.DataFrame] = field(default_factory=list)
    stay_batch: list[tuple[str, date, date, int]] = field(default_factory=list)
    zones: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    file: str = ""

    def __post_init__(self) -> None:
        self.by_code: dict[tuple[str, Coding], list[int]] = {}
        self.by_prefix: dict[str, list[tuple[str, str, int]]] = {}
        self.every: dict[str, list[int]] = {}
        self.set_of_bare_code: dict[tuple[str, str], str] = {}
        for position, concept_set in enumerate(self.cohort.concepts):
            if not concept_set.codes:
                self.every.setdefault(concept_set.event, []).append(position)
            for code in concept_set.parsed_codes:
                for system in code.fhir_systems:
                    if code.prefix is None:
                        self.by_code.setdefault((concept_set.event, (system, code.code)), []).append(position)
                        self.set_of_bare_code[concept_set.event, code.code] = concept_set.name
                    else:
                        self.by_prefix.setdefault(concept_set.event, []).append((system, code.prefix, position))

    def read(self, file: ExportFile, kinds: Collection[str]) -> None:
        """The events of one file. What is wrong with them is told with its name. kinds: those that the cohort needs."""
        self.file = file.name
        for spot, content, resource in file.resources(kinds):
            if resource is None:
                not_json(spot, self.tally)
                continue
            if resource["resourceType"] not in file.kinds:
                hint = "export each kind of resource into files of its own"
                self.tally.add("error", "mixed-file", f"{file.title} holds other resources", hint, places=[spot])
                continue
            self._take(RESOURCE_KINDS[resource["resourceType"]], resource, self.versions.add(resource, content), spot)
        self._flush()

    def _take(self, kind: ResourceKind, resource: Resource, row: int, spot: Place) -> None:
        if (reason := unused_status(kind, resource)) is not None:
            self._leave_out(kind.name, reason)
            return
        key = id_in(part(resource, kind.subject, "reference"), "Patient")
        written = first_text(resource, kind.starts)
        written_end = first_text(resource, kind.ends)
        start, end = day_of(written), day_of(written_end)
        met = kind.name == "Encounter"
        if start is not None and end is not None and end < start:
            self.tally.reversed_spans(self.file, 1)
            end = None
        if kind.name == "Encounter" and start is not None:
            self.stay_batch.append((key, start, end or start, row))
        if kind.name == "Encounter":
            self._take_discharge(key, end, codings(part(resource, "hospitalization", "dischargeDisposition")), row)
        if isinstance(written, str) and "T" in written:
            self.zones[written.rstrip().endswith("Z")] += 1
        if kind.name == "MedicationRequest":
            drug = [{"system": system, "code": code} for system, code in self._drug(resource)]
            resource = {**resource, kind.code: {"coding": drug}}
        for index, (codes, value) in enumerate(coded_parts(kind, resource)):
            positions = self._positions(kind.event, codes)
            positions.update(self.every.get(kind.event, ()) if index == 0 else ())
            met = met or bool(positions)
            if positions and value.unread:
                self._tell_unread_number(kind, spot)
            if positions and value.absent:
                self._leave_out(kind.name, "dataAbsentReason")
                continue
            if positions and value.limit:
                self.tally.add("warning", "limit", "Values below or above a limit of measurement count as the limit", "")
            for position in sorted(positions):
                self.batch.append((key, position, start, end, value.number, value.unit, row))
        if not met:
            self._tell_other_system(kind, resource, spot)
        for text in (written, written_end) if met else ():
            if is_unread_date(text):
                tell_unread_date(kind.name, replace(spot, value=str(text)), self.tally)
        if len(self.batch) + len(self.stay_batch) >= BATCH:
            self._flush()

    def _tell_unread_number(self, kind: ResourceKind, spot: Place) -> None:
        text = f"Values of resources {kind.name} are no numbers of JSON, and would look like never measured"
        hint = 'export them as numbers: 130.5, not "130,5", NaN or a number that no program holds'
        self.tally.add("error", f"not-a-number:{kind.name}", text, hint, places=[spot])

    def _tell_other_system(self, kind: ResourceKind, resource: Resource, spot: Place) -> None:
        """Of a resource that belongs to no set: whether it carries a code of one, of another system or of none."""
        for system, code in bare_codes(resource.get(kind.code)):
            if (name := self.set_of_bare_code.get((kind.event, code))) is not None:
                text = f"Events carry a code of the concept set {name!r} under another system, or under none, and were left out"
                hint = (
                    "compare the addresses of the systems; where they mean the same, export the codes with the one that FHIR "
                    "names, or add this one to the study, for all hospitals"
                )
                self.tally.add("warning", f"code-other-system:{name}", text, hint, places=[replace(spot, value=system)])

    def _take_discharge(self, key: str, day: date | None, codes: list[Coding], row: int) -> None:
        """Where an encounter led to, as an event of its last day."""
        if codes:
            positions = self._positions("discharge", codes) | set(self.every.get("discharge", ()))
            self.batch += [(key, position, day, None, None, "", row) for position in sorted(positions)]

    def _leave_out(self, kind: str, reason: str) -> None:
        code = f"status:{kind}:{reason}"
        if reason == MODIFIED:
            text = f"Resources {kind} with a modifierExtension, which may turn their meaning around, were left out"
            self.tally.add("warning", code, text, MODIFIED_HINT)
        else:
            self.tally.add("note", code, f"Resources {kind} that tell nothing that happened were left out: {reason}", "")

    def _positions(self, event: str, codes: list[Coding]) -> set[int]:
        """The sets that one of the codes belongs to."""
        positions = {position for coding in codes for position in self.by_code.get((event, coding), ())}
        for system, prefix, position in self.by_prefix.get(event, ()):
            if any(coding[0] == system and coding[1].startswith(prefix) for coding in codes):
                positions.add(position)
        return positions

    def _drug(self, resource: Resource) -> list[Coding]:
        """The codes of what is prescribed: said on the spot, in the resource, or in a Medication of the export."""
        codes = codings(resource.get("medicationCodeableConcept"))
        reference = part(resource, "medicationReference", "reference")
        if not isinstance(reference, str):
            return codes
        if reference.startswith("#"):
            inside = [c for c in listed(resource.get("contained")) if part(c, "id") == reference[1:]]
            return [*codes, *(pair for contained in inside for pair in codings(part(contained, "code")))]
        medication = id_in(reference, "Medication")
        if medication not in self.medications:
            self.tally.add("warning", "medication-unknown", "Prescriptions refer to a Medication that the export does not hold",
                           "export Medication as well")  # fmt: skip
        return [*codes, *self.medications.get(medication, [])]

    def _flush(self) -> None:
        """Hand what was collected over as frames, which take a tenth of the memory."""
        if self.batch:
            self.collector.add(pl.DataFrame(self.batch, schema=_BATCH_SCHEMA, orient="row"), self.file)
        if self.stay_batch:
            self.stays.append(pl.DataFrame(self.stay_batch, schema=_STAYS, orient="row"))
        self.batch, self.stay_batch = [], []

    def tell_zones(self) -> None:
        """Warn where times in UTC stand beside others: some days may then be off by one."""
        if all(self.zones.values()):
            text = "Times in UTC stand beside times of a place; each counts on the day that is written"
            hint = "export all of them with the hospital's own offset"
            self.tally.add("warning", "mixed-zones", text, hint, min(self.zones.values()))
