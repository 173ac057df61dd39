"""wardround clinic accept | card | criteria."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround.cli.clinic.homes import AcceptanceArgument, ClinicOption
from wardround.cli.wrapping import wrapped
from wardround.values.errors import StudyError
from wardround.values.printable import printable

if TYPE_CHECKING:
    from wardround.clinic.place.acceptance_record import AcceptanceRecord, CardItem
    from wardround.clinic.place.clinic_place import ClinicPlace


def accept(
    model: Annotated[str, typer.Argument(help="A run folder, a model.onnx, or a model or run in the registry.")],
    data: Annotated[
        str,
        typer.Option(help="This hospital's labelled cases: a path, a data set of its site, or a public set (its test split)."),
    ],
    mapping: Annotated[Path | None, typer.Option(help="The hospital's own mapping of its table (wardround data map).")] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="Another model to compare with, once for each; the one in service always is.")
    ] = None,
    site: Annotated[
        str | None, typer.Option(help="Of a run folder: a hospital of it, whose kept model is compared as well.")
    ] = None,
    operating_point: Annotated[
        str, typer.Option(help="The threshold: near-half, balanced, sensitivity=0.95, specificity=0.9, or a probability.")
    ] = "near-half",
    prevalence: Annotated[
        float | None,
        typer.Option(help="Share of this hospital's patients with the finding, for PPV and NPV (default: as in the cases)."),
    ] = None,
    coverage: Annotated[
        float, typer.Option(help="Share of patients with and without the finding whose answer is to hold the truth.")
    ] = 0.9,
    unusual: Annotated[float, typer.Option(help="Share of own cases that is called unusual.")] = 0.02,
    widest: Annotated[
        float,
        typer.Option(
            help="Of a number, a count or a time: the share of the range that an interval may have and still tell something."
        ),
    ] = 0.5,
    groups: Annotated[
        Path | None, typer.Option(help="A CSV file: `record` or `patient`, then columns that divide the cases, such as scanner.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="A number of the contract that divides the cases, too.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the division into folds.")] = 1,
    card: Annotated[
        Path | None,
        typer.Option(help="Answers for the model card; where the file is not there, the blank items are written to it."),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Also write the record as a page to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as one JSON object.")] = False,
    registry: Annotated[
        str | None, typer.Option("--registry", help="The registry: a folder or a database URL (default: this user's).")
    ] = None,
    clinic: ClinicOption = None,
) -> None:
    """Test a model on this hospital's own cases, tune it to them, and keep the signed record. Nothing goes into service yet."""
    from wardround.clinic.acceptance.accepting import AcceptanceSettings, candidates_of
    from wardround.clinic.acceptance.accepting import accept as tested
    from wardround.clinic.acceptance.card import blanks, read_answers, read_card, take_answers, write_blanks
    from wardround.clinic.acceptance.judging import judgements
    from wardround.clinic.acceptance.operating_point import OperatingPoint
    from wardround.clinic.acceptance.page import acceptance_page
    from wardround.clinic.acceptance.summary import summary
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.values.durable import require_apart, write_atomic

    home = ClinicPlace.at(clinic)
    settings = AcceptanceSettings(
        point=OperatingPoint(operating_point),
        promise=coverage,
        prevalence=prevalence,
        unusual_share=unusual,
        groups=groups,
        columns=tuple(column or ()),
        widest=widest,
        seed=seed,
    )
    source, own_mapping = _source(data, mapping)
    if page is not None:
        require_apart(page, source, model, groups, card)
        if card is not None and page.resolve() == card.resolve():
            raise StudyError("The page and the card would be one file", found=str(page), hint="name two files")
    answers = read_answers(card) if card is not None and card.exists() else {}  # before a test that takes minutes
    others = (*(against or ()), *((_kept_model(model, site),) if site else ()))
    record = tested(home, candidates_of(home, model, others, registry), source, settings, mapping=own_mapping, registry=registry)
    told = take_answers(home, record, answers) if answers else read_card(home, record.model, record.card)
    missing = blanks(told)
    if card is not None and missing:
        write_blanks(card, told)
    judged = judgements(home.criteria, record)
    if page is not None:
        write_atomic(page, acceptance_page(record, judged, missing).encode(), private=True)
    if as_json:
        typer.echo(json.dumps({"id": record.id, **record.model_dump(mode="json")}))
        return
    typer.echo(summary(record, judged))
    typer.echo("")
    if page is not None:
        typer.echo(f"The page is {page}.")
    if missing:
        _echo(f"Before it can go into service, {_blank(missing)}{f', in {card}' if card else ''}")
    if card is None and missing:
        typer.echo("To write the questions to a file: " + home.command(f"card {record.id[:6]} --write {_CARD}"))
    if all(one.met for one in judged):
        typer.echo(_next(home, record, (card or Path(_CARD)) if missing else None))
    else:
        typer.echo("It does not keep every minimum of this hospital, and `wardround clinic activate` refuses it as it is.")


