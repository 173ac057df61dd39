"""How many patients a run had in all, where its record says that of all its hospitals."""

from dataclasses import dataclass

from wardround.study.record.run_record import RunRecord


@dataclass(frozen=True)
class Sample:
    """Patients and records (images or rows) of all hospitals together."""

    patients: int
    records: int


def sample_of(record: RunRecord) -> Sample | None:
    """None where the record does not have them all: a hospital's own record of a study over a network counts its own alone."""
    if record.totals is not None:
        return Sample(record.totals.patients, record.totals.images)
    if not record.sites or not covers_all(record):
        return None
    return Sample(sum(one.patients for one in record.sites.values()), sum(one.images for one in record.sites.values()))


def covers_all(record: RunRecord) -> bool:
    """Whether `sites` has an entry for every hospital of the run. Over a network, where each keeps its record, one entry is never
    all: a study takes several hospitals."""
    alone = record.engine == "network" and len(record.sites) == 1
    return not alone and set(record.took_part) <= set(record.sites)
