"""States of the masked sum as JSON and arrays, and back: what makes a machine durable. Equal states are written alike."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from wardround.crypto.quorum import Quorum
from wardround.summation.masked.attempt import Attempt, Dealt, Opening, Signing
from wardround.values.ids import SiteId
from wardround.values.tree import Tree

_TOTAL, _DEALT = "total/", "dealt/"
_PARTS = ("boxes", "commitments", "share_commitments")


def sum_to_tensors(state: Signing | Opening) -> tuple[Tree, dict[str, Any]]:
    """The coordinator's half between two exchanges: masked totals and sealed boxes, nothing secret.

    What was dealt stands among the arrays, a row for each site counted: with a hundred sites it is 70 MB."""
    of = state.of
    head = {
        "name": type(state).__name__,
        "of": {**asdict(of), "quorum": asdict(of.quorum), "layout": {name: list(kind) for name, kind in of.layout.items()}},
        "counted": list(state.counted),
        "lost": {str(site): why for site, why in state.lost.items()},
        "certificate": {str(site): one for site, one in state.certificate.items()} if isinstance(state, Opening) else {},
    }
    arrays: Tree = {f"{_TOTAL}{name}": array for name, array in state.total.items()}
    for part in _PARTS:
        rows = b"".join(getattr(state.dealt[site], part) for site in state.counted)
        arrays[f"{_DEALT}{part}"] = np.frombuffer(rows, np.uint8).reshape(len(state.counted), -1)
    return arrays, head


def sum_from_tensors(arrays: Tree, head: Mapping[str, Any]) -> Signing | Opening:
    of = head["of"]
    quorum = Quorum(tuple(of["quorum"]["sites"]), of["quorum"]["threshold"], of["quorum"]["collusion"])
    attempt = Attempt(
        **{
            **of,
            "quorum": quorum,
            "cohort": tuple(of["cohort"]),
            "layout": {name: (kind, size) for name, (kind, size) in of["layout"].items()},
        }
    )
    total = {name.removeprefix(_TOTAL): array for name, array in arrays.items() if name.startswith(_TOTAL)}
    dealt = {
        SiteId(site): Dealt(**{part: arrays[f"{_DEALT}{part}"][row].tobytes() for part in _PARTS})
        for row, site in enumerate(head["counted"])
    }
    if head["name"] == "Signing":
        return Signing(attempt, total, dealt, head["lost"])
    return Opening(attempt, total, dealt, head["lost"], head["certificate"])
