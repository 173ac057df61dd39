"""The figures of a run record as rows: which model, where it was tested, which metric, value and interval."""

from collections.abc import Iterator
from typing import Any

from wardround.study.record.run_record import Evaluation, RunRecord

FEDERATED = "federated"


def figures_of(record: RunRecord) -> tuple[dict[str, Any], ...]:
    """One row per figure. A model is "federated", is named after the site whose data alone it saw, or is "chosen by" a site; what
    the cross table repeats of the sites' own figures appears once."""
    rows: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for model, scope, test_set, evaluation in _evaluations(record):
        for name, value in evaluation.values.items():
            low, high = evaluation.interval(name) or (None, None)
            key = (model, scope, test_set, name)
            rows[key] = dict(zip(("model", "scope", "test_set", "name"), key, strict=True)) | {
                "value": value,
                "low": low,
                "high": high,
            }
    return tuple(rows.values())


def _evaluations(record: RunRecord) -> Iterator[tuple[str, str, str, Evaluation]]:
    for model, test_sets in record.cross.items():
        yield from ((model, "site", site, evaluation) for site, evaluation in test_sets.items())
    for site, entry in record.sites.items():
        evaluations = ((site, entry.own), (FEDERATED, entry.federated))
        yield from ((model, "site", site, evaluation) for model, evaluation in evaluations if evaluation is not None)
        if entry.personal is not None and entry.personal.test is not None:
            yield f"chosen by {site}", "site", site, entry.personal.test
    yield from ((FEDERATED, "external", name, evaluation) for name, evaluation in record.external.items())
    if record.pooled is not None:
        yield FEDERATED, "pooled", "", record.pooled.federated
        yield from ((site, "pooled", "", evaluation) for site, evaluation in record.pooled.own.items())
