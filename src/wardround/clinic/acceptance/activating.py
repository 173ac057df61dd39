"""Puts an accepted model in service, or says why not: the hospital's minimums, and the blanks of the model card.

acceptance --signature, files--> record --criteria--> judgements --card--> blanks --none failed--> a line of the log
"""

from wardround.clinic.acceptance.card import blanks, card_file, read_card
from wardround.clinic.acceptance.judging import Judgement, judgements
from wardround.clinic.answering.serving import load_serving
from wardround.clinic.place import service as log
from wardround.clinic.place.acceptance_record import AcceptanceRecord, read_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import Service
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.errors import RunError


def obstacles(clinic: ClinicPlace, record: AcceptanceRecord) -> tuple[str, ...]:
    """Sentences about what keeps a model from service; none where nothing does."""
    failed = [one.sentence for one in judgements(clinic.criteria, record) if not one.met]
    card = read_card(clinic, record.model, record.card)
    return (*failed, *(f"the model card says nothing of {item.number}, {item.name.lower()}" for item in blanks(card)))


def failed(clinic: ClinicPlace, record: AcceptanceRecord) -> tuple[Judgement, ...]:
    """The minimums that the model does not keep."""
    return tuple(one for one in judgements(clinic.criteria, record) if not one.met)


def activate(clinic: ClinicPlace, name: str, *, by: str) -> Service:
    """Puts the model of an acceptance in service. RunError, and no line, where it may not be."""
    record = read_acceptance(clinic, name)
    if problems := obstacles(clinic, record):
        raise RunError(
            f"The model of acceptance {record.id} does not go into service",
            expected="what `wardround clinic criteria` asks for, and a model card without required blanks",
            found="; ".join(problems),
            hint=f"test it on more cases, fill in {card_file(clinic, record.model)}, or change the criteria and say so",
        )
    load_serving(clinic, record.id)  # what is written into the log can answer
    criteria = sha256_hex(canonical_json(clinic.criteria.model_dump(mode="json")))
    card = sha256_hex(canonical_json([item.model_dump() for item in read_card(clinic, record.model, record.card)]))
    return log.activate(clinic, record.id, record.model, by=by, criteria=criteria, card=card)


def start_shadow(clinic: ClinicPlace, name: str, *, by: str) -> Service:
    """The model of an acceptance answers beside the one in service, unseen. No minimum is asked for."""
    record = read_acceptance(clinic, name)
    load_serving(clinic, record.id)
    return log.start_shadow(clinic, record.id, record.model, by=by)
