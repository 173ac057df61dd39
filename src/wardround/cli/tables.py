"""Tables that end a run: who gained what, what was saved, what to try next."""

from rich.console import Console
from rich.table import Table

from wardround.evidence.privacy_words import promised
from wardround.evidence.text import trained_on
from wardround.hub.artifacts import made
from wardround.simulation.simulate import Run
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.run_record import RunRecord


def show_run(run: Run) -> None:
    """The result of a run, for a person."""
    console = Console()
    record = run.record
    if record.synthetic:
        console.print("[bold]The data of this run are synthetic: made by a program, of no patient.[/bold]")
    console.print(_hospitals_table(record))
    console.print(_pooled_line(record), highlight=False)
    for name, found in record.external.items():
        console.print(f"External test set {name} ({trained_on(record, name)}): {_words(found)}", highlight=False)
    if record.privacy is not None:
        for sentence in promised(record, record.privacy):
            console.print(sentence, highlight=False)
    console.print(f"\nSaved in {run.folder}:", highlight=False)
    for path in made(run.folder):
        console.print(f"  {path.name}", highlight=False)


def _hospitals_table(record: RunRecord) -> Table:
    table = Table(title="Each hospital's own held-out patients")
    table.add_column("hospital")
    for title in ("patients", "images", "own accuracy", "federated accuracy", "own AUC", "federated AUC"):
        table.add_column(title, justify="right")
    for name, site in record.sites.items():
        table.add_row(
            name,
            str(site.patients),
            str(site.images),
            _figure(site.own, "accuracy"),
            _figure(site.federated, "accuracy"),
            _figure(site.own, "auc"),
            _figure(site.federated, "auc"),
        )
    return table


def _pooled_line(record: RunRecord) -> str:
    if record.pooled is None:
        return ""
    lines = [f"All hospitals' held-out patients together, federated model: {_words(record.pooled.federated)}"]
    lines += [f"  model of {name} alone: {_words(found)}" for name, found in record.pooled.own.items()]
    return "\n".join(lines)


def _words(found: Evaluation) -> str:
    return f"accuracy {_figure(found, 'accuracy')}, AUC {_figure(found, 'auc')}{_interval(found, 'auc')}"


def _interval(found: Evaluation, key: str) -> str:
    interval = found.intervals.get(key)
    return f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""


def _figure(found: Evaluation | None, key: str) -> str:
    value = None if found is None else found.values.get(key)
    return "–" if value is None else f"{value:.3f}"
