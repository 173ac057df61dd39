"""The resources Patient of a FHIR export as the persons of the event tables."""

from typing import Any

import polars as pl

from wardround.sources.databases.cohort.partial_days import FIRST_GUESS, IMPOSSIBLE_BIRTH, birth_day
from wardround.sources.databases.events import PERSONS, PersonKeys, Tally
from wardround.sources.databases.fhir.lines import ExportFile
from wardround.sources.databases.fhir.values import (
    MODIFIED,
    Resource,
    day_of,
    id_in,
    is_unread_date,
    listed,
    moment_of,
    part,
    parts_of_day,
)
from wardround.sources.places import Place
from wardround.values.errors import DataError

SEXES = ("male", "female", "other")


def patients(files: list[ExportFile], tally: Tally) -> tuple[pl.DataFrame, PersonKeys]:
    """Every patient of the export, sorted by id. The key of one that another record replaces leads to that one."""
    newest: dict[str, tuple[int, Resource]] = {}
    for file in files:
        for spot, _, resource in file.resources({"Patient"}):
            if resource is None or resource["resourceType"] != "Patient" or not isinstance(resource.get("id"), str):
                tally.add(
                    "error", "not-a-patient", "Lines of the export are no FHIR Patient with an id", "export this file again",
                    places=[spot],
                )  # fmt: skip
            else:
                _keep_newest(newest, resource, tally)
    newest = {name: entry for name, entry in newest.items() if not _modified(entry[1], tally)}
    replaced = {name: target for name, (_, resource) in newest.items() if (target := _linked(resource, "replaced-by"))}
    kept = {name: resource for name, (_, resource) in sorted(newest.items()) if name not in replaced}
    _tell_linked(kept, tally)
    frame = pl.DataFrame([_row(name, resource, tally) for name, resource in kept.items()], schema=_ROW, orient="row")
    guessed = frame.filter(pl.col("year").is_not_null() & pl.col("day").is_null()).height
    tally.add("note", "birth-without-day", FIRST_GUESS, "", guessed)
    keys = PersonKeys.of_keys(frame["name"])
    birth = birth_day(pl.col("year"), pl.col("month"), pl.col("day")).alias("birth")
    impossible = frame.filter(pl.col("year").is_not_null() & birth.is_null()).height
    tally.add("warning", "birth-impossible", IMPOSSIBLE_BIRTH, "correct them at the source", impossible)
    persons = frame.with_columns(keys.keys["person"], birth).select(*PERSONS)
    return persons, keys.with_others(_heirs(replaced, kept, tally))


def _modified(resource: Resource, tally: Tally) -> bool:
    modified = bool(resource.get(MODIFIED))
    if modified:
        text = "Resources Patient with a modifierExtension, which may turn their meaning around, were left out"
        tally.add("warning", f"status:Patient:{MODIFIED}", text, MODIFIED_HINT)
    return modified


def _linked(resource: Resource, kind: str) -> str:
    """The first patient that this one is linked to in this way; "" for none."""
    links = (link for link in listed(resource.get("link")) if part(link, "type") == kind)
    return next((id_in(part(link, "other", "reference"), "Patient") or "?" for link in links), "")


def _heirs(replaced: dict[str, str], kept: dict[str, Resource], tally: Tally) -> dict[str, str]:
    """The patient that stands in for each replaced one, at the end of however many links."""
    heirs: dict[str, str] = {}
    for name in replaced:
        heir, steps = replaced[name], 0
        while heir in replaced and steps < len(replaced):
            heir, steps = replaced[heir], steps + 1
        if heir in kept:
            heirs[name] = heir
            tally.add("note", "patient-replaced", "Patients that another record replaces count as that one", "")
        else:
            text = "Patients that a record outside the export replaces were left out"
            tally.add("warning", "patient-replaced-unknown", text, "export that record too", places=[Place(value=name)])
    return heirs


def _tell_linked(kept: dict[str, Resource], tally: Tally) -> None:
    """Warn of two records that are said to be of one person, and that both count: one may be in train and one in test."""
    for name, resource in kept.items():
        if any(other in kept and other != name for other in (_linked(resource, "seealso"), _linked(resource, "replaces"))):
            text = "Patients are linked to another record of the same person, and count as two"
            hint = "join the records at the source, or link the one that is no longer used by replaced-by"
            tally.add("warning", "patient-linked", text, hint, places=[Place(value=name)], private_error=True)


MODIFIED_HINT = "find out what it says; where it changes nothing, export these resources without it"


_ROW: dict[str, pl.DataType] = {
    "name": pl.String(), "year": pl.Int64(), "month": pl.Int64(), "day": pl.Int64(), "sex": pl.String(), "death": pl.Date(),
    "dead": pl.Boolean(),
}  # fmt: skip


def _keep_newest(newest: dict[str, tuple[int, Resource]], resource: Resource, tally: Tally) -> None:
    name, moment = resource["id"], moment_of(part(resource, "meta", "lastUpdated")) or -1
    before = newest.get(name)
    if before is not None:
        tally.add("note", "older-versions", "Copies and older versions of resources were left out", "")
        if before[0] == moment and before[1] != resource:
            raise DataError(
                "Two resources Patient have one id, differ, and none is said to be newer",
                hint="export each patient once, or with meta.lastUpdated",
            )
        if before[0] >= moment:
            return
    newest[name] = moment, resource


def _row(name: str, resource: Resource, tally: Tally) -> tuple[Any, ...]:
    year, month, day = parts_of_day(resource.get("birthDate"))
    for text in (resource.get("birthDate"), resource.get("deceasedDateTime")):
        if is_unread_date(text):
            tally.add(
                "error", "date-unread:Patient", "Dates of resources Patient cannot be read",
                "export them as FHIR writes them: 2020-12-31, or 2020-12", places=[Place(value=name)],
            )  # fmt: skip
    if not isinstance(resource.get("deceasedBoolean"), bool | None):
        tally.add(
            "error", "deceased-unread", "Patients whose deceasedBoolean is neither true nor false, so that nobody knows who died",
            "export it as true or false, without quotation marks", places=[Place(value=name)],
        )  # fmt: skip
    if resource.get("active") is False:
        tally.add(
            "warning", "patient-inactive", "Patients whose record is said to be no longer in use (active = false) count like all",
            "where a record was merged into another or made in error, take it out", places=[Place(value=name)],
        )  # fmt: skip
    death = day_of(resource.get("deceasedDateTime"))
    dead = resource.get("deceasedDateTime") is not None or resource.get("deceasedBoolean") is True
    if dead and death is None:
        tally.add(
            "note", "dead-without-day", "Patients died on a day that the export does not say", "add deceasedDateTime, if known"
        )
    sex = resource.get("gender")
    return name, year, month, day, sex if sex in SEXES else None, death, dead
