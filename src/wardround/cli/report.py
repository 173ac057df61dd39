"""wardround report RUN: the report and model card of a run, made again from its record."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    to: Annotated[Path | None, typer.Option(help="Where to write (default: the run folder).")] = None,
    without_hospitals: Annotated[
        bool, typer.Option("--shareable", help="Leave out the exact figures of single hospitals, and all unpaid ones.")
    ] = False,
) -> None:
    """Write report.html and model_card.md from a run's record: the report alone where a model was evaluated, the card alone of a
    regression."""
    from wardround.evidence.model_card import write_model_card
    from wardround.evidence.report import write_report
    from wardround.evidence.shareable import shareable
    from wardround.hub.artifacts import CARD, REPORT
    from wardround.simulation.comparing import fitted_run, left_out_of, read_run
    from wardround.study.record.left_out_record import NO_TURNS

    if (fit := fitted_run(run)) is not None:
        folder = to or run
        folder.mkdir(parents=True, exist_ok=True)
        typer.echo(f"Wrote {write_model_card(fit, folder / CARD)}; its tables stand in {run / REPORT}")
        return
    record = read_run(run)
    left_out = left_out_of(record, run)
    folder = to or run
    folder.mkdir(parents=True, exist_ok=True)
    page, card = folder / REPORT, folder / CARD
    if without_hospitals:
        record, page, card, left_out = shareable(record), _beside(page), _beside(card), NO_TURNS
    write_report(record, page, left_out)
    if record.evaluated is not None:
        typer.echo(f"Wrote {page}")
        return
    write_model_card(record, card, left_out)
    typer.echo(f"Wrote {page} and {card}")


def _beside(path: Path) -> Path:
    """report.html -> report_shareable.html, so that the two are not mistaken for each other."""
    return path.with_stem(f"{path.stem}_shareable")
