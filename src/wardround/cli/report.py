"""wardround report RUN: the report and model card of a run, made again from its record."""

from pathlib import Path
from typing import Annotated

import typer

from wardround.values.errors import RunError


def report(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    to: Annotated[Path | None, typer.Option(help="Where to write (default: the run folder).")] = None,
    without_hospitals: Annotated[
        bool, typer.Option("--shareable", help="Leave out the exact figures of single hospitals, and all unpaid ones.")
    ] = False,
) -> None:
    """Write report.html and model_card.md from a run's record."""
    from wardround.evidence.model_card import write_model_card
    from wardround.evidence.report import write_report
    from wardround.evidence.shareable import shareable
    from wardround.hub.artifacts import CARD, RECORD, REPORT
    from wardround.study.record.run_record import RunRecord

    path = run / RECORD
    if not path.is_file():
        raise RunError(
            f"{run} holds no finished run",
            expected=RECORD,
            hint="finish it with the same command and --resume, or check the path",
        )
    record = RunRecord.from_json(path.read_bytes(), name=str(path))
    folder = to or run
    folder.mkdir(parents=True, exist_ok=True)
    page, card = folder / REPORT, folder / CARD
    if without_hospitals:
        record, page, card = shareable(record), _beside(page), _beside(card)
    write_report(record, page)
    write_model_card(record, card)
    typer.echo(f"Wrote {page} and {card}")


def _beside(path: Path) -> Path:
    """report.html -> report_shareable.html, so that the two are not mistaken for each other."""
    return path.with_stem(f"{path.stem}_shareable")
