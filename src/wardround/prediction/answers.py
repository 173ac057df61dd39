"""Answers for records: `predict` asks a model and gives a table that can be laid beside the source, row for row."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wardround.prediction.model_file import AnsweringModel, load_model
from wardround.sources import NamedRecords, network_input, open_source, prepare
from wardround.sources.preparing import RawImage, RawRow
from wardround.study.contract import DataContract
from wardround.study.record.model_statement import ModelStatement
from wardround.study.sections.evaluation import Decision
from wardround.tasks.protocol import Words
from wardround.tasks.registry import task_of_label
from wardround.values.errors import DataError, RunError

if TYPE_CHECKING:
    import polars as pl

Threshold = float | Mapping[str, float]
Asked = str | Path | RawRow | NDArray[Any] | Sequence[RawImage | RawRow]


@dataclass(frozen=True)
class Prediction:
    """Answers for n records, in the order of their source.

    Attributes
    ----------
    statement
        What the model says of itself: study, label, threshold, contract.
    records
        What the answers are for: names, patients and, where known, labels.
    scores
        Float64: what the file gives, of shape (n,), before the sigmoid, or (n, outputs) of a model with several outputs.
    columns
        What that says, by the names of the kind of question: of a yes or no `probability` and `answer` (0, 1).
    labels
        What each record's label says; None where it is unknown.
    threshold
        The model's, or the one that was asked for in its place; of several findings one of each, in their order; None where the
        question has none.
    """

    statement: ModelStatement
    records: NamedRecords
    scores: NDArray[np.float64]
    columns: Mapping[str, NDArray[Any]]
    labels: tuple[Any, ...]
    threshold: Decision

    def __len__(self) -> int:
        return len(self.records)

    @property
    def names(self) -> tuple[str, ...]:
        """Each record as its source calls it: a file, or the number of a row."""
        return tuple(self.records.names.tolist())

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Float64 of shape (n,), from 0 to 1: of a yes. RunError of a model that answers another kind of question."""
        return np.asarray(self._of_yes_or_no("probability"), np.float64)

    @property
    def answers(self) -> NDArray[np.bool_]:
        """Bool of shape (n,): at the threshold. RunError of a model that answers another kind of question."""
        return np.asarray(self._of_yes_or_no("answer"), np.bool_)

    def _of_yes_or_no(self, name: str) -> NDArray[Any]:
        if self.statement.data.label.kind != "binary":
            raise RunError(
                "The model answers no yes-or-no question",
                expected=f"its columns: {', '.join(self.columns)}",
                hint="read prediction.columns or prediction.table",
            )
        return self.columns[name]

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each record: record, patient ("" unknown), the columns of the answer, label (None unknown)."""
        columns = [column.tolist() for column in self.columns.values()]
        named = zip(self.records.names.tolist(), self.records.patients.tolist(), self.labels, *columns, strict=True)
        return [
            {"record": name, "patient": patient, **dict(zip(self.columns, answers, strict=True)), "label": label}
            for name, patient, label, *answers in named
        ]

    def to_frame(self) -> "pl.DataFrame":
        """The table as a polars DataFrame."""
        import polars as pl

        column_types: dict[str, Any] = {"f": pl.Float64, "i": pl.Int8, "U": pl.String}
        types = {name: column_types[column.dtype.kind] for name, column in self.columns.items()}
        label = next((type(label) for label in self.labels if label is not None), int)
        said = {int: pl.Int8, float: pl.Float64}.get(label, pl.String)
        return pl.DataFrame(self.table, schema={"record": pl.String, "patient": pl.String, **types, "label": said})

    def to_csv(self) -> str:
        """The table as CSV; an empty cell where a patient or a label is not known."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["record", "patient", *self.columns, "label"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.table)
        return text.getvalue()


