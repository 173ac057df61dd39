"""The study reference, as Markdown, from the declaration itself: it cannot say what the program does not do."""

import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from wardround.study.declaration import Study

_HEAD = """# Study reference

Every setting of a study file, in the order of the sections. This page is generated: `wardround study reference`.
A setting with a default may be left out. Unknown settings are errors.
"""


def reference() -> str:
    return "\n".join([_HEAD, *_section(Study, "", "The top of the file.")]) + "\n"


def _section(model: type[BaseModel], name: str, description: str) -> list[str]:
    shown = f"[{name}]" if name else "Top level"
    lines = [f"## {shown}", "", description or _first(model), ""]
    plain = {key: field for key, field in model.model_fields.items() if _inner(field.annotation) is None}
    if plain:
        lines += ["| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [_row(key, field) for key, field in plain.items()]
        lines.append("")
    for key, field in model.model_fields.items():
        inner = _inner(field.annotation)
        if inner is not None:
            below = f"{name}.{key}" if name else key
            listed = get_origin(field.annotation) is tuple
            lines += _section(inner, f"[{below}]" if listed else below, f"{field.description or ''} {_first(inner)}".strip())
    return lines


def _row(key: str, field: FieldInfo) -> str:
    cells = (f"`{key}`", _type_words(field.annotation), _default(field), (field.description or "").replace("\n", " "))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else ""
    if field.default is None:
        return "not set"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{list(field.default) if isinstance(field.default, tuple) else field.default!r}`".replace("'", '"')


def _type_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_words(part) for part in arguments if part is not type(None))
    if origin is tuple:
        return f"list of {_type_words(arguments[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type_words(annotation.__origin__)
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, str(annotation))


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        if (found := _inner(part)) is not None:
            return found
    return None


def _first(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())
