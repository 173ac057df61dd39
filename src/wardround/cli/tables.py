"""Tables that end a run: who gained what, what was saved."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wardround.evidence.convergence import convergence
from wardround.evidence.curves import whose_model
from wardround.evidence.privacy_words import promised
from wardround.evidence.text import reasons_at_home, trained_on
from wardround.hub.artifacts import made
from wardround.simulation.comparing import left_out_of
from wardround.simulation.run import Run
from wardround.simulation.site_logs import numbers_notes
from wardround.study.record.evaluation_record import Evaluation
from wardround.study.record.left_out_record import Turns
from wardround.study.record.run_record import RunRecord
from wardround.tasks.protocol import Words
from wardround.tasks.registry import task_of_record


def show_run(run: Run, *, verbose: bool = False) -> None:
    """The result of a run, for a person. verbose: also how long it took, and where each hospital's folder is."""
    console = Console()
    record = run.record
    if _had_ended_before(run):
        console.print(f"This run was finished already: nothing was {_DONE[record.evaluated is None]} again.", highlight=False)
    task = task_of_record(record.study_toml)
    words, left_out = task.words, left_out_of(record, run.folder)
    if record.synthetic:
        console.print("[bold]The data of this run are synthetic: made by a program, of no patient.[/bold]")
    if record.pooled is not None:
        pooled = record.pooled
        whose = whose_model(record)
        console.print(_fitting(console, lambda between: _pooled_table(whose, pooled.federated, pooled.own, words, between)))
    for name, evaluation in record.external.items():
        figures = _measured(evaluation, words)
        console.print(f"External test set {name} ({trained_on(record, name)}): {figures}", highlight=False)
    if left_out:
        console.print(_fitting(console, lambda between: _left_out_table(left_out, words, between)))
    if run.own_records:
        console.print(_of_own_questions(run), highlight=False)
    else:
        console.print(_fitting(console, lambda between: _hospitals_table(record, words, between)))
    for site, reason in reasons_at_home(record, task).items():
        console.print(f"{escape(site)}: {reason}.", highlight=False)
    if record.evaluated is None:
        console.print(convergence(record, task).sentence, highlight=False)
    if record.privacy is not None:
        for sentence in promised(record, record.privacy):
            console.print(sentence, highlight=False)
    for note in numbers_notes(run.folder):
        console.print(f"[yellow]{escape(note)}[/yellow]", highlight=False)
    console.print(f"\nSaved in {run.folder}:", highlight=False)
    for path in made(run.folder):
        console.print(f"  {path.name}", highlight=False)
    if verbose:
        console.print("  sites/NAME/    each hospital's memory, report and log.ndjson", highlight=False)
        console.print(f"It took {run.metrics['seconds']:.1f} s.", highlight=False)


def _of_own_questions(run: Run) -> str:
    """Where the figures are of a run whose hospitals keep questions of their own: each in its own folder."""
    lines = [f"  {escape(name)}: sites/{escape(name)}/report.html" for name in run.own_records]
    return "\n".join(["Each hospital has a question of its own, and its figures in a report of its own:", *lines])


_DONE = {True: "trained", False: "evaluated"}
"""What a run did, by whether it trained."""


def _had_ended_before(run: Run) -> bool:
    """Whether the record is older than the command. Its time is cut to whole seconds."""
    began = datetime.now(UTC) - timedelta(seconds=run.metrics["seconds"])
    finished = run.record.finished
    return finished is not None and datetime.fromisoformat(finished) + timedelta(seconds=1) < began


