"""Versions and copies of FHIR resources: of those with one id the newest counts."""

from array import array
from dataclasses import dataclass, field

import polars as pl

from wardround.sources.databases.events import Tally
from wardround.sources.databases.fhir.values import Resource, moment_of, part


@dataclass
class Versions:
    """Every resource that was read, so that of several versions of one only the newest counts."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    moments: "array[int]" = field(default_factory=lambda: array("q"))
    contents: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, resource: Resource, line: bytes) -> int:
        """The number of the resource, from 1. One without an id is like no other."""
        row = len(self.ids) + 1
        name = resource.get("id")
        self.ids.append(hash((resource["resourceType"], name)) if isinstance(name, str) else hash((row, "unnamed")))
        moment = moment_of(part(resource, "meta", "lastUpdated"))
        self.moments.append(-(2**62) if moment is None else moment)
        self.contents.append(hash(line.strip()))
        return row

    def superseded(self, tally: Tally) -> pl.Series:
        """The numbers of resources that a newer version, or a copy before them, replaces."""
        frame = pl.DataFrame(
            {"id": pl.Series(self.ids, dtype=pl.Int64), "moment": pl.Series(self.moments, dtype=pl.Int64),
             "content": pl.Series(self.contents, dtype=pl.Int64)}
        ).with_row_index("row", offset=1)  # fmt: skip
        several = frame.filter(pl.col("id").is_duplicated())
        newest = several.filter(pl.col("moment") == pl.col("moment").max().over("id"))
        unclear = newest.group_by("id").agg(pl.col("content").n_unique()).filter(pl.col("content") > 1).height
        tally.add(
            "error", "versions-differ", "Resources of one id differ, and none is said to be newer",
            "export each resource once, or with meta.lastUpdated", unclear,
        )  # fmt: skip
        kept = newest.group_by("id").agg(pl.col("row").min())["row"]
        replaced = several.filter(~pl.col("row").is_in(kept.implode()))["row"]
        tally.add("note", "older-versions", "Copies and older versions of resources were left out", "", len(replaced))
        return replaced
