"""`[task]` at the top of a study file, in place of `data.label.kind` and [data.label.task]: where readers look for the question.

    [task]                             [data.label]              [data.label.task]
    kind = "grades"           -->      kind = "grades"           classes = [...]
    classes = [...]

A study that was read holds the question below its data, and has the same hash either way.
"""

from typing import Any

from wardround.study.label import UNDISCLOSED
from wardround.study.toml_reading import KeyPath
from wardround.values.errors import StudyError


def with_task_below_label(value: dict[str, Any], name: str) -> dict[str, Any]:
    """What a study file says with [task] below [data.label]. StudyError where the file says it in both places."""
    asked, data = value.get("task"), value.get("data", {})
    if not isinstance(asked, dict) or not isinstance(data, dict) or not isinstance(data.get("label", {}), dict):
        return value
    label = data.get("label", {})
    if twice := [key for key in ("kind", "task") if key in label]:
        raise StudyError(
            f"{name} says what is asked in two places",
            found=f"[task] and data.label.{twice[0]}",
            hint="keep [task], and leave kind and task out of [data.label]",
        )
    details = {key: setting for key, setting in asked.items() if key != "kind"}
    kind = {"kind": asked["kind"]} if "kind" in asked else {}
    below = {**label, **kind, **({"task": details} if details else {})}
    return {**{key: section for key, section in value.items() if key != "task"}, "data": {**data, "label": below}}


def with_undisclosed_question(value: dict[str, Any]) -> dict[str, Any]:
    """What a study file says, with the kind of question that `network.private = "head"` means where it names none."""
    network, data = value.get("network"), value.get("data")
    keeps_heads = isinstance(network, dict) and network.get("private") == "head"
    if not keeps_heads or not isinstance(data, dict) or "label" in data or "task" in value:
        return value
    return {**value, "data": {**data, "label": {"kind": UNDISCLOSED}}}


def as_written(path: KeyPath, asked: bool) -> KeyPath:
    """Where a setting of a study stands in a file. asked: whether the file has [task]."""
    if not asked or path[:2] != ("data", "label"):
        return path
    if path[2:3] == ("kind",):
        return ("task", "kind")
    return ("task", *path[3:]) if path[2:3] == ("task",) else path
