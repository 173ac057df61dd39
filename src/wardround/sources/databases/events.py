"""What every database becomes before the cohort is made: persons, the events of the named concept sets, time under observation.

    OMOP, FHIR --rows of any order--> EventCollector --> EventTables --cohort--> rows of a table

An event takes 30 bytes, whatever the source writes, so ten million of them fit where their text would not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import polars as pl

from wardround.sources.places import PLACES_KEPT, Place
from wardround.sources.read_result import Level, Problem
from wardround.study.sections.cohort import CohortSection

PERSONS: dict[str, pl.DataType] = {
    "person": pl.UInt32(),
    "name": pl.String(),
    "birth": pl.Date(),
    "sex": pl.String(),
    "death": pl.Date(),
    "dead": pl.Boolean(),
}
"""person: a running number. name: as the source calls them. death: None where no day is known. dead: even where it is not."""

EVENTS: dict[str, pl.DataType] = {
    "person": pl.UInt32(),
    "concepts": pl.UInt16(),
    "start": pl.Date(),
    "end": pl.Date(),
    "number": pl.Float64(),
    "unit": pl.UInt32(),
    "row": pl.UInt32(),
}
"""concepts: position of the set in the cohort. unit: position in EventTables.units. row: of the source, to take one back."""

PERIODS: dict[str, pl.DataType] = {"person": pl.UInt32(), "start": pl.Date(), "end": pl.Date()}


@dataclass(frozen=True)
class EventTables:
    """persons, events, periods: frames of the schemas above. units: as the source spells them; "" where it names none."""

    persons: pl.DataFrame
    events: pl.DataFrame
    periods: pl.DataFrame
    units: tuple[str, ...] = ("",)
    problems: tuple[Problem, ...] = ()


@dataclass
class _Met:
    count: int = 0
    private_error: bool = False
    places: list[Place] = field(default_factory=list)


@dataclass
class Tally:
    """Counts what was met by reason, so that nothing is dropped in silence."""

    _met: dict[tuple[Level, str, str, str], _Met] = field(default_factory=dict)

    def add(
        self,
        level: Level,
        code: str,
        text: str,
        hint: str,
        count: int = 1,
        places: Iterable[Place] = (),
        *,
        private_error: bool = False,
    ) -> None:
        """Count `count` more. text and hint may be sent on; places, of which PLACES_KEPT are kept, are for this machine."""
        if count:
            met = self._met.setdefault((level, code, text, hint), _Met(private_error=private_error))
            met.count += count
            met.places.extend(islice(places, PLACES_KEPT - len(met.places)))

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(*said, met.count, tuple(met.places), private_error=met.private_error)
            for said, met in sorted(self._met.items(), key=lambda item: item[0])
        )

    def reversed_spans(self, source: str, count: int) -> None:
        """Warn of `count` events of a table or resource whose end lies before their beginning."""
        text = "Events end before they begin, so that their end counts as not known"
        self.add("warning", "ends-before-start", text, "correct their dates at the source", count, [Place(file=source)])


def places_of(file: str, values: pl.Series) -> Iterator[Place]:
    """A place for each value that is met, without its row: a database has no lines."""
    return (Place(file=file, value=str(value)) for value in values.head(PLACES_KEPT))


@dataclass(frozen=True)
class PersonKeys:
    """The persons of a source by the key that its events name."""

    keys: pl.DataFrame  # key, person

    @classmethod
    def of_keys(cls, keys: pl.Series) -> "PersonKeys":
        """Persons are numbered in the order of `keys`, which are different."""
        return cls(pl.DataFrame({"key": keys, "person": pl.Series(range(len(keys)), dtype=pl.UInt32)}))

    def with_others(self, keys: Mapping[str, str]) -> "PersonKeys":
        """Further keys of persons, each with the key that is known of them."""
        if not keys:
            return self
        others = pl.DataFrame({"other": list(keys), "key": list(keys.values())})
        joined = others.join(self.keys, on="key", how="inner").select(pl.col("other").alias("key"), "person")
        return PersonKeys(pl.concat([self.keys, joined]))

    def joined(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """`frame` with the person in place of its key, and the keys that name nobody, row for row."""
        strangers = frame.join(self.keys, on="key", how="anti")["key"]
        return frame.join(self.keys, on="key", how="inner").drop("key"), strangers


class EventCollector:
    """Takes events in batches: key (as in PersonKeys), concepts, start, end, number, unit (text), row."""

    def __init__(self, cohort: CohortSection, persons: PersonKeys, tally: Tally) -> None:
        self.cohort, self._persons, self._tally = cohort, persons, tally
        self._units: dict[str, int] = {"": 0}
        self._batches: list[pl.DataFrame] = []

    def add(self, batch: pl.DataFrame, source: str) -> None:
        """Keep the events whose person and first day are known, and count the others. source: the table or resource."""
        events, strangers = self._persons.joined(batch)
        self._tally.add(
            "warning", "event-without-person", "Events of persons who are not in the source were left out",
            "export these persons too, if they belong to the study", len(strangers), places_of(source, strangers),
        )  # fmt: skip
        dated = events.filter(pl.col("start").is_not_null())
        self._tally.add(
            "warning", "event-without-day", "Events without a whole date were left out",
            "complete their dates at the source, where they are known", events.height - dated.height, [Place(file=source)],
        )  # fmt: skip
        if dated.height:
            self._batches.append(dated.with_columns(self._unit_numbers(dated)).select(self._cast()))

    def _unit_numbers(self, events: pl.DataFrame) -> pl.Expr:
        spelled = events.get_column("unit").unique().to_list()
        for unit in spelled:
            self._units.setdefault(unit or "", len(self._units))
        codes = {unit: self._units[unit or ""] for unit in spelled}
        return pl.col("unit").replace_strict(list(codes), list(codes.values()), return_dtype=pl.UInt32)

    @staticmethod
    def _cast() -> list[pl.Expr]:
        return [pl.col(name).cast(kind) for name, kind in EVENTS.items()]

    def events(self) -> pl.DataFrame:
        """All events that were kept."""
        return pl.concat(self._batches) if self._batches else pl.DataFrame(schema=EVENTS)

    @property
    def units(self) -> tuple[str, ...]:
        return tuple(self._units)


def unmet_sets(cohort: CohortSection, events: pl.DataFrame, tally: Tally) -> None:
    """Warn of each concept set that no event of the source belongs to: a wrong code looks like a rare one."""
    met = set(events.get_column("concepts").unique().to_list())
    for position, concept_set in enumerate(cohort.concepts):
        if position not in met:
            tally.add(
                "warning", f"concepts-unmet:{concept_set.name}",
                f"No {concept_set.event} belongs to the concept set {concept_set.name!r}",
                "compare its codes with those that this hospital writes",
            )  # fmt: skip