def predict(
    model: str | Path,
    records: Asked,
    *,
    registry: str | Path | None = None,
    mapping: str | Path | None = None,
    threshold: Threshold | None = None,
) -> Prediction:
    """Ask a finished model about records.

    Parameters
    ----------
    model
        A run folder, a `model.onnx` that Wardround wrote, or a model in the registry (its hash's first letters, or its run).
    records
        A path of any source that the model's contract accepts, labels optional; one raw record (a mapping column -> value, or an
        array of pixels); or several, images also as paths or bytes.
    registry
        The registry: a folder or a database URL; by default this user's.
    mapping
        The file of the hospital's own mapping (`wardround data map`), for a table: its outcome, split and hospital may be absent.
    threshold
        A hospital's own, in place of the model's: the probability, 0 to 1, at and above which a record is called positive; of
        several findings a mapping, finding -> probability, those that it does not name as in the model.

    Returns
    -------
    Prediction
        In the order of the source. Records that the contract leaves out get no answer.

    Raises
    ------
    RunError, RegistryError
        Where there is no model that can answer.
    DataError
        Where the records are of another kind of data than the model's, or one of them breaks its contract, or the mapping does
        not fit them.

    Notes
    -----
    The answer follows the figures of the run: positive where the bin of the score (1/32 wide) is at or above the threshold's.
    """
    asked = load_model(model, registry)
    return answer(asked, _named(asked.statement.data, records, mapping), threshold)


def answer(model: AnsweringModel, records: NamedRecords, threshold: Threshold | None = None) -> Prediction:
    """The answers of a model that was loaded before; at its own threshold where none is asked for."""
    task, own = task_of_label(model.statement.data.label), model.statement.threshold
    cut = own if threshold is None else _asked_decision(task.words, own, threshold)
    scores = model.scores(network_input(model.statement.data, records.inputs)).astype(np.float64)
    told = zip(task.said(records.labels), records.labelled.tolist(), strict=True)
    labels = tuple(label if is_known else None for label, is_known in told)
    return Prediction(model.statement, records, scores, task.answers(scores, cut), labels, cut)


def _asked_decision(words: Words, own: Decision, threshold: Threshold) -> Decision:
    """What is asked for in place of the model's own."""
    several = threshold if isinstance(threshold, Mapping) else {}
    cuts = [threshold] if not isinstance(threshold, Mapping) else list(several.values())
    shown = ", ".join(map(str, cuts))
    if own is None:
        raise RunError("The model decides by no threshold", found=shown, hint="leave the threshold out")
    if strange := [cut for cut in cuts if not 0.0 <= cut <= 1.0]:
        raise RunError("A threshold is a probability", expected="0 to 1", found=f"{strange[0]:g}", hint="write 0.43 for 43 %")
    names = [name for _, _, name in words.decisions]
    if not isinstance(own, tuple):
        if len(cuts) != 1 or several:
            raise RunError("The model has one threshold", found=f"one of {', '.join(several)}", hint="write the number alone")
        return cuts[0]
    if unknown := sorted(set(several) - set(names)) or ([] if several else [shown]):
        raise RunError(
            "The model has a threshold for each finding", expected=f"one of {', '.join(names)}", found=", ".join(unknown),
            hint=f"write {names[0]}=0.43, once for each finding that is to be judged otherwise",
        )  # fmt: skip
    return tuple(several.get(name, cut) for name, cut in zip(names, own, strict=True))


def _named(contract: DataContract, records: Asked, mapping: str | Path | None) -> NamedRecords:
    if isinstance(records, (str, Path)):
        return _source_records(contract, records, mapping)
    if mapping is not None:
        raise DataError(
            "A mapping is for a table at a path, and these are records in memory",
            expected="columns by the contract's names",
            hint="leave mapping out, or write the records to a table and name its path",
        )
    several = [records] if isinstance(records, (Mapping, np.ndarray)) else list(records)
    prepared = [prepare(contract, record) for record in several]
    if not prepared:
        raise DataError("There is no record to ask about", hint="give at least one")
    count = len(prepared)
    return NamedRecords(
        names=np.array([str(number) for number in range(1, count + 1)]),
        inputs=np.stack(prepared),
        patients=np.full(count, "", dtype="<U1"),
        labels=np.zeros(count, np.int8),
        labelled=np.zeros(count, bool),
    )


def _source_records(contract: DataContract, path: str | Path, mapping: str | Path | None) -> NamedRecords:
    if mapping is None:
        return open_source(path, contract).named()
    from wardround.sources.mapping.sections import load_mapping

    return open_source(path, contract, mapping=load_mapping(mapping)).named()
