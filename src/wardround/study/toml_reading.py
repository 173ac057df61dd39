"""A TOML file to a section. Every problem is named with its line and its mend, all of them at once."""

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wardround.study.positions import key_lines, line_of
from wardround.values.errors import StudyError

SIZE_LIMIT = 1 << 20
DEEPEST_KEY = 32
"""Parts of a dotted key. tomllib takes memory by the square of their number: 40 kB of dots cost 1.6 GB."""
MOST_PROBLEMS = 50
"""Problems of one file that are told."""
KeyPath = tuple[str | int, ...]
File = TypeVar("File", bound=BaseModel)


def read_text(path: Path, kind: str, hint: str) -> str:
    """The text of a small TOML file. kind: what the file is, for errors. hint: how to make one."""
    if not path.is_file():
        raise StudyError(f"There is no {kind} file at {path}", hint=hint)
    raw = path.read_bytes()
    if len(raw) > SIZE_LIMIT:
        raise StudyError(f"{path} is too large for a {kind}", expected="at most 1 MiB", found=f"{len(raw)} bytes")
    try:
        return raw.decode("utf-8-sig")  # some editors begin a file with an invisible mark
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not text", expected="UTF-8", found=f"a wrong byte at {error.start}") from error


def toml_value(text: str, name: str) -> dict[str, Any]:
    """What the TOML of `text` says. name: of the file, for errors."""
    if _deepest_key(text) > DEEPEST_KEY:
        raise StudyError(f"{name} has a key of too many parts", expected=f"at most {DEEPEST_KEY}", hint="write it shorter")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{name} is not valid TOML", found=str(error)[:500], hint="correct that line") from error
    except (ValueError, RecursionError) as error:  # a number of more digits than Python reads; lists in lists without end
        raise StudyError(f"{name} is not valid TOML", found=type(error).__name__, hint="write it simpler") from error


_NO_KEYS = re.compile(
    r"""#[^\n]*|"{3}(?:\\.|[^\\])*?(?:"{3,5}|\Z)|'{3}.*?(?:'{3,5}|\Z)|"(?:\\[^\n]|[^"\n\\])*"?|'[^'\n]*'?""", re.DOTALL
)
"""Comments and texts, also those without an end: each sign is looked at once, whatever the file holds."""
_KEY_PART = re.compile(r"[ \t]*+[A-Za-z0-9_-]*+[ \t]*+")


def _deepest_key(text: str) -> int:
    """How many parts the longest dotted key of a file has at least, without reading it as TOML."""
    deepest = parts = 1
    for piece in _NO_KEYS.sub("_", text).split(".")[1:-1]:
        parts = parts + 1 if _KEY_PART.fullmatch(piece) else 1
        deepest = max(deepest, parts)
    return deepest + 1


def read_as(
    model: type[File],
    text: str,
    name: str,
    renamed: Mapping[KeyPath, str] | None = None,
    value: dict[str, Any] | None = None,
    declared: Callable[[KeyPath], KeyPath] = lambda path: path,
) -> File:
    """The section that `text` declares. renamed: settings of earlier versions, and what they are called now.

    value: what it says, where something was written out; declared: where a setting of it stands in the text.
    """
    try:
        encoded = json.dumps(toml_value(text, name) if value is None else value, allow_nan=False)
    except RecursionError as error:
        raise StudyError(f"{name} has lists in lists without end", hint="write it simpler") from error
    except (TypeError, ValueError) as error:
        raise StudyError(f"{name} holds a date, NaN or infinity", hint="write dates as text, and finite numbers") from error
    try:
        return model.model_validate_json(encoded)
    except ValidationError as error:
        raise StudyError(_explain(model, error, text, name, renamed or {}, declared)) from error


def _explain(
    model: type[File],
    error: ValidationError,
    text: str,
    name: str,
    renamed: Mapping[KeyPath, str],
    declared: Callable[[KeyPath], KeyPath],
) -> str:
    lines = key_lines(text)
    problems = error.errors(include_url=False)
    head = f"{name} has {len(problems)} problem{'s' if len(problems) > 1 else ''}:"
    return "\n".join(
        [
            head,
            *(
                f"  {_where(declared(tuple(problem['loc'])), lines)}: {problem_sentence(model, problem, renamed)}"
                for problem in problems[:MOST_PROBLEMS]
            ),
            *([f"  and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []),
        ]
    )


def _where(path: KeyPath, lines: Mapping[KeyPath, int]) -> str:
    shown = ".".join(str(part) for part in path) or "the study"
    line = line_of(path, lines)
    return f"line {line}, {shown}" if line else shown


def problem_sentence(model: type[BaseModel], problem: ErrorDetails, renamed: Mapping[KeyPath, str]) -> str:
    """What is wrong with one setting, without its name. renamed: as for `read_as`."""
    kind, path = problem["type"], tuple(problem["loc"])
    if kind == "extra_forbidden" and path in renamed:
        return f"this setting is now called {renamed[path]}: write {renamed[path]} in its place"
    if kind == "extra_forbidden":
        allowed = known_keys(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), allowed, 1, 0.5)
        return f"unknown key; {f'did you mean {near[0]}?' if near else 'the known keys are ' + ', '.join(sorted(allowed))}"
    if kind == "missing":
        return "missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message
    return f"{message[0].lower()}{message[1:]}; found {str(problem['input'])[:80]!r}"


def known_keys(file: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that the section at `path` of a file may hold."""
    model: Any = file
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
    inner = (_section_in(part) for part in getattr(annotation, "__args__", ()))
    return next((section for section in inner if section is not None), None)