def card(
    name: AcceptanceArgument = "latest",
    write: Annotated[
        Path | None, typer.Option(help="Write the required items that are blank to a new file, each with what is asked.")
    ] = None,
    read: Annotated[Path | None, typer.Option(help="Read such a file, filled in, into the model's card.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the items as one JSON object.")] = False,
    clinic: ClinicOption = None,
) -> None:
    """Show what the card of an accepted model says and what is blank, write the blank items to a file, or read it back."""
    from wardround.clinic.acceptance.card import REQUIRED, blanks, card_file, read_answers, read_card, take_answers, write_blanks
    from wardround.clinic.place.acceptance_record import read_acceptance
    from wardround.clinic.place.clinic_place import ClinicPlace

    home = ClinicPlace.at(clinic)
    record = read_acceptance(home, name)
    numbers = {item.number for item in record.card}
    items = (
        read_card(home, record.model, record.card) if read is None else take_answers(home, record, read_answers(read, numbers))
    )
    missing = blanks(items)
    if write is not None and missing and not write_blanks(write, items):
        raise StudyError(
            f"{write} is there already, and is not written over",
            expected="the name of a new file",
            hint="fill it in, and read it: " + home.command(f"card {record.id[:6]} --read {shlex.quote(str(write))}"),
        )
    if as_json:
        typer.echo(json.dumps({"id": record.id, "items": [item.model_dump() for item in items], "blank": _numbers(missing)}))
        return
    for item in items if write is None else ():
        if item.text or item.required:
            said = "blank" if item in missing else "filled in" if item.required else "known"
            _echo(f"{item.number:<4}{item.name} ({said}): {item.text or REQUIRED[item.number]}", 4)
    if not missing:
        _echo("No required item of the card is blank.")
    elif write is not None:
        _echo(f"{_blank(missing)}, in {write}")
        typer.echo(_next(home, record, write))
    else:
        _echo(f"{_blank(missing)}. All of the card stands in {card_file(home, record.model)}")
        typer.echo("To write the questions to a file: " + home.command(f"card {record.id[:6]} --write {_CARD}"))


_CARD = "model-card.toml"


def _next(home: "ClinicPlace", record: "AcceptanceRecord", file: Path | None) -> str:
    """file: of the answers for the card; None where no item of it is blank."""
    answers = "" if file is None else f" --card {shlex.quote(str(file))}"
    return "Next: " + home.command(f"activate {record.id[:6]}{answers} --by 'YOUR NAME'")


def _blank(missing: "tuple[CardItem, ...]") -> str:
    words = "item of the model card is" if len(missing) == 1 else "items of the model card are"
    return f"{len(missing)} {words} to be filled in: {', '.join(_numbers(missing))}"


def _numbers(items: "tuple[CardItem, ...]") -> list[str]:
    return [item.number for item in items]


def _echo(sentence: str, hanging: int = 0) -> None:
    for line in wrapped(printable(sentence), hanging=hanging):
        typer.echo(line)


def criteria(
    minimum: Annotated[
        list[str] | None, typer.Option("--set", help="A minimum, NAME=NUMBER, or NAME=none to take it away; once for each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as one JSON object.")] = False,
    clinic: ClinicOption = None,
) -> None:
    """Show what this hospital asks of a model before doctors see it, or set it."""
    from wardround.clinic.place.clinic_place import ClinicPlace
    from wardround.clinic.place.criteria import Criteria

    home = ClinicPlace.at(clinic)
    limits = home.criteria
    if minimum:
        limits = home.set_criteria(**dict(map(_limit, minimum)))
    if as_json:
        typer.echo(json.dumps(limits.model_dump(mode="json")))
        return
    for name, field in Criteria.model_fields.items():
        value = getattr(limits, name)
        typer.echo(f"{name:<22}{'not asked for' if value is None else value}")
        _echo(f"    {field.description}", 4)


def _limit(words: str) -> tuple[str, object]:
    name, equals, value = words.partition("=")
    if not equals:
        raise StudyError(
            "This sets nothing", expected="NAME=NUMBER, such as auc_at_least=0.9", found=words[:80], hint="add = and a number"
        )
    if value.strip() == "none":
        return name.strip(), None
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()


def _source(data: str, mapping: Path | None) -> tuple[str, Path | None]:
    """A path as it is, else a data set that this hospital's site has registered, with its mapping; else a public set's name."""
    if Path(data).exists() or "://" in data:
        return data, mapping
    from wardround.site.daemon.data_sets import DataSets
    from wardround.site.daemon.home import site_folder

    registered = DataSets(site_folder() / "data.toml").all()
    if data not in registered:
        return data, mapping
    one = registered[data]
    return one.data, mapping or (None if one.mapping is None else Path(one.mapping))


def _kept_model(model: str, site: str) -> str:
    """The file of the model that a hospital of a run folder keeps."""
    path = Path(model) / "sites" / site / "chosen.onnx"
    if not path.is_file():
        kept = sorted(one.parent.name for one in Path(model).glob("sites/*/chosen.onnx"))
        raise StudyError(
            f"The hospital {site} keeps no model of its own in {model}",
            expected=f"one of {', '.join(kept)}" if kept else "a run folder of a study with personal.candidates",
            hint="leave --site out, or name its model with --against",
        )
    return str(path)
