"""A label section that names nothing. It reads no column, and knows no value."""

from wardround.study.cell_values import Value
from wardround.study.label import UNDISCLOSED, LabelContract, LabelKind, Target


def unknown(label: LabelContract, value: Value) -> Target | None:  # noqa: ARG001
    return None


def wrong(label: LabelContract) -> str | None:
    fields = type(label).model_fields
    stated = [name for name, field in fields.items() if name != "kind" and getattr(label, name) != field.default]
    if stated:
        return f'{stated[0]} says something of a question, and kind = "{UNDISCLOSED}" says nothing of any: leave it out'
    return None


def no_columns(label: LabelContract) -> tuple[str, ...]:  # noqa: ARG001
    return ()


UNDISCLOSED_KIND = LabelKind(
    UNDISCLOSED, unknown, "int8", frozenset(), wrong=wrong, columns=no_columns, knows=lambda _label, _target: False
)
