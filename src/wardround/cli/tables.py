"""Tables that end a run: who gained what, what was saved, what to try next."""

from rich.console import Console
from rich.table import Table

from wardround.evidence.privacy_words import promised
from wardround.evidence.text import trained_on
from wardround.hub.artifacts import made
from wardround.simulation.run import Run
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.run_record import RunRecord
from wardround.tasks.protocol import Words
from wardround.tasks.registry import task_of_record


def show_run(run: Run) -> None:
    """The result of a run, for a person."""
    console = Console()
    record = run.record
    if record.synthetic:
        console.print("[bold]The data of this run are synthetic: made by a program, of no patient.[/bold]")
    console.print(_hospitals_table(record))
    console.print(_pooled_line(record), highlight=False)
    for name, found in record.external.items():
        console.print(f"External test set {name} ({trained_on(record, name)}): {_measured(record, found)}", highlight=False)
    if record.privacy is not None:
        for sentence in promised(record, record.privacy):
            console.print(sentence, highlight=False)
    console.print(f"\nSaved in {run.folder}:", highlight=False)
    for path in made(run.folder):
        console.print(f"  {path.name}", highlight=False)


def _hospitals_table(record: RunRecord) -> Table:
    table = Table(title="Each hospital's own held-out patients")
    table.add_column("hospital")
    words = _words_of(record)
    figures = [f"{whose} {words.in_text[key]}" for key in reversed(words.compared) for whose in ("own", "federated")]
    for title in ("patients", "images", *figures):
        table.add_column(title, justify="right")
    for name, site in record.sites.items():
        table.add_row(
            name,
            str(site.patients),
            str(site.images),
            *(_figure(one, key) for key in reversed(words.compared) for one in (site.own, site.federated)),
        )
    return table


def _pooled_line(record: RunRecord) -> str:
    if record.pooled is None:
        return ""
    lines = [f"All hospitals' held-out patients together, federated model: {_measured(record, record.pooled.federated)}"]
    lines += [f"  model of {name} alone: {_measured(record, found)}" for name, found in record.pooled.own.items()]
    return "\n".join(lines)


def _measured(record: RunRecord, found: Evaluation) -> str:
    """The figures that models are compared by, the headline last and with its interval."""
    words = _words_of(record)
    figures = ", ".join(f"{words.in_text[key]} {_figure(found, key)}" for key in reversed(words.compared))
    return figures + _interval(found, words.compared[0])


def _words_of(record: RunRecord) -> Words:
    return task_of_record(record.study_toml).words


def _interval(found: Evaluation, key: str) -> str:
    interval = found.intervals.get(key)
    return f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""


def _figure(found: Evaluation | None, key: str) -> str:
    value = None if found is None else found.values.get(key)
    return "–" if value is None else f"{value:.3f}"
