"""The kind of a model's question, one line each."""

from collections.abc import Callable

from wardround.clinic.kinds.classes import ClassesKind
from wardround.clinic.kinds.count import CountKind
from wardround.clinic.kinds.findings import FindingsKind
from wardround.clinic.kinds.grades import GradesKind
from wardround.clinic.kinds.number import NumberKind
from wardround.clinic.kinds.protocol import Kind
from wardround.clinic.kinds.time import TimeKind
from wardround.study.label import BINARY, LabelContract
from wardround.values.errors import RunError

KINDS: dict[str, Callable[[LabelContract], Kind]] = {
    "classes": ClassesKind,
    "grades": GradesKind,
    "findings": FindingsKind,
    "number": NumberKind,
    "count": CountKind,
    "time": TimeKind,
}


def kind_of(label: LabelContract) -> Kind | None:
    """What a kind of question says at the bedside; None of a yes or no, which has parts of its own. RunError where the clinic
    does not know the kind."""
    if label.kind == BINARY.name:
        return None
    if label.kind not in KINDS:
        raise RunError(
            f'The clinic does not answer questions of kind = "{label.kind}"',
            expected=f"one of {', '.join(sorted([BINARY.name, *KINDS]))}",
            hint="ask it with wardround predict",
        )
    return KINDS[label.kind](label)
