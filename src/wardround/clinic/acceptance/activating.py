"""Puts an accepted model in service, or says why not: the hospital's minimums, and the blanks of the model card.

acceptance --signature, files--> record --criteria--> judgements --card--> blanks --none failed--> a line of the log
"""

import shlex
from pathlib import Path

from wardround.clinic.acceptance.card import blanks, card_file, read_answers, read_card, take_answers
from wardround.clinic.acceptance.judging import Judgement, judgements
from wardround.clinic.answering.serving import load_serving
from wardround.clinic.place import service as log
from wardround.clinic.place.acceptance_record import AcceptanceRecord, CardItem, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import Service
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import RunError


def obstacles(clinic: ClinicPlace, record: AcceptanceRecord) -> tuple[str, ...]:
    """Sentences about what keeps a model from service; none where nothing does."""
    return _obstacles(clinic, record, read_card(clinic, record.model, record.card))


def failed(clinic: ClinicPlace, record: AcceptanceRecord) -> tuple[Judgement, ...]:
    """The minimums that the model does not keep."""
    return tuple(one for one in judgements(clinic.criteria, record) if not one.met)


def activate(clinic: ClinicPlace, name: str, *, by: str, answers: Path | None = None) -> Service:
    """Puts the model of an acceptance in service. RunError, and no line, where it may not be.

    answers: a file that a person filled in, which is read into the model's card before; its answers stay there also where the
    model may not go into service. StudyError where it is no such file.
    """
    record = read_acceptance(clinic, name)
    if answers is None:
        card = read_card(clinic, record.model, record.card)
    else:
        card = take_answers(clinic, record, read_answers(answers, {item.number for item in record.card}))
    if problems := _obstacles(clinic, record, card):
        raise RunError(
            f"The model of acceptance {record.id} does not go into service",
            expected="what `wardround clinic criteria` asks for, and a model card without required blanks",
            found="; ".join(problems),
            hint=_mend(clinic, record, answers, failed=bool(failed(clinic, record)), blank=bool(blanks(card))),
        )
    load_serving(clinic, record.id)  # what is written into the log can answer
    criteria = sha256_hex(canonical_json(clinic.criteria.model_dump(mode="json")))
    shown = sha256_hex(canonical_json([item.model_dump() for item in card]))
    return log.activate(clinic, record.id, record.model, by=by, criteria=criteria, card=shown)


def start_shadow(clinic: ClinicPlace, name: str, *, by: str) -> Service:
    """The model of an acceptance answers beside the one in service, unseen. No minimum is asked for."""
    record = read_acceptance(clinic, name)
    load_serving(clinic, record.id)
    return log.start_shadow(clinic, record.id, record.model, by=by)


def _obstacles(clinic: ClinicPlace, record: AcceptanceRecord, card: tuple[CardItem, ...]) -> tuple[str, ...]:
    missing = (f"the model card says nothing of {item.number}, {item.name.lower()}" for item in blanks(card))
    return (*(one.sentence for one in failed(clinic, record)), *missing)


def _mend(clinic: ClinicPlace, record: AcceptanceRecord, answers: Path | None, *, failed: bool, blank: bool) -> str:
    """The commands that lead on, as they are typed."""
    steps = []
    if failed:
        steps.append(f"test it on more cases, or change the minimums and say so: {clinic.command('criteria --set NAME=NUMBER')}")
    if blank:
        file = shlex.quote(str(answers or "model-card.toml"))
        if answers is None:
            write = clinic.command(f"card {record.id[:6]} --write {file}")
            steps.append(f"write the blank items to a file with: {write}; they stand also in {card_file(clinic, record.model)}")
        again = clinic.command(f"activate {record.id[:6]} --card {file} --by NAME")
        steps.append(f"fill in {file}, then: {again}")
    return "; ".join(steps)
