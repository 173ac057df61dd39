"""Frozen dataclasses as the header and the arrays of a file, and back. Every field is written: none can be forgotten.

    value --head_of--> JSON of all fields but arrays      --value_of--> an equal value
          --stored_arrays--> "field/part/name" -> array

A field of arrays is declared as `StoredTree` or `StoredBundle`; everything else must be what JSON can hold.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import core_schema

from wardround.values.tensor_file import arrays_of, bundle_in
from wardround.values.tree import Bundle, Tree

Value = TypeVar("Value")
_AS_IT_IS = GetPydanticSchema(lambda _source, _handler: core_schema.any_schema())
_TREE, _BUNDLE = "a tree of arrays", "a bundle of arrays"
StoredTree = Annotated[Tree, _AS_IT_IS, _TREE]
StoredBundle = Annotated[Bundle, _AS_IT_IS, _BUNDLE]


def head_of(value: object) -> dict[str, Any]:
    """All fields but arrays, as JSON holds them."""
    kind: Any = type(value)
    head: dict[str, Any] = _adapter(kind).dump_python(value, mode="json", exclude=set(_array_fields(kind)))
    return head


def stored_arrays(value: object) -> Tree:
    """The arrays of all fields that hold any, by names that `value_of` reads back."""
    kind: Any = type(value)
    bundles = {
        name: {"": getattr(value, name)} if mark == _TREE else getattr(value, name) for name, mark in _array_fields(kind).items()
    }
    return arrays_of(bundles)


def value_of(kind: type[Value], head: Mapping[str, Any], arrays: Tree | None = None) -> Value:
    """The value that was written. ValueError where fields are missing, unknown or of another kind."""
    fields: dict[str, Any] = {}
    declared: Any = kind
    for name, mark in _array_fields(declared).items():
        bundle = bundle_in(arrays or {}, name)
        fields[name] = bundle.get("", {}) if mark == _TREE else bundle
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
def _array_fields(kind: Any) -> dict[str, str]:
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: mark
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, str) and mark in (_TREE, _BUNDLE)
    }
