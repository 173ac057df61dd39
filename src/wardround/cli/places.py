"""Where a figure was measured, as tables of several runs say it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wardround.evidence.comparing import FigureKey


def tested_on(key: "FigureKey") -> str:
    """In words; empty for a hospital's own model anywhere but at home, which only --json shows."""
    model, scope, test_set, _ = key
    federated = model == "federated"
    if scope == "pooled":
        return "all hospitals" if federated else ""
    if scope == "external":
        return f"external {test_set}"
    if scope == "left_out":
        return f"{test_set}, never seen"
    if federated or model == f"chosen by {test_set}":
        return f"{test_set}, {'federated' if federated else 'chosen'}"
    return f"{test_set}, own" if model == test_set else ""
