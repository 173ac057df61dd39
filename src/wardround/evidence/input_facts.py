"""What goes into a model and what comes out, as rows of the model card: the statement that the model's files hold, in words."""

from wardround.study.contract import ColumnContract, DataContract
from wardround.study.reading import parse_study
from wardround.study.record.run_record import RunRecord
from wardround.study.sections.molecule import DESCRIPTORS, MoleculeContract
from wardround.tasks.registry import task_of_label
from wardround.values.errors import StudyError


def input_facts(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """Name and value; nothing where the record has no model, or holds a study that this version cannot read."""
    if record.model is None:
        return ()
    try:
        data = parse_study(record.study_toml).data if record.fit is None else record.fit.data
    except StudyError:
        return ()
    words = task_of_label(data.label).words
    decision = record.model.threshold
    cuts = decision if isinstance(decision, tuple) else () if decision is None else (decision,)
    decided = tuple((name, f"{cut:.6g}") for (_, name), cut in zip(words.thresholds, cuts, strict=False))
    source = "synthetic data" if record.synthetic else "data that its hospitals gave as real"
    inputs = {"image": _image, "table": _columns, "molecule": _molecule}[data.kind](data)
    return (("Output", words.output_of(decision)), *decided, *data.label.sides, ("Trained on", source), *inputs)


def _image(data: DataContract) -> tuple[tuple[str, str], ...]:
    height, width = data.image.size
    colour = "grey" if data.image.channels == 1 else "three channels"
    return (("Input", f"images of {height} x {width} pixels, {colour}, {data.image.kept_bits} bits, {data.image.fit}"),)


def _molecule(data: DataContract) -> tuple[tuple[str, str], ...]:
    return (("Input", fingerprint_words(data.molecule_rules)),)


def fingerprint_words(rules: MoleculeContract) -> str:
    """What a model reads of a molecule."""
    beside = f" and {len(DESCRIPTORS)} descriptors" if rules.descriptors else ""
    return f"the Morgan fingerprint of the parent compound, radius {rules.radius}, {rules.bits} {rules.values}{beside}"


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
