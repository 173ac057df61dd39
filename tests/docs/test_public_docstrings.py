"""The public names are documented where an editor looks: in their docstrings, in NumPy style."""

import inspect
import re
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from pydantic import BaseModel

import wardround as wr

PUBLIC = sorted(set(wr.__all__) - {"__version__"})
FUNCTIONS = [name for name in PUBLIC if inspect.isfunction(getattr(wr, name))]
VALUES = [name for name in PUBLIC if inspect.isclass(getattr(wr, name))]


def sections(text: str) -> dict[str, str]:
    """The text under each underlined title, by title."""
    parts = re.split(r"^(\w+)\n-{3,}$", inspect.cleandoc(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> set[str]:
    """The names that a section explains: `a`, or `a, b` for two of them."""
    return {
        name for line in section.splitlines() if line[:1].strip() for name in re.split(r"\s*,\s*", line.split(":")[0].strip())
    }


def fields_of(kind: Any) -> set[str]:
    if issubclass(kind, BaseModel):
        return set(kind.model_fields)
    if is_dataclass(kind):
        return {each.name for each in fields(kind)}
    return set(inspect.signature(kind).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_explains_every_parameter_its_result_and_its_errors(name: str) -> None:
    """A new keyword that nobody documented does not exist for its users."""
    function = getattr(wr, name)
    told = sections(function.__doc__)
    assert entries(told["Parameters"]) == set(inspect.signature(function).parameters)
    assert told["Returns"].strip() and told["Raises"].strip()


@pytest.mark.parametrize("name", VALUES)
def test_a_class_explains_every_field(name: str) -> None:
    """What `help(wr.Study)` leaves out has to be looked up in the source."""
    kind = getattr(wr, name)
    told = sections(kind.__doc__)
    explained = entries(told.get("Parameters", "") + told.get("Attributes", ""))
    assert fields_of(kind) <= explained
    assert all(hasattr(kind, other) for other in explained - fields_of(kind)), "a field that is gone"


def test_every_public_name_is_a_function_or_a_class() -> None:
    """A name of another kind would be held by neither test above."""
    assert sorted(FUNCTIONS + VALUES) == PUBLIC
