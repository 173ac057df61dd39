"""A study file (TOML) to a Study. Every problem is named with its line and its mend, all of them at once."""

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wardround.study.declaration import Study
from wardround.study.positions import key_lines, line_of
from wardround.values.errors import StudyError

SIZE_LIMIT = 1 << 20
RENAMED: dict[tuple[str | int, ...], str] = {
    ("summation", "longest"): "max_update_norm",
    ("summation", "largest_drop"): "max_auc_drop",
    ("privacy", "patients"): "public_patients",
    ("network", "backbone", "centre"): "feature_mean",
}
"""Settings of earlier development versions, and what they are called now."""


def load_study(path: str | Path) -> Study:
    """The study in the file at `path`. Raises StudyError with every problem's line, what was found, and what to do."""
    place = Path(path)
    if not place.is_file():
        raise StudyError(f"There is no study file at {place}", hint="make one with: wardround study new study.toml")
    raw = place.read_bytes()
    if len(raw) > SIZE_LIMIT:
        raise StudyError(f"{place} is too large for a study", expected="at most 1 MiB", found=f"{len(raw)} bytes")
    try:
        text = raw.decode("utf-8-sig")  # some editors begin a file with an invisible mark
    except UnicodeDecodeError as error:
        raise StudyError(f"{place} is not text", expected="UTF-8", found=f"a wrong byte at {error.start}") from error
    return parse_study(text, name=str(place))


def parse_study(text: str, name: str = "study.toml") -> Study:
    """The study that `text` declares."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{name} is not valid TOML", found=str(error), hint="correct that line") from error
    try:
        encoded = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StudyError(f"{name} holds a date, NaN or infinity", hint="write dates as text, and finite numbers") from error
    try:
        return Study.model_validate_json(encoded)
    except ValidationError as error:
        raise StudyError(_explain(error, text, name)) from error


def _explain(error: ValidationError, text: str, name: str) -> str:
    lines = key_lines(text)
    problems = error.errors(include_url=False)
    head = f"{name} has {len(problems)} problem{'s' if len(problems) > 1 else ''}:"
    return "\n".join([head, *(f"  {_problem(problem, lines)}" for problem in problems)])


def _problem(problem: ErrorDetails, lines: dict[tuple[str | int, ...], int]) -> str:
    path = tuple(problem["loc"])
    shown = ".".join(str(part) for part in path) or "the study"
    line = line_of(path, lines)
    where = f"line {line}, {shown}" if line else shown
    return f"{where}: {_sentence(problem, path)}"


def _sentence(problem: ErrorDetails, path: tuple[str | int, ...]) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden" and (renamed := RENAMED.get(path)):
        return f"this setting is now called {renamed}: write {renamed} in its place"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), known_keys(path[:-1]), 1, 0.5)
        known = ", ".join(sorted(known_keys(path[:-1])))
        return f"unknown key; {f'did you mean {near[0]}?' if near else f'the known keys are {known}'}"
    if kind == "missing":
        return "missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message
    return f"{message[0].lower()}{message[1:]}; found {str(problem['input'])[:80]!r}"


def known_keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `path` may hold."""
    model: Any = Study
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = _section_in(field.annotation) if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _section_in(annotation: Any) -> Any:
    """The section class inside an annotation such as `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _section_in(inner)) is not None:
            return found
    return None
