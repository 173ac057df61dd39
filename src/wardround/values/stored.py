"""Frozen dataclasses as the header and the arrays of a file, and back. Every field is written: none can be forgotten.

    value --head_of--> JSON of all fields but arrays      --value_of--> an equal value
          --stored_arrays--> "field/part/name" -> array

A field of arrays is declared as `StoredTree` or `StoredBundle`; everything else must be what JSON can hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import BeforeValidator, GetPydanticSchema, PlainSerializer, TypeAdapter, ValidationError
from pydantic_core import core_schema

from wardround.values.tensor_file import arrays_of, bundle_in
from wardround.values.tree import Bundle, Tree

Value = TypeVar("Value")
_AS_IT_IS = GetPydanticSchema(lambda _source, _handler: core_schema.any_schema())


@dataclass(frozen=True)
class _Arrays:
    """How a field holds arrays: as one tree, or as a bundle of them."""

    tree: bool
    optional: bool = False


StoredTree = Annotated[Tree, _AS_IT_IS, _Arrays(tree=True)]
StoredBundle = Annotated[Bundle, _AS_IT_IS, _Arrays(tree=False)]
SecretBytes = Annotated[bytes, PlainSerializer(bytes.hex), BeforeValidator(lambda value: _unhex(value))]
"""Bytes that a header holds as hexadecimal digits."""


def _unhex(value: object) -> object:
    return bytes.fromhex(value) if isinstance(value, str) else value


def head_of(value: object) -> dict[str, Any]:
    """All fields but arrays, as JSON holds them."""
    kind: Any = type(value)
    marks = _array_fields(kind)
    head: dict[str, Any] = _adapter(kind).dump_python(value, mode="json", exclude=set(marks))
    # An empty bundle and none are different things, and neither leaves an array behind.
    return head | {name: getattr(value, name) is not None for name, mark in marks.items() if mark.optional}


def stored_arrays(value: object) -> Tree:
    """The arrays of all fields that hold any, by names that `value_of` reads back."""
    kind: Any = type(value)
    held = {name: (mark, getattr(value, name)) for name, mark in _array_fields(kind).items()}
    return arrays_of({name: {"": arrays} if mark.tree else arrays or {} for name, (mark, arrays) in held.items()})


def value_of(kind: type[Value], head: Mapping[str, Any], arrays: Tree | None = None) -> Value:
    """The value that was written. ValueError where fields are missing, unknown or of another kind."""
    declared: Any = kind
    fields: dict[str, Any] = {}
    for name, mark in _array_fields(declared).items():
        bundle = bundle_in(arrays or {}, name)
        fields[name] = bundle.get("", {}) if mark.tree else bundle if head.get(name, True) else None
    if unknown := head.keys() - get_type_hints(declared).keys():
        raise ValueError(f"fields that this release does not know: {', '.join(sorted(unknown))}")
    try:
        value: Value = _adapter(declared).validate_python({**head, **fields})
    except ValidationError as error:
        raise ValueError(str(error.errors(include_url=False, include_input=False)[0]["msg"])) from error
    return value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _array_fields(kind: Any) -> dict[str, "_Arrays"]:
    """The fields of a class that hold arrays; `StoredBundle | None` is an optional one."""
    marks: dict[str, _Arrays] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for choice in (hint, *get_args(hint)):
            for mark in _marks(choice):
                marks[name] = replace(mark, optional=choice is not hint)
    return marks


def _marks(hint: Any) -> list["_Arrays"]:
    return [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, _Arrays)]
