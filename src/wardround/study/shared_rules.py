"""`names = ["na", "k"]` in place of `name` under [[data.columns]]: several columns with one rule, written once.

The names stand in the study: a pattern such as lab_* would give every hospital another network. A study that was read holds each
column by itself, so that its hash is that of the same study written out.
"""

from typing import Any

from wardround.study.toml_reading import KeyPath


def written_out(value: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """What a study file says with each column by itself, and for each column the [[data.columns]] that declared it."""
    data = value.get("data")
    columns = data.get("columns") if isinstance(data, dict) else None
    if not isinstance(columns, list):
        return value, []
    each = [(index, column) for index, declared in enumerate(columns) for column in _columns(declared)]
    return {**value, "data": {**data, "columns": [column for _, column in each]}}, [index for index, _ in each]  # type: ignore[dict-item]


def as_declared(path: KeyPath, origins: list[int]) -> KeyPath:
    """Where a setting of a written-out study stands in its file."""
    if path[:2] == ("data", "columns") and len(path) > 2 and isinstance(path[2], int) and path[2] < len(origins):
        return ("data", "columns", origins[path[2]], *path[3:])
    return path


def _columns(column: Any) -> list[Any]:
    names = column.get("names") if isinstance(column, dict) else None
    if not isinstance(names, list) or not names or "name" in column or not all(isinstance(name, str) for name in names):
        return [column]
    rule = {key: value for key, value in column.items() if key != "names"}
    return [{**rule, "name": name} for name in names]
