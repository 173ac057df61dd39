"""wardround site ledger | go-on."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardround.cli.site.homes import HomeOption, offers_of, site_folder, site_home

if TYPE_CHECKING:
    from wardround.privacy.events import Event
    from wardround.privacy.ledger.ledger import Balance, Ledger

WEAK, LARGE_DELTA = 0.99, 1e-3
"""A guess that is right so often, and such a delta, are told when a budget is set."""
SHOWN_LETTERS = 12


def ledger(
    path: Annotated[Path, typer.Argument(help="The ledger's file; or the name of a registered data set's ledger.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger as JSON.")] = False,
    epsilon: Annotated[float | None, typer.Option(help="Set the budget: epsilon. Needs --delta.")] = None,
    delta: Annotated[float | None, typer.Option(help="Set the budget: delta. Needs --epsilon.")] = None,
    unit: Annotated[str, typer.Option(help="Whose budget is set: patient or site.")] = "patient",
    close: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Give back the room that a study keeps unused; its first letters do.")
    ] = None,
    accept_restored: Annotated[
        bool, typer.Option("--accept-restored", help="Go on with an older or copied ledger; it then needs a new budget.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Show what was released about these patients, what it cost and what is left; set the budget."""
    from wardround.privacy.ledger.file import witness_of
    from wardround.privacy.ledger.ledger import Ledger
    from wardround.privacy.ledger.ledger import accept_restored as accept

    setting = _budget(epsilon, delta, unit)
    path = _of_data_sets(path, home)
    receipt = path.with_name(f"{path.name}.receipt")
    witness = witness_of(path)
    if not path.exists() and not receipt.exists() and not setting and not (accept_restored and witness.exists()):
        raise typer.BadParameter(f"there is no ledger at {path}; --epsilon and --delta begin one", param_hint="PATH")
    if not path.exists() and not receipt.exists():
        typer.echo(f"{path} is a new ledger", err=True)
    opened_ledger = accept(path, witness) if accept_restored else Ledger(path, begin=setting is not None, witness=witness)
    if close is not None:
        opened_ledger.close(_study_of(opened_ledger, close))
    if setting:
        opened_ledger.set_budget(*setting)
        for sentence in _warnings(*setting):
            typer.echo(f"warning: {sentence}", err=True)
    if as_json:
        typer.echo(json.dumps(_as_json(opened_ledger)))
    else:
        _show(opened_ledger)


def go_on(
    folder: Annotated[
        Path, typer.Argument(metavar="STUDY|FOLDER", help="A study of this hospital; or the folder of a simulated site.")
    ],
    look: Annotated[bool, typer.Option("--look", help="Only say why it stopped.")] = False,
    home: HomeOption = None,
) -> None:
    """Let a site answer again that had stopped until a person has looked."""
    from contextlib import closing

    from wardround.site.refusals import meaning_of
    from wardround.site.store import STATE, SiteStore
    from wardround.values.log import LOG, last_lines

    if not folder.exists() and site_folder(home).exists():
        _go_on_with_study(str(folder), home, look=look)
        return
    if not (folder / STATE).is_file():
        raise typer.BadParameter(f"there is no {STATE} in {folder}: name the folder of a site", param_hint="FOLDER")
    with closing(SiteStore(folder)) as store:
        reason = store.stopped()
        if not reason:
            typer.echo("This site has not stopped.")
            return
        typer.echo(f"This site has stopped ({reason}): {meaning_of(reason)}.\nThe end of {folder / LOG}:")
        for line in last_lines(folder, 5):
            typer.echo(f"  {line}")
        if look:
            typer.echo(f"To let it answer again: wardround site go-on {folder}")
            return
        store.go_on()
        typer.echo("It answers again.")


def _go_on_with_study(start: str, home: Path | None, *, look: bool) -> None:
    """The service has the study's folder open: it is left a note, and answers again from the next message on."""
    from wardround.site.daemon.desk import GO_ON, WORK
    from wardround.values.log import LOG, last_lines

    site = site_home(home)
    study = offers_of(site).find(start)
    folder = site.study(study) / WORK
    typer.echo(f"The end of {folder / LOG}:")
    for line in last_lines(folder, 5):
        typer.echo(f"  {line}")
    if look:
        typer.echo(f"To let it answer again: wardround site go-on {study[:12]}")
        return
    (site.study(study) / GO_ON).touch(mode=0o600)
    typer.echo("It answers again from the next message on, if it had stopped.")


def _of_data_sets(path: Path, home: Path | None) -> Path:
    """A bare name is that of a ledger of the registered data sets, where such a file is not here."""
    from wardround.site.daemon.data_sets import DataSets
    from wardround.site.daemon.examination import ledger_path

    if path.exists() or path.suffix or path.name != str(path) or not site_folder(home).exists():
        return path
    site = site_home(home)
    names = {one.ledger for one in DataSets(site.data_file).all().values()}
    return ledger_path(site.ledgers, path.name) if path.name in names else path