def _hospitals_table(record: RunRecord, words: Words, between: str) -> Table:
    """patients, records: of the whole hospital; the figures are of its test patients. What says nothing has no column: records
    where each patient has one, own models where none was trained."""
    if any(site.personal is not None for site in record.sites.values()):
        return _choice_table(record, words, between)
    beside = any(site.own is not None for site in record.sites.values())
    several = any(site.images != site.patients for site in record.sites.values())
    alone = "The federated model" if record.evaluated is None else "The evaluated model"
    title = "Each hospital's own model and the federated model" if beside else alone
    table = Table(title=f"{title}, on {'its' if beside else 'each hospital’s'} held-out patients")
    table.add_column("hospital", overflow="fold")
    models = ("own ", "federated ") if beside else ("",)
    figures = [f"{whose}{words.in_text[key]}" for key in reversed(words.compared) for whose in models]
    for heading in ("patients", *["records"] * several, *figures):
        _add_figures(table, heading, between)
    for name, site in record.sites.items():
        tested = (site.own, site.federated) if beside else (site.federated,)
        shown = [_figure(one, key) for key in reversed(words.compared) for one in tested]
        table.add_row(name, str(site.patients), *[str(site.images)] * several, *shown)
    return table


def _choice_table(record: RunRecord, words: Words, between: str) -> Table:
    """The headline alone: three models by every figure are more than 80 columns hold. The report has the others."""
    headline = words.compared[0]
    table = Table(title="Own, federated and chosen model, on the hospital's held-out patients")
    table.add_column("hospital", overflow="fold")
    for heading in ("patients", *(f"{whose} {words.in_text[headline]}" for whose in ("own", "federated", "chosen"))):
        _add_figures(table, heading, between)
    table.add_column("chosen", no_wrap=True)
    for name, site in record.sites.items():
        choice = site.personal
        tested = (site.own, site.federated, None if choice is None else choice.test)
        shown = [_figure(one, headline) for one in tested]
        table.add_row(name, str(site.patients), *shown, "–" if choice is None else choice.chosen)
    return table


def _pooled_table(whose: str, federated: Evaluation, own: dict[str, Evaluation], words: Words, between: str) -> Table:
    """The headline stands last, with its interval."""
    table = Table(title="All hospitals' held-out patients together")
    table.add_column("model", overflow="fold")
    for key in reversed(words.compared):
        _add_figures(table, words.in_text[key], between)
    table.add_column("95 % interval", no_wrap=True)
    headline = words.compared[0]
    for name, evaluation in {whose: federated, **{f"{site} alone": one for site, one in own.items()}}.items():
        table.add_row(name, *(_figure(evaluation, key) for key in reversed(words.compared)), _interval(evaluation, headline))
    return table


def _left_out_table(left_out: Turns, words: Words, between: str) -> Table:
    """The others' model on the held-out patients of the hospital that did not train."""
    table = Table(title="At a hospital it has never seen: trained without it, tested at it")
    table.add_column("hospital left out", overflow="fold")
    for key in reversed(words.compared):
        _add_figures(table, words.in_text[key], between)
    table.add_column("95 % interval", no_wrap=True)
    for site, turn in left_out.items():
        figures = (_figure(turn.evaluation, key) for key in reversed(words.compared))
        table.add_row(site, *figures, _interval(turn.evaluation, words.compared[0]))
    return table


def _fitting(console: Console, table_with: Callable[[str], Table]) -> Table:
    """The table with what stands between the words of its headings: a blank, or where that is too wide a line break."""
    table = table_with(" ")
    width = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    return table if width <= console.width else table_with("\n")


def _add_figures(table: Table, title: str, between: str) -> None:
    """A column whose heading and figures are never cut: the names in the first column make room, on several lines."""
    table.add_column(title.replace(" ", between), justify="right", no_wrap=True)


def _measured(evaluation: Evaluation, words: Words) -> str:
    """The figures that models are compared by, the headline last and with its interval."""
    figures = ", ".join(f"{words.in_text[key]} {_figure(evaluation, key)}" for key in reversed(words.compared))
    interval = _interval(evaluation, words.compared[0])
    return f"{figures} (95 % interval {interval})" if interval else figures


def _interval(evaluation: Evaluation, key: str) -> str:
    interval = evaluation.intervals.get(key)
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def _figure(evaluation: Evaluation | None, key: str) -> str:
    value = None if evaluation is None else evaluation.values.get(key)
    return "–" if value is None else f"{value:.3f}"
