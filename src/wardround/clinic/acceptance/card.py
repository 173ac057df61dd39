"""The items of the model card that must be filled in before a model is used: cards/SHA256.toml, one file for each model.

    run record, study, contract --what they say--> items --the rest, empty--> cards/SHA.toml --a person fills it in--> activate

The file is written once, with what is known, and is a person's from then on. The items are those of TRIPOD+AI; required are those
without which nobody can say for whom the model is, and what it must not be used for.
"""

import tomllib
from pathlib import Path

import tomli_w

from wardround.clinic.place.acceptance_record import CardItem
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.evidence.run_facts import study_of
from wardround.evidence.tripod import checklist, items
from wardround.study.record.model_statement import ModelStatement
from wardround.study.record.run_record import RunRecord
from wardround.values.durable import write_atomic
from wardround.values.errors import RegistryError, RunError, StudyError
from wardround.values.private_files import read_private

REQUIRED = {
    "3b": "Who may use the model, and for which patients?",
    "5a": "Where do the data come from that it learned from and was tested on?",
    "6b": "Which patients were in them, and which were not?",
    "8": "What is the finding, and how was it decided who has it?",
    "14": "What was done so that no group of patients is treated worse?",
    "26": "What is known that it cannot do?",
    "27": "How is its answer used here, and who decides in the end?",
}
_BLANK = "[to be filled in by "
_LONGEST = 1 << 20


def card_items(model: str, registry: str | Path | None, statement: ModelStatement) -> tuple[CardItem, ...]:
    """Every item, with what the run's record or else the model itself says."""
    record = run_record(model, registry, statement)
    said = _stated(statement)
    if record is not None:
        told = {number: text for number, _, text in items(record, study_of(record)) if not text.startswith(_BLANK)}
        said = told | said
    return tuple(
        CardItem(number=number, name=name, text=said.get(number, ""), required=number in REQUIRED)
        for number, name, _ in checklist()
    )


def run_record(model: str, registry: str | Path | None, statement: ModelStatement) -> RunRecord | None:
    """The record of the run that made the model, where it is known and of the same study."""
    path = Path(model)
    beside = (path if path.is_dir() else path.parent) / "record.json"
    record = None
    try:
        if path.exists():
            record = RunRecord.from_json(beside.read_bytes()) if beside.is_file() else None
        else:
            from wardround.registry import open_registry

            with open_registry(registry) as opened:
                lineage = opened.model(model).lineage
                record = opened.record(lineage[-1].run) if lineage else None
    except (RunError, RegistryError, OSError):
        return None
    return record if record is not None and record.study_hash == statement.study_hash else None


def write_card(clinic: ClinicPlace, model: str, card: tuple[CardItem, ...]) -> Path:
    """The file that a person fills in; one that is there already stays as it is."""
    path = card_file(clinic, model)
    if read_private(path, 1) is None:
        lines = ["# What must be known of the model before it is used (TRIPOD+AI, BMJ 2024;385:e078378).\n"]
        for item in sorted(card, key=lambda one: not one.required):
            asked = f"# {item.number} {item.name}" + (f". Required: {REQUIRED[item.number]}" if item.required else "")
            lines.append(f"{asked}\n{tomli_w.dumps({item.number: item.text})}")
        write_atomic(path, "\n".join(lines).encode(), private=True)
    return path


def read_card(clinic: ClinicPlace, model: str, card: tuple[CardItem, ...]) -> tuple[CardItem, ...]:
    """The items as the file has them. StudyError where it is no such file."""
    path = card_file(clinic, model)
    content = read_private(path, _LONGEST)
    if content is None:
        return card
    try:
        texts = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise StudyError(f"{path} is not valid TOML", found=str(error)[:200], hint="correct that line") from error
    numbers = {item.number for item in card}
    if wrong := [name for name, text in texts.items() if name not in numbers or not isinstance(text, str)]:
        raise StudyError(
            f"{path} has an item that the card does not know",
            expected=f"the numbers {', '.join(sorted(numbers))}, each with a text",
            found=str(wrong[0])[:60],
            hint="correct its number, or write its text in quotes",
        )
    return tuple(item.changed(text=texts.get(item.number, item.text)) for item in card)


def blanks(card: tuple[CardItem, ...]) -> tuple[CardItem, ...]:
    """Required items that nobody has filled in."""
    return tuple(item for item in card if item.required and (not item.text.strip() or _BLANK in item.text))


def card_file(clinic: ClinicPlace, model: str) -> Path:
    return clinic.cards / f"{model}.toml"


def _stated(statement: ModelStatement) -> dict[str, str]:
    """What the model's own statement says."""
    data = statement.data
    said = {"4": statement.study_title, "15": statement.output}
    if data.kind == "image":
        height, width = data.image.size
        said |= {"9": "The pixels of one image.", "7": f"Images brought to {height} by {width} pixels ({data.image.fit})."}
    else:
        said["9"] = ", ".join(f"{column.name} ({column.unit})" if column.unit else column.name for column in data.columns)
    return said
