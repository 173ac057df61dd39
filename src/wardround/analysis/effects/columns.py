"""The columns of a design in words: the step that a coefficient is shown for, and the two public halves of its patients."""

import math
from dataclasses import dataclass

from wardround.analysis.design import Design, DesignColumn
from wardround.study.contract import DataContract


@dataclass(frozen=True)
class Feature:
    """One column of a design. step: what its reported unit is, in units of the design. cut: values of the design above it are one
    half. above, below: the halves in words."""

    name: str
    step: float
    cut: float
    above: str
    below: str


def features_of(design: Design) -> tuple[Feature, ...]:
    """Of every column, the constant first."""
    return (Feature("constant", 1.0, 0.5, "everybody", "nobody"), *(_feature(column, design.data) for column in design.columns))


def _feature(column: DesignColumn, data: DataContract) -> Feature:
    step, first = 1 / column.scale, column.factors[0]
    if len(column.factors) > 1:
        return Feature(column.name, step, 0.0, f"{column.name}: upper half of what can be", f"{column.name}: lower half")
    if first.missing:
        return Feature(column.name, step, 0.5, column.name, f"{first.column} there")
    contract = next((one for one in data.columns if one.name == first.column), None)
    if first.code is not None:
        other = f"not {column.name}"
        if contract is not None and contract.kind == "binary":
            other = f"{contract.name} = {contract.codes[0]}"
            return Feature(column.name, step, 0.5, f"{contract.name} = {contract.codes[1]}", other)
        return Feature(column.name, step, 0.5, column.name, other)
    assert contract is not None
    unit = f" {contract.unit}" if contract.unit else ""
    middle = _raw(first.center * first.step, log=first.log)
    return Feature(column.name, step, 0.0, f"{contract.name} above {middle:g}{unit}", f"{contract.name} up to {middle:g}{unit}")


def _raw(value: float, *, log: bool) -> float:
    return math.exp(value) if log else value
