"""The items of the model card that must be filled in before a model is used: cards/SHA256.toml, one file for each model.

    run record, study, contract --what they say--> items --the rest, empty--> cards/SHA.toml --a person fills it in--> activate
    cards/SHA.toml --required and blank--> FILE, short, each item with what is asked --an editor, read back--> cards/SHA.toml

The file is written once, with what is known, and is a person's from then on. The items are those of TRIPOD+AI; required are those
without which nobody can say for whom the model is, and what it must not be used for.
"""

import shlex
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

import tomli_w

from wardround.clinic.place.acceptance_record import AcceptanceRecord, CardItem
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
_HEAD = """# What this hospital has to say of the model before it is used. Write each text between its quotes.
# Words in [brackets] are to be replaced. A text over several lines stands between three quotes.
# The items are numbered as in TRIPOD+AI.
"""
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
        _write_whole(path, card)
    return path


def read_card(clinic: ClinicPlace, model: str, card: tuple[CardItem, ...]) -> tuple[CardItem, ...]:
    """The items as the file has them. StudyError where it is no such file."""
    path = card_file(clinic, model)
    content = read_private(path, _LONGEST)
    return card if content is None else _filled(card, _texts(content, path, {item.number for item in card}))


def write_blanks(path: Path, card: tuple[CardItem, ...]) -> bool:
    """A short file of what is required and blank, each item with what is asked. False, and nothing written, where it is there."""
    if path.exists():
        return False
    lines = [_HEAD]
    for item in blanks(card):
        lines.append(f"# {item.number} {item.name}. {REQUIRED[item.number]}\n{tomli_w.dumps({item.number: item.text})}")
    write_atomic(path, "\n".join(lines).encode())
    return True


def read_answers(path: Path, numbers: Collection[str] = ()) -> dict[str, str]:
    """Item -> text of a file that a person filled in; empty texts are left out. numbers: the items that may be in it, else all
    of the checklist. StudyError where it is no such file."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise StudyError(
            f"The answers for the model card in {path} cannot be read",
            found=error.strerror or type(error).__name__,
            hint=f"write the questions to a new file, and fill it in: wardround clinic card --write {shlex.quote(str(path))}",
        ) from error
    texts = _texts(content, path, set(numbers) or {number for number, _, _ in checklist()})
    return {number: text for number, text in texts.items() if text.strip()}


def take_answers(clinic: ClinicPlace, record: AcceptanceRecord, answers: Mapping[str, str]) -> tuple[CardItem, ...]:
    """Puts them into the model's card, which is a file of this clinic, durably. The items as they are then."""
    with clinic.changing_service():
        before = read_card(clinic, record.model, record.card)
        card = _filled(before, answers)
        if card != before or read_private(card_file(clinic, record.model), 1) is None:
            _write_whole(card_file(clinic, record.model), card)
    return card


def _write_whole(path: Path, card: tuple[CardItem, ...]) -> None:
    lines = ["# What must be known of the model before it is used (TRIPOD+AI, BMJ 2024;385:e078378).\n"]
    for item in sorted(card, key=lambda one: not one.required):
        asked = f"# {item.number} {item.name}" + (f". Required: {REQUIRED[item.number]}" if item.required else "")
        lines.append(f"{asked}\n{tomli_w.dumps({item.number: item.text})}")
    write_atomic(path, "\n".join(lines).encode(), private=True)


def _texts(content: bytes, path: Path, numbers: set[str]) -> dict[str, str]:
    """Item -> text. StudyError with the file and the line or the item."""
    if len(content) > _LONGEST:
        raise StudyError(
            f"{path} is too long for a model card", expected=f"at most {_LONGEST >> 10} KiB", hint="shorten its texts"
        )
    try:
        texts = tomllib.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise StudyError(
            f"{path} is not valid TOML",
            found=str(error)[:200],
            hint='correct that line; a text stands between quotes: 26 = "Not for newborns.", over several lines between three',
        ) from error
    if wrong := [name for name, text in texts.items() if name not in numbers or not isinstance(text, str)]:
        raise StudyError(
            f"{path} has an item that the card does not know",
            expected=f"the numbers {', '.join(sorted(numbers))}, each with a text",
            found=str(wrong[0])[:60],
            hint="correct its number, or write its text in quotes",
        )
    return texts


def _filled(card: tuple[CardItem, ...], texts: Mapping[str, str]) -> tuple[CardItem, ...]:
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
