"""wardround predict MODEL PATH: a finished model's answers for records."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wardround.prediction.answers import Prediction


def predict(
    model: Annotated[str, typer.Argument(help="A run folder, a model.onnx, or a model or run in the registry.")],
    path: Annotated[str, typer.Argument(help="The records: any source that the model's contract accepts; labels optional.")],
    mapping: Annotated[
        Path | None, typer.Option(help="The hospital's own mapping (wardround data map), for a table. Its label may be absent.")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help="A hospital's own threshold (its report.json, `thresholds`), a probability, in place of the model's; of several "
            "findings FINDING=PROBABILITY, once for each."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the CSV to this file (default: print it).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of the CSV.")] = False,
    registry: Annotated[
        str | None, typer.Option("--registry", help="The registry: a folder or a database URL (default: this user's).")
    ] = None,
) -> None:
    """Give a finished model's answer for each record, in the order of the source, as CSV."""
    from wardround.prediction.answers import predict as ask
    from wardround.values.durable import require_apart, sweep, write_atomic

    if out is not None:
        require_apart(out, path, model, mapping)
    prediction = ask(model, path, registry=registry, mapping=mapping, threshold=_thresholds(threshold or []))
    if out is not None:
        sweep(out.parent, out.name)
        write_atomic(out, prediction.to_csv().encode(), private=True)  # it may hold patients' names
    if as_json:
        typer.echo(json.dumps(_as_json(prediction)))
    elif out is None:
        typer.echo(prediction.to_csv(), nl=False)
    for sentence in _remarks(prediction, out):
        typer.echo(sentence, err=True)


def _thresholds(written: list[str]) -> "float | dict[str, float] | None":
    """One number, or finding -> number. RunError where a word is neither."""
    from wardround.values.errors import RunError

    try:
        if len(written) == 1 and "=" not in written[0]:
            return float(written[0])
        named = dict(one.rsplit("=", 1) for one in written)
        if len(named) < len(written):
            raise ValueError
        return {name.strip(): float(number) for name, number in named.items()} or None
    except ValueError as error:
        raise RunError(
            "A threshold is one probability, or FINDING=PROBABILITY once for each finding",
            found=" ".join(written),
            hint="write --threshold 0.43, or --threshold effusion=0.43",
        ) from error


def _as_json(prediction: "Prediction") -> dict[str, Any]:
    statement = prediction.statement
    return {
        "study_title": statement.study_title,
        "study_hash": statement.study_hash,
        "synthetic": statement.synthetic,
        "output": statement.output,
        "threshold": prediction.threshold,
        "left_out": prediction.records.left_out,
        "answers": prediction.table,
    }


def _remarks(prediction: "Prediction", out: Path | None) -> list[str]:
    sentences = [f"Wrote {len(prediction)} answers to {out}"] if out is not None else []
    if prediction.records.left_out:
        sentences.append(f"{prediction.records.left_out} records got no answer, as the contract says")
    if prediction.statement.synthetic:
        sentences.append("The model learned from synthetic data: its answers say nothing of people")
    return sentences
