"""A Study back to text: TOML for people, JSON Schema for editors."""

import json
from typing import Any

import tomli_w

from wardround.study.declaration import Study


def to_toml(study: Study) -> str:
    """Every setting written out, defaults too. `parse_study(to_toml(s))` equals s."""
    return tomli_w.dumps(_without_none(study.model_dump(mode="json")))


def json_schema() -> str:
    """The JSON Schema of a study, for editors that complete and check TOML."""
    return json.dumps(Study.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _without_none(value: Any) -> Any:
    """TOML has no null: what is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