def _budget(epsilon: float | None, delta: float | None, unit: str) -> Any:
    """(epsilon, delta, unit) where a budget is to be set, else None. Said before anything is touched."""
    if unit not in ("patient", "site"):
        raise typer.BadParameter("patient or site", param_hint="--unit")
    if epsilon is None and delta is None:
        return None
    if epsilon is None or delta is None:
        raise typer.BadParameter("a budget is both, an epsilon and a delta", param_hint="--epsilon, --delta")
    if not 0 <= epsilon < float("inf") or not 0 < delta < 1:
        raise typer.BadParameter("epsilon is at least 0 and finite, delta lies between 0 and 1", param_hint="--epsilon, --delta")
    return epsilon, delta, unit


def _study_of(ledger: "Ledger", letters: str) -> str:
    """The one study whose name is this or begins so."""
    names = list(ledger.history())
    matching = [letters] if letters in names else [name for name in names if name.startswith(letters)]
    if len(matching) != 1:
        raise typer.BadParameter(
            f"{len(matching)} studies begin with {letters!r}: {', '.join(matching or names) or 'the ledger has none'}",
            param_hint="--close",
        )
    return matching[0]


def _warnings(epsilon: float, delta: float, unit: str) -> list[str]:
    """What a budget like this allows, where that is nearly everything. It is set all the same: the hospital decides."""
    from wardround.study.protection import guessing_words, right_guesses

    sentences = []
    if right_guesses(epsilon, 0.0) >= WEAK:
        sentences.append(f"a budget of epsilon {epsilon:g} for one {unit}. {guessing_words(epsilon, delta)}")
    if delta > LARGE_DELTA:
        sentences.append(f"delta {delta:g} is the chance that the budget fails altogether; choose it well below 1 / {unit}s")
    return sentences


def _show(ledger: "Ledger") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Studies, oldest first")
    table.add_column("study", overflow="fold")
    for title in ("status", "of each", "charged", "from", "to"):
        table.add_column(title, no_wrap=title != "of each")
    for row in _rows(ledger):
        charged = f"{row['charged']} of {row['planned']}" if row["planned"] else f"{row['charged']}"
        table.add_row(_named(row), row["status"], row["words"], charged, row["first"], row["last"])
    console = Console()
    if table.row_count:
        console.print(table)
        for name, study in ledger.history().items():
            run = f", run {study.run}" if study.run else ""
            console.print(f"{name[:SHOWN_LETTERS]}: entry {study.entry}{run}", highlight=False, soft_wrap=True)
    else:
        console.print("Nothing was charged yet.")
    for line in _lines(ledger):
        console.print(line, highlight=False, soft_wrap=True)


def _named(row: dict[str, Any]) -> str:
    """Title, and the first letters of the name: enough to close it."""
    return f"{row['title']}\n{row['study'][:SHOWN_LETTERS]}" if row["title"] else str(row["study"])


def _rows(ledger: "Ledger") -> list[dict[str, Any]]:
    """One for each study and event."""
    rows = []
    for name, study in ledger.history().items():
        for event in dict.fromkeys((*study.planned, *study.charged)):
            rows.append(
                {
                    "study": name,
                    "title": study.title,
                    "run": study.run,
                    "entry": study.entry,
                    "status": "closed" if study.closed else "open",
                    "unit": event.unit,
                    "event": event.to_json(),
                    "words": _words(event),
                    "planned": study.planned[event],
                    "charged": study.charged[event],
                    "first": study.first[:10],
                    "last": study.last[:10],
                }
            )
    return rows


def _words(event: "Event") -> str:
    noise = f"noise {event.noise_multiplier:g}" if event.private else "no noise"
    rate = f", rate {event.sampling_rate:g}" if event.sampling_rate < 1 else ""
    return f"{event.unit}, {noise}{rate}"


def _lines(ledger: "Ledger") -> list[str]:
    lines = []
    for balance in _balances(ledger):
        budget = "none is set, nothing is refused" if balance.budget is None else f"epsilon {balance.budget.epsilon:g}"
        lines.append(f"\nUnit {balance.unit}, at delta {balance.delta:g}")
        lines.append(f"  budget           {budget}")
        lines.append(f"  spent            epsilon {balance.spent:.4g}")
        lines.append(f"  with open plans  epsilon {balance.committed:.4g}")
        if balance.left is not None:
            lines.append(f"  left             epsilon {balance.left:.4g}")
        if balance.stopped:
            lines.append("  The ledger was restored: nothing is granted before --epsilon and --delta set the budget again.")
    return lines


def _balances(ledger: "Ledger") -> "list[Balance]":
    """The patients', and the site's where there is anything to tell."""
    patient, site = ledger.balance("patient"), ledger.balance("site")
    return [patient, site] if site.budget or site.committed else [patient]


def _as_json(ledger: "Ledger") -> dict[str, Any]:
    """An epsilon that is infinite is null."""
    from wardround.values.canonical import finite_or_none

    rows = [{key: value for key, value in row.items() if key != "words"} for row in _rows(ledger)]
    balances = {
        balance.unit: {
            "budget": None if balance.budget is None else {"epsilon": balance.budget.epsilon, "delta": balance.budget.delta},
            "delta": balance.delta,
            "spent": finite_or_none(balance.spent),
            "committed": finite_or_none(balance.committed),
            "left": balance.left,
            "stopped": balance.stopped,
        }
        for balance in _balances(ledger)
    }
    entries = [dataclasses.asdict(entry) for entry in ledger.entries()]
    return {"ledger": str(ledger.path), "units": balances, "studies": rows, "entries": entries}
