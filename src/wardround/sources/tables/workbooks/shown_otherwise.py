"""What a column's formats show beside its numbers, where a person reads something else than the program."""

from collections.abc import Callable, Iterator, Sequence

from wardround.sources.places import PLACES_KEPT, Place
from wardround.sources.read_result import Level, Problem
from wardround.sources.tables.workbooks.number_formats import NumberFormat

IN_THOUSANDS = "shown-in-thousands"
"""With the column behind it. A mapping with a factor settles it."""


def shown_otherwise(column: str, looks: Sequence[tuple[int, NumberFormat]]) -> Iterator[Problem]:
    """Problems of a column, given the line of each number that is shown otherwise than it is read."""

    def problem(level: Level, code: str, text: str, hint: str, chosen: Callable[[NumberFormat], object]) -> Iterator[Problem]:
        lines = [line for line, look in looks if chosen(look)]
        places = tuple(Place(line=line, column=column) for line in lines[:PLACES_KEPT])
        if lines:
            yield Problem(level, f"{code}:{column}", f"Column {column!r} has {text}", hint, len(lines), places)

    yield from problem(
        "warning", IN_THOUSANDS, "numbers that the spreadsheet shows divided by a thousand or a million, and that are read whole",
        "where the contract means what is shown, write a mapping with wardround data map, and in it factor = 0.001 (of millions "
        "0.000001); else nothing is to be done",
        lambda look: look.thousandths,
    )  # fmt: skip
    yield from problem(
        "warning", "shown-as-nothing", "numbers that the spreadsheet does not show, and that are read like all others",
        "give the cells the format General, and look at them; where they mean that nothing was measured, delete them",
        lambda look: look.hidden,
    )  # fmt: skip
    units = {look.unit for _, look in looks if look.unit}
    if len(units) > 1:
        yield from problem(
            "error", "shown-in-units", "numbers to which the spreadsheet adds several units, which are not part of them",
            "write the unit of each row into a column of its own, and in a mapping (wardround data map) unit_column and units; "
            "or bring all of them to one unit",
            lambda look: look.unit,
        )  # fmt: skip
