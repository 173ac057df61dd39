"""Clinics with a made model in service."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround.clinic.answering.network import open_network
from wardround.clinic.answering.unusual import fit_reference
from wardround.clinic.place.acceptance_record import CardItem, UnusualRecord, keep_acceptance
from wardround.clinic.place.clinic_place import ClinicPlace, ClinicSettings
from wardround.clinic.place.service import activate
from wardround.study.contract import ColumnContract, DataContract, LabelContract

from .made_models import FILMS, film_model, linear_model, record_of

HEART = DataContract(
    kind="table",
    columns=(
        ColumnContract(name="age", range=(0, 100), unit="years"),
        ColumnContract(name="sex", kind="category", categories=("f", "m")),
        ColumnContract(name="smoker", kind="binary"),
        ColumnContract(name="pressure", range=(60, 220), unit="mmHg", max_missing=0.5),
    ),
    label=LabelContract(name="heart disease", column="ill"),
)
CARD = (CardItem(number="3b", name="Purpose", required=True), CardItem(number="26", name="Limits", text="Of the run"))


def serve_model(
    clinic: ClinicPlace, content: bytes, contract: DataContract, own: NDArray[np.float32] | None = None, **words: object
) -> str:
    """Accepts a made model without a test, and puts it in service. The id of its acceptance. own: network inputs of this
    hospital, by which a record is unusual, and against whose mean a table's answer is explained."""
    clinic.keep_model(content)
    record = record_of(content, contract, **words).changed(card=[item.model_dump(mode="json") for item in CARD])
    if own is not None:
        fitted = fit_reference(own, open_network(content).outputs(own).embedding, np.arange(len(own)) % 5)
        assert fitted is not None
        clinic.references.mkdir(mode=0o700, exist_ok=True)
        unusual = UnusualRecord(reference=fitted.reference.keep(clinic.references), limit=float(fitted.own.max()), share=0.02)
        record = record.changed(unusual=unusual)
    acceptance = keep_acceptance(clinic, record)
    activate(clinic, acceptance, record.model, by="Dr Li")
    return acceptance


def film_clinic(folder: Path, **settings: object) -> ClinicPlace:
    """Brightness is pneumonia here."""
    clinic = ClinicPlace.begin(folder, ClinicSettings(hospital="St Anna", contact="Dr Li, room 7", **settings))
    serve_model(clinic, film_model(), FILMS)
    return clinic


def table_clinic(folder: Path, **settings: object) -> ClinicPlace:
    """Age and pressure raise the score, by weights that a test knows."""
    clinic = ClinicPlace.begin(folder, ClinicSettings(hospital="St Anna", **settings))
    model = linear_model(np.array([1.0, -0.2, 0.2, 0.5, 0.8, 0.0]), -0.3, HEART)
    serve_model(clinic, model, HEART, np.random.default_rng(1).normal(0, 1, (120, 6)).astype(np.float32))
    return clinic
