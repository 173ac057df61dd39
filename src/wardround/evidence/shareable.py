"""A run record without the exact figures of one hospital: for whoever is not trusted with them.

What is left is what a sum over hospitals showed. Of a private run, whose figures nobody paid for, it is the model and its bill.
"""

from typing import Any

from wardround.study.record.run_record import Pooled, RoundRecord, RunRecord


def shareable(record: RunRecord) -> RunRecord:
    """The record with every figure of a single hospital left out, and of a private run every figure of patients."""
    private = record.privacy is not None
    pooled = None if record.pooled is None or private else Pooled(federated=record.pooled.federated)
    kept = {name: getattr(record, name) for name in RunRecord.model_fields}
    changes: dict[str, Any] = {
        "sites": {},
        "cross": {},
        "trained_on": {},
        "pooled": pooled,
        "start": None if private else record.start,
        "rounds": tuple(_of_all(entry, private=private) for entry in record.rounds),
    }
    return RunRecord(**(kept | changes))


def _of_all(entry: RoundRecord, *, private: bool) -> RoundRecord:
    kept = {name: getattr(entry, name) for name in RoundRecord.model_fields}
    unpaid: dict[str, Any] = {"train_loss": None, "validation": None} if private else {}
    return RoundRecord(**(kept | {"per_site": {}} | unpaid))
