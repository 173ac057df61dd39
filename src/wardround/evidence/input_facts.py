"""What goes into a model and what comes out, as rows of the model card: the statement that the model's files hold, in words."""

from wardround.study.contract import ColumnContract, DataContract
from wardround.study.reading import parse_study
from wardround.study.record.model_statement import ModelStatement, statement_of
from wardround.study.record.run_record import RunRecord
from wardround.values.errors import StudyError


def input_facts(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """Name and value; nothing where the record has no model, or holds a study that this version cannot read."""
    if record.model is None:
        return ()
    try:
        study = parse_study(record.study_toml)
    except StudyError:
        return ()
    statement = statement_of(study, record.model.threshold, synthetic=record.synthetic)
    return (*_output(statement), *(_image(statement.data) if statement.data.kind == "image" else _columns(statement.data)))


def _output(statement: ModelStatement) -> tuple[tuple[str, str], ...]:
    label = statement.data.label
    return (
        ("Output", statement.output),
        ("Threshold", "none" if statement.threshold is None else f"{statement.threshold:.6g}"),
        ("Positive", _values(label.positive)),
        ("Negative", _values(label.negative)),
        ("Trained on", "synthetic data" if statement.synthetic else "data that its hospitals gave as real"),
    )


def _values(side: object) -> str:
    return side if isinstance(side, str) else ", ".join(map(str, side))  # type: ignore[call-overload]


def _image(data: DataContract) -> tuple[tuple[str, str], ...]:
    height, width = data.image.size
    colour = "grey" if data.image.channels == 1 else "three channels"
    return (("Input", f"images of {height} x {width} pixels, {colour}, {data.image.kept_bits} bits, {data.image.fit}"),)


def _columns(data: DataContract) -> tuple[tuple[str, str], ...]:
    return tuple((f"Column {column.name}", _column(column)) for column in data.columns)


def _column(column: ColumnContract) -> str:
    words = [column.kind if not column.unit else f"{column.kind} in {column.unit}"]
    if column.range is not None:
        words.append(f"{column.range[0]:g} to {column.range[1]:g}, outside: {column.outside}")
    if column.kind != "number":
        words.append(f"one of {', '.join(column.codes)}")
    words.append("may be missing" if column.max_missing > 0 else "may not be missing")
    return "; ".join(words)
