"""wardround clinic watch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption
from wardround.values.errors import StudyError

if TYPE_CHECKING:
    from wardround.clinic.place.clinic_place import ClinicPlace


def watch(
    share: Annotated[
        Path | None, typer.Option(help="Write this hospital's counts for a sum over hospitals; needs --period.")
    ] = None,
    period: Annotated[str | None, typer.Option(help="Of --share: a month or quarter that is over, 2026-10 or 2026-Q3.")] = None,
    model: Annotated[str | None, typer.Option(help="Of --share: the model, by the first letters of its hash.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, without any case or patient.")] = False,
    clinic: ClinicOption = None,
) -> None:
    """Show whether the model in service still sees the patients that it was accepted on; raises and ends alerts."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.summary import as_json as json_of
    from wardround.clinic.watch.summary import summary
    from wardround.clinic.watch.watcher import look

    home = ClinicPlace.at(clinic)
    if share is not None or period is not None or model is not None:
        _share(home, share, period, model)
        return
    with open_store(home) as store:
        drift, alerts = look(home, store)
    if as_json:
        typer.echo(json.dumps(json_of(drift, alerts)))
    else:
        typer.echo(summary(home.settings.hospital, drift, alerts))


def _share(home: "ClinicPlace", share: Path | None, period: str | None, model: str | None) -> None:
    from wardround.clinic.place.service import service_of
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.shared_counts import share_counts
    from wardround.values.canonical import canonical_json
    from wardround.values.durable import write_atomic

    if share is None or period is None:
        raise StudyError(
            "Say what to share", expected="--share FILE --period PERIOD", hint="a month or a quarter: 2026-10, 2026-Q3"
        )
    answering = service_of(home).answering
    with open_store(home) as store:
        shared = share_counts(home, store, model or (answering.model if answering else ""), period)
    write_atomic(share, canonical_json(shared.model_dump(mode="json")), private=True)
    cases = shared.now_rates[0]
    typer.echo(f"Counts of {cases} cases over public bins, of model {shared.model[:12]} in {shared.period}:\n{share}")
    if not shared.hospitals:
        typer.echo(f"There are fewer than {home.settings.watch.cases_at_least} cases: this hospital adds zeros to the sum.")
