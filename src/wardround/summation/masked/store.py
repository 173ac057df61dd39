"""States of the masked sum as JSON and arrays, and back: what makes a machine durable. Equal states are written alike."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from wardround.crypto.quorum import Quorum
from wardround.summation.masked.attempt import Attempt, CommittedShares, Opening, Signing
from wardround.values.ids import SiteId
from wardround.values.tree import Tree

_TOTAL, _SHARES = "total/", "shares/"
_PARTS = ("sealed_shares", "commitments", "share_commitments")


def sum_to_tensors(state: Signing | Opening) -> tuple[Tree, dict[str, Any]]:
    """The coordinator's half between two exchanges: masked totals and sealed shares, nothing secret.

    Shares stand among the arrays, a row for each site counted: with a hundred sites they are 70 MB."""
    attempt = state.attempt
    head = {
        "name": type(state).__name__,
        "attempt": {**asdict(attempt), "layout": {name: list(kind) for name, kind in attempt.layout.items()}},
        "counted": list(state.counted),
        "lost": {str(site): why for site, why in state.lost.items()},
        "at_odds": list(state.at_odds),
        "certificate": {str(site): one for site, one in state.certificate.items()} if isinstance(state, Opening) else {},
    }
    arrays: Tree = {f"{_TOTAL}{name}": array for name, array in state.total.items()}
    for part in _PARTS:
        rows = b"".join(getattr(state.shares[site], part) for site in state.counted)
        arrays[f"{_SHARES}{part}"] = np.frombuffer(rows, np.uint8).reshape(len(state.counted), -1)
    return arrays, head


def sum_from_tensors(arrays: Tree, head: Mapping[str, Any]) -> Signing | Opening:
    fields = head["attempt"]
    quorum = Quorum(tuple(fields["quorum"]["sites"]), fields["quorum"]["threshold"], fields["quorum"]["collusion"])
    attempt = Attempt(
        **{
            **fields,
            "quorum": quorum,
            "cohort": tuple(fields["cohort"]),
            "layout": {name: (kind, size) for name, (kind, size) in fields["layout"].items()},
        }
    )
    total = {name.removeprefix(_TOTAL): array for name, array in arrays.items() if name.startswith(_TOTAL)}
    shares = {
        SiteId(site): CommittedShares(**{part: arrays[f"{_SHARES}{part}"][row].tobytes() for part in _PARTS})
        for row, site in enumerate(head["counted"])
    }
    at_odds = tuple(map(SiteId, head["at_odds"]))
    if head["name"] == "Signing":
        return Signing(attempt, total, shares, head["lost"], at_odds)
    return Opening(attempt, total, shares, head["lost"], at_odds, head["certificate"])
