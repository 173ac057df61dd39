"""wardround clinic drift key | plan | join | answer | sum: drift over hospitals, by files that people or a share carry."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.clinic.homes import ClinicOption
from wardround.cli.wrapping import wrapped
from wardround.values.errors import RunError, StudyError

if TYPE_CHECKING:
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.database import Store
    from wardround.clinic.watch.carried import Exchange
    from wardround.clinic.watch.drift_plan import Joined
    from wardround.clinic.watch.shared_counts import PooledDrift
    from wardround.crypto.identity import Identity
    from wardround.study.contract import DataContract
    from wardround.values.ids import SiteId

app = typer.Typer(help="Drift over hospitals, by the masked sum, over files.", no_args_is_help=True)
PlanArgument = Annotated[Path, typer.Argument(help="The lead's plan.json.")]
ExchangeOption = Annotated[Path, typer.Option("--exchange", help="The folder that is carried, or shared, between all.")]
LeadOption = Annotated[
    Path | None, typer.Option("--lead", help="The lead's folder (default: `drift` in WARDROUND_HOME).", show_default=False)
]
_POLL_S = 2.0


@app.command("key")
def key(clinic: ClinicOption = None) -> None:
    """At a hospital: print this clinic's public key, for the lead."""
    from wardround.clinic.place.clinic_place import ClinicPlace

    typer.echo(ClinicPlace.at(clinic).identity.public)


@app.command("plan")
def plan(
    model: Annotated[Path, typer.Argument(help="The model: an ONNX file, a run folder, or a name in the registry.")],
    hospitals: Annotated[list[str], typer.Option("--hospital", help="NAME=KEY of each hospital.")],
    periods: Annotated[list[str], typer.Option("--period", help="A month or quarter, 2026-10 or 2026-Q4; repeat it.")],
    out: Annotated[Path, typer.Option(help="The plan to write.")] = Path("drift.json"),
    collusion: Annotated[int, typer.Option(min=0, help="How many hospitals may help the lead, and it reads no other's.")] = 1,
    lead: LeadOption = None,
) -> None:
    """At the lead: write what all agree on. Each hospital joins it, and compares its code."""
    from pydantic import ValidationError

    from wardround.clinic.answering.network import open_network
    from wardround.clinic.watch.drift_plan import DriftPlan
    from wardround.prediction.model_file import model_bytes
    from wardround.values.canonical import sha256_hex
    from wardround.values.durable import write_atomic

    keys = dict(_named(text) for text in hospitals)
    if len(keys) != len(hospitals):
        raise StudyError("Two hospitals have one name", hint="give each its own")
    content, _ = model_bytes(str(model))
    data = open_network(content).statement.data
    identity, sha256 = _lead_identity(_lead_folder(lead)), sha256_hex(content)
    try:
        made = DriftPlan(
            lead=identity.public, hospitals=keys, model=sha256, data=data, periods=tuple(periods), collusion=collusion
        )
    except ValidationError as error:
        raise StudyError(
            "This cannot be a plan",
            found=error.errors(include_url=False)[0]["msg"],
            hint="see: wardround clinic drift plan --help",
        ) from error
    write_atomic(out, made.to_bytes())
    typer.echo(f"{out}: {len(keys)} hospitals, {len(periods)} periods, model {sha256[:12]}")
    typer.echo(f"Code, that each hospital compares: {_spaced(made.code)}")


@app.command("join")
def join(
    file: PlanArgument,
    code: Annotated[str, typer.Option(help="The plan's code, as the lead told it on another way.")] = "",
    clinic: ClinicOption = None,
) -> None:
    """At a hospital: look at a plan, and take part in it where --code says that it is the lead's."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.watch.drift_plan import DriftPlan, hospital_of
    from wardround.clinic.watch.drift_plan import join as take_part

    home, shown = ClinicPlace.at(clinic), DriftPlan.read(file)
    name, quorum = hospital_of(home, shown), shown.sums.approved.quorum
    for line in (
        f"This clinic is {name}, one of {len(shown.hospitals)}: {', '.join(sorted(shown.hospitals))}",
        f"Model {shown.model[:12]}; periods {', '.join(shown.periods)}",
        f"Added up, by the masked sum: cases in public bins of {', '.join(_figures(shown.data))}; answers that could not tell; "
        "unusual records. No hospital's own numbers are read unless the lead and more than "
        f"{shown.collusion} of the others put theirs together; {quorum.threshold} hospitals open a sum.",
        f"Code: {_spaced(shown.code)}",
    ):
        for part in wrapped(line, indent=0, hanging=2):
            typer.echo(part)
    if not code:
        typer.echo("Nothing was joined. If the lead says this code: the same command with --code CODE")
        return
    if code.replace(" ", "").lower() != shown.code:
        raise StudyError("The plan has another code than the lead told", hint="do not join; ask the lead for the plan anew")
    take_part(home, shown)
    typer.echo("This clinic takes part. Whenever the folder comes: wardround clinic drift answer --exchange FOLDER")


@app.command("answer")
def answer(
    exchange: ExchangeOption,
    again: Annotated[bool, typer.Option("--again", help="Look at questions that were refused once more.")] = False,
    clinic: ClinicOption = None,
) -> None:
    """At a hospital: answer what the lead has asked; again and again, as by a timer, is safe."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.store.opening import open_store
    from wardround.clinic.watch.drift_plan import joined

    home = ClinicPlace.at(clinic)
    plans = list(joined(home))
    if not plans:
        raise RunError("This clinic takes part in no plan", hint="wardround clinic drift join PLAN")
    answered, refused = 0, 0
    with open_store(home) as store:
        for one in plans:
            for word in _answered(one, home, store, exchange, again=again):
                answered, refused = answered + (not word), refused + bool(word)
                if word:
                    typer.echo(
                        f"A question of the plan {one.plan.code[:16]} was refused: {word}. Nothing of it leaves.", err=True
                    )
    typer.echo(f"{answered} questions were answered." if answered or refused else "There is nothing to answer.")


