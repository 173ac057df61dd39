"""The resources Patient of a FHIR export as the persons of the event tables."""

from typing import Any

import polars as pl

from wardround.sources.databases.cohort.partial_days import FIRST_GUESS, birth_day
from wardround.sources.databases.events import PERSONS, PersonKeys, Tally
from wardround.sources.databases.fhir.lines import ExportFile
from wardround.sources.databases.fhir.values import Resource, day_of, listed, moment_of, part, parts_of_day
from wardround.values.errors import DataError

SEXES = ("male", "female", "other")


def patients(files: list[ExportFile], tally: Tally) -> tuple[pl.DataFrame, PersonKeys]:
    """Every patient of the export, sorted by id. One that another record replaces is left out, and counted."""
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
    rows = [_row(name, resource, tally) for name, (_, resource) in sorted(newest.items()) if not _replaced(resource, tally)]
    frame = pl.DataFrame(rows, schema=_ROW, orient="row")
    guessed = frame.filter(pl.col("year").is_not_null() & pl.col("day").is_null()).height
    tally.add("note", "birth-without-day", FIRST_GUESS, "", guessed)
    keys = PersonKeys.of_keys(frame["name"])
    birth = birth_day(pl.col("year"), pl.col("month"), pl.col("day")).alias("birth")
    return frame.with_columns(keys.keys["person"], birth).select(*PERSONS), keys


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


def _replaced(resource: Resource, tally: Tally) -> bool:
    """Whether the hospital has joined this patient with another record."""
    replaced = any(part(link, "type") == "replaced-by" for link in listed(resource.get("link")))
    if replaced:
        tally.add("note", "patient-replaced", "Patients that another record replaces were left out", "")
    return replaced


def _row(name: str, resource: Resource, tally: Tally) -> tuple[Any, ...]:
    year, month, day = parts_of_day(resource.get("birthDate"))
    death = day_of(resource.get("deceasedDateTime"))
    dead = resource.get("deceasedDateTime") is not None or resource.get("deceasedBoolean") is True
    if dead and death is None:
        tally.add(
            "note", "dead-without-day", "Patients died on a day that the export does not say", "add deceasedDateTime, if known"
        )
    sex = resource.get("gender")
    return name, year, month, day, sex if sex in SEXES else None, death, dead
