"""The study reference, as Markdown, from the declaration itself: it cannot say what the program does not do."""

import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from wardround.study.declaration import Study
from wardround.study.run_settings import RunSettings, SiteSettings

_HEAD = """# Study reference

Every setting of a study file, section by section. This page is generated from the program: `wardround study reference`.

A setting with a default may be left out, and so may a section that says so. A key that is not listed here is an error.
Where a type names a range, both ends are allowed unless it says "above" or "below". A heading in double brackets, such as
`[[data.columns]]`, may be written several times: each is one entry of a list.
"""
_RUN_HEAD = """# The run file

What only the machine that starts a run needs. Nobody else has to agree to it: it is no part of the study and not in its hash.
`wardround simulate STUDY.toml` reads `STUDY.run.toml` beside it, if it is there, or what `--run` names. Flags win over the file.
All of it may be left out.
"""
_SITE_HEAD = """# The site file

What only one hospital's machine needs: its `site.toml`. It is no part of the study either, so a hospital can use its graphics
card without a new study. It is read by `wardround.site.config.SiteConfig.from_toml`.
"""
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_NUMBERS = ("no", "one", "two", "three", "four")


def reference() -> str:
    """The whole page. tests/docs holds docs/study-reference.md to it."""
    study = _section(Study, "", "", required=True)
    return "\n".join([_HEAD, *study, _RUN_HEAD, *_body(RunSettings, ""), _SITE_HEAD, *_body(SiteSettings, "")]).rstrip() + "\n"


def _section(model: type[BaseModel], name: str, description: str, *, required: bool) -> list[str]:
    need = "Required." if required else "May be left out."
    return [
        f"## `[{name}]`" if name else "## The top of the file",
        "",
        f"{_first(model) or description} {need if name else ''}".strip(),
        "",
        *_body(model, name),
    ]


def _body(model: type[BaseModel], name: str) -> list[str]:
    """The table of a section's settings, and the sections below it."""
    lines: list[str] = []
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
            shown = f"[{below}]" if listed else below
            lines += _section(inner, shown, field.description or "", required=field.is_required())
    return lines


def _row(key: str, field: FieldInfo) -> str:
    schema: dict[str, Any] = {"description": field.description or ""}
    if callable(field.json_schema_extra):
        field.json_schema_extra(schema)  # what the algorithms say of themselves
    words = ", ".join(map(_toml, schema["enum"])) if "enum" in schema else _type_words(field.annotation)
    kind = ", ".join(filter(None, (words, _range_words(field.metadata))))
    cells = (f"`{key}`", kind, _default(field), " ".join(schema["description"].split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "empty"
    if field.default is None:
        return "not set"
    return _toml(field.default)


def _toml(value: Any) -> str:
    """A value as it would stand in a study file."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value!r}`".replace("'", '"')


def _type_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(_toml(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return _either([_type_words(part) for part in arguments if part is not type(None)])
    if origin is tuple:
        return _list_words(arguments)
    if origin is dict:
        return f"table: {_type_words(arguments[0])} = {_type_words(arguments[1])}"
    if hasattr(annotation, "__metadata__"):
        return _type_words(annotation.__origin__)
    return _WORDS.get(annotation, str(annotation))


def _list_words(arguments: Sequence[Any]) -> str:
    element = _type_words(arguments[0])
    if arguments[-1] is not Ellipsis:
        return f"list of {_NUMBERS[len(arguments)]}: {element}"
    return f"list of: {element}"


def _either(parts: list[str]) -> str:
    """Simple types first, so that "text, or list of: text or whole number" cannot be misread."""
    ordered = sorted(parts, key=lambda part: part.startswith("list"))
    return (", or " if ordered[-1].startswith("list") else " or ").join(ordered)


def _range_words(metadata: Sequence[Any]) -> str:
    """ "0 to 1", "above 0, at most 10", from the constraints that pydantic keeps for a field."""
    ends = {name: getattr(part, name) for part in metadata for name in ("ge", "gt", "le", "lt") if hasattr(part, name)}
    step = next((part.multiple_of for part in metadata if hasattr(part, "multiple_of")), None)
    if "ge" in ends and "le" in ends:
        words = f"{_plain(ends['ge'])}" if ends["ge"] == ends["le"] else f"{_plain(ends['ge'])} to {_plain(ends['le'])}"
    else:
        leads = {"ge": "from", "gt": "above", "le": "at most", "lt": "below"}
        words = ", ".join(f"{leads[name]} {_plain(ends[name])}" for name in leads if name in ends)
    return f"{words}, a multiple of {step}" if step and words else words


def _plain(end: float) -> str:
    """
    >>> _plain(604800.0), _plain(2**53), _plain(0.001)
    ('604800', '2^53', '0.001')
    """
    power = int(end).bit_length() - 1
    return f"2^{power}" if end == 2**power and power > 16 else f"{end:.12g}"


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        if (section := _inner(part)) is not None:
            return section
    return None


def _first(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())