def _answered(one: "Joined", home: "ClinicPlace", store: "Store", exchange: Path, *, again: bool) -> Iterator[str]:
    """Of each question the word with which it was refused, which stays here; empty where it was answered. A refused one is looked
    at again only when a person asks for it: a site that has refused much stops."""
    from wardround.clinic.watch.carried import Exchange
    from wardround.clinic.watch.shared_counts import shared_values, write_counts
    from wardround.site.sum_site import SumSite
    from wardround.values.durable import write_atomic
    from wardround.wire.envelope import from_bytes
    from wardround.wire.messages import Refusal

    write_counts(home, store, one.plan.model, one.plan.periods)
    files = Exchange(one.plan, exchange)
    site = SumSite(one.plan.sums, one.name, home.identity, shared_values(home), one.folder / "sums")
    try:
        for name, message in files.asks(one.name):
            mark = one.folder / "refused" / name
            if mark.exists() and not again:
                continue
            reply = site.handle(message)
            told = from_bytes(reply)
            if isinstance(told, Refusal):
                write_atomic(mark, told.header.code.encode(), private=True)
                yield told.header.code
            else:
                files.answer(one.name, name, reply, home.identity)
                yield ""
    finally:
        site.close()


@app.command("sum")
def add_up(
    file: PlanArgument,
    period: Annotated[str, typer.Argument(help="Which of the plan's periods.")],
    exchange: ExchangeOption,
    lead: LeadOption = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="A hospital whose answers are waited for no longer.", show_default=False)
    ] = None,
    wait_minutes: Annotated[float, typer.Option(min=0, help="Wait so long for answers, and look every two seconds.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """At the lead: write the next questions; once all have answered, print the drift over all hospitals. Run it until then."""
    from wardround.clinic.watch.carried import Exchange
    from wardround.clinic.watch.drift_plan import DriftPlan
    from wardround.clinic.watch.shared_counts import Period, sum_label
    from wardround.clinic.watch.summary import pooled_json, pooled_summary

    made = DriftPlan.read(file)
    folder = _lead_folder(lead)
    if _lead_identity(folder).public != made.lead:
        raise StudyError("This is another lead's plan", hint="name the folder of that lead with --lead")
    if period in made.periods and Period.named(period).until > time.time():
        raise RunError(f"The period {period} is not over", hint="hospitals share it afterwards: one sum a period")
    post = _Post(Exchange(made, exchange), folder, frozenset(without or ()), time.monotonic() + 60 * wait_minutes)
    try:
        drift = post.pooled(sum_label(made.model, period))
    except _Waiting as waiting:
        told = {"waiting": waiting.names}
        names = ", ".join(waiting.names)
        typer.echo(
            json.dumps(told) if as_json else f"{exchange} holds questions to {names}. When they have answered: the same command"
        )
        return
    typer.echo(json.dumps(pooled_json(drift)) if as_json else pooled_summary(drift))


class _Waiting(Exception):
    """Answers are still to come, from hospitals of these names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)


class _Post:
    """The lead's trips by files: each writes what is asked, and is over when all have answered that are waited for."""

    def __init__(self, exchange: "Exchange", folder: Path, without: frozenset[str], until: float) -> None:
        self._exchange, self._folder, self._without, self._until = exchange, folder, without, until

    def pooled(self, label: str) -> "PooledDrift":
        """The drift of one sum: what was added up before, or now. _Waiting where answers are still to come."""
        from wardround.clinic.watch.shared_counts import kept_total, pooled_drift, read_total
        from wardround.hub.sum_coordinator import SumCoordinator

        plan = self._exchange.plan
        plan_folder = self._folder / plan.code[:16]
        kept_path = plan_folder / f"{label}.json"
        total = read_total(kept_path)
        if total is None:
            total = SumCoordinator(plan.sums, self._trip, plan_folder).sum(label).total
            kept_total(kept_path, total)
        return pooled_drift(total, plan.data)

    def _trip(self, outbox: "Mapping[SiteId, bytes]") -> "Mapping[SiteId, bytes]":
        identity = _lead_identity(self._folder)
        for site, message in outbox.items():
            self._exchange.ask(site, message, identity)
        while True:
            replies = self._exchange.answers(outbox)
            missing = sorted(outbox.keys() - replies.keys() - self._without)
            if not missing:
                return replies
            if time.monotonic() >= self._until:
                raise _Waiting(missing)
            time.sleep(_POLL_S)


def _lead_folder(lead: Path | None) -> Path:
    from wardround.values.home import default_home
    from wardround.values.private_files import private_folder

    folder = (lead or default_home() / "drift").expanduser()
    private_folder(folder, signs=("lead.key",))
    return folder


def _lead_identity(folder: Path) -> "Identity":
    from wardround.crypto.identity import Identity

    return Identity.at(folder / "lead.key")


def _named(text: str) -> tuple[str, str]:
    name, equals, public = text.partition("=")
    if not equals:
        raise StudyError("A hospital is written as NAME=KEY", found=text[:80], hint="its key: wardround clinic drift key")
    return name, public


def _figures(data: "DataContract") -> list[str]:
    from wardround.clinic.answering.public_bins import bin_numbers

    return sorted(bin_numbers(data))


def _spaced(code: str) -> str:
    return " ".join(code[start : start + 8] for start in range(0, len(code), 8))
