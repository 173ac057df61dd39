"""Which cells of a column are no value: what a reader and the graph of a model file must agree on."""

from wardround.study.contract import ColumnContract, canonical_value

LARGEST = 1e30
"""A number beyond it is no measurement."""

LARGEST_SCALED = 3.4028234663852886e38
"""The largest float32, as which the network reads a number after scaling."""

ALWAYS_MISSING = frozenset({"", "nan"})


def missing_codes(column: ColumnContract) -> frozenset[str]:
    """Canonical spellings that mean "missing"."""
    return frozenset(canonical_value(code) for code in column.missing) | ALWAYS_MISSING


def left_out_codes(column: ColumnContract) -> frozenset[str]:
    """Canonical spellings for which the whole record is left out."""
    return frozenset(canonical_value(code) for code in column.left_out)
