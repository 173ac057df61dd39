"""One acceptance: a model and those that it is compared with, on the hospital's own cases, into a signed record.

    model files, cases --scores--> calibration, threshold, limits, reference, figures, groups --> AcceptanceRecord
    --in this order, each whole or not at all--> models/SHA.onnx, references/SHA.safetensors, cards/SHA.toml, acceptances/ID.json

The record is last: what it names is there. Nothing is in service before `activate`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from wardround.clinic.acceptance.card import card_items, write_card
from wardround.clinic.acceptance.cases import Cases, read_cases
from wardround.clinic.acceptance.measuring import YesOrNoModel, measured
from wardround.clinic.acceptance.operating_point import OperatingPoint
from wardround.clinic.acceptance.origin import model_origin
from wardround.clinic.acceptance.subgroups import Columns, contract_columns, header_columns, read_groups, subgroup_records
from wardround.clinic.acceptance.tested_model import TestedModel
from wardround.clinic.acceptance.tuning import TuningSettings, tuned_model
from wardround.clinic.answering.network import Network, open_network
from wardround.clinic.answering.public_bins import SCORE, bins_of, counted
from wardround.clinic.answering.unusual import FittedReference, fit_reference
from wardround.clinic.kinds.registry import kind_of
from wardround.clinic.place.acceptance_record import (
    AcceptanceRecord,
    CandidateRecord,
    UnusualRecord,
    WatchRecord,
    keep_acceptance,
    read_acceptance,
)
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.service import Deployed, service_of
from wardround.prediction.model_file import model_bytes
from wardround.study.label import LabelContract
from wardround.tasks.binary.threshold import cut_of
from wardround.values.canonical import sha256_hex
from wardround.values.errors import DataError, RunError, StudyError
from wardround.values.version import __version__

Role = Literal["asked", "in service", "against"]


@dataclass(frozen=True)
class AcceptanceSettings:
    """What a person decides before the test. StudyError where a number is none that can be.

    promise: share of each class whose answer is to hold the truth. prevalence: share with the finding that PPV and NPV are for;
    None: as among the cases. unusual_share: of the hospital's own cases, how many are called unusual. groups: a CSV file beside
    the cases. columns: further columns of the contract that divide them. widest: of a question for a number, a count or a time,
    the share of the range that an interval may have and still tell something; wider ones are `cannot tell`.
    """

    point: OperatingPoint = field(default_factory=OperatingPoint)
    promise: float = 0.9
    prevalence: float | None = None
    unusual_share: float = 0.02
    groups: Path | None = None
    columns: tuple[str, ...] = ()
    widest: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        for name, share, low, high in (
            ("the promised coverage", self.promise, 0.5, 0.999),
            ("the prevalence", 0.5 if self.prevalence is None else self.prevalence, 0.0001, 0.9999),
            ("the share called unusual", self.unusual_share, 0.001, 0.2),
            ("the widest range that tells something", self.widest, 0.01, 1.0),
        ):
            if not low <= share <= high:
                raise StudyError(
                    f"This cannot be {name}", expected=f"{low:g} to {high:g}", found=f"{share:g}", hint="write 0.9 for 90 %"
                )


@dataclass(frozen=True)
class Candidate:
    """One model file. name: as a person called it."""

    name: str
    content: bytes
    role: Role

    @property
    def sha256(self) -> str:
        return sha256_hex(self.content)


def candidates_of(
    clinic: ClinicPlace, model: str, against: tuple[str, ...] = (), registry: str | Path | None = None
) -> tuple[Candidate, ...]:
    """The asked model first, then the one in service, then the others; each file once."""
    asked = Candidate(model, model_bytes(model, registry)[0], "asked")
    named = {asked.sha256: asked}
    if (now := service_of(clinic).answering) is not None and now.model not in named:
        named[now.model] = _in_service(clinic, now)
    for name in against:
        other = Candidate(name, model_bytes(name, registry)[0], "against")
        named.setdefault(other.sha256, other)
    return tuple(named.values())


def _in_service(clinic: ClinicPlace, now: Deployed) -> Candidate:
    try:
        return Candidate(read_acceptance(clinic, now.acceptance).name, clinic.read_model(now.model), "in service")
    except RunError as error:
        raise RunError(
            f"The model in service cannot be compared with. {error.what}",
            expected=error.expected,
            found=error.found,
            hint="bring its files back from a backup, or take it out first: wardround clinic rollback",
        ) from error


def accept(
    clinic: ClinicPlace,
    candidates: tuple[Candidate, ...],
    source: str,
    settings: AcceptanceSettings,
    *,
    mapping: Path | None = None,
    registry: str | Path | None = None,
) -> AcceptanceRecord:
    """Tests the candidates and keeps the record, signed. DataError where the cases cannot be read or compared."""
    candidates, networks = _of_one_question(candidates)
    _require_read(settings, networks[0].statement.data.label)
    cases = read_cases(networks[0].statement.data, source, mapping)
    tested = [_tested(network, cases, source, mapping, settings) for network in networks]
    columns = header_columns(source, cases) | contract_columns(cases.contract, cases.inputs, settings.columns)
    if settings.groups is not None:
        columns |= read_groups(settings.groups, cases)
    record, reference = _record(clinic, candidates, networks, tested, columns, settings)
    card = card_items(candidates[0].name, registry, networks[0].statement)
    origin = model_origin(candidates[0].name, registry, networks[0].statement)
    record = record.changed(
        card=[item.model_dump() for item in card], origin=None if origin is None else origin.model_dump(mode="json")
    )
    with clinic.changing_service():
        clinic.keep_model(candidates[0].content)
        if reference is not None:
            reference.reference.keep(clinic.references)
        write_card(clinic, record.model, record.card)
        keep_acceptance(clinic, record)
    return record


def _of_one_question(candidates: tuple[Candidate, ...]) -> tuple[tuple[Candidate, ...], list[Network]]:
    """The candidates that answer the asked model's question: one in service that answers another is no rival. DataError where
    another was named."""
    opened = [(candidate, open_network(candidate.content)) for candidate in candidates]
    label = opened[0][1].statement.data.label
    for candidate, network in opened:
        if network.statement.data.label != label and candidate.role == "against":
            raise DataError(
                f"{candidate.name} answers another question, and cannot be compared",
                expected=f"a model of {label.name!r}, kind {label.kind!r}",
                found=f"{network.statement.data.label.name!r}, kind {network.statement.data.label.kind!r}",
                hint="leave that model out of --against",
            )
    kept = [(candidate, network) for candidate, network in opened if network.statement.data.label == label]
    return tuple(candidate for candidate, _ in kept), [network for _, network in kept]


def _require_read(settings: AcceptanceSettings, label: LabelContract) -> None:
    """StudyError where a choice does nothing with the model's question."""
    kind, usual = kind_of(label), AcceptanceSettings()
    chosen: dict[str, bool] = {
        "--operating-point": kind is not None and settings.point != usual.point,
        "--prevalence": kind is not None and settings.prevalence != usual.prevalence,
        "--coverage": kind is not None and "coverage" not in kind.reads and settings.promise != usual.promise,
        "--widest": (kind is None or "widest" not in kind.reads) and settings.widest != usual.widest,
    }
    for option in (name for name, idle in chosen.items() if idle):
        raise StudyError(
            f"{option} does nothing with a model of kind = {label.kind!r}",
            expected="a choice that this question reads",
            hint=f"leave {option} out",
        )


def _tested(
    network: Network, cases: Cases, source: str, mapping: Path | None, settings: AcceptanceSettings
) -> tuple[Cases, TestedModel]:
    own = cases
    if network.statement.data != cases.contract:
        own = read_cases(network.statement.data, source, mapping)
        if own.names.tolist() != cases.names.tolist() or own.labels.tolist() != cases.labels.tolist():
            raise DataError(
                "Two of the models cannot be compared: they do not read the same cases alike",
                expected=f"the {len(cases)} cases that the first model reads, with the same labels",
                found=f"{len(own)} cases of the model of {network.statement.study_title!r}",
                hint="leave that model out of --against",
            )
    kind, shown = kind_of(own.contract.label), network.outputs(own.inputs).shown
    if kind is not None:
        tuning = TuningSettings(promise=settings.promise, widest=settings.widest, seed=settings.seed)
        return own, tuned_model(kind, own, shown, tuning)
    point, threshold, prevalence, seed = settings.point, cut_of(network.statement.threshold), settings.prevalence, settings.seed
    one = measured(own, shown[:, 0], threshold, point, prevalence=prevalence, seed=seed)
    return own, YesOrNoModel(own, one, point, settings.promise, prevalence, seed)


def _record(
    clinic: ClinicPlace,
    candidates: tuple[Candidate, ...],
    networks: list[Network],
    tested: list[tuple[Cases, TestedModel]],
    columns: Columns,
    settings: AcceptanceSettings,
) -> tuple[AcceptanceRecord, FittedReference | None]:
    (cases, asked), seed = tested[0], settings.seed
    reference = fit_reference(cases.inputs, networks[0].outputs(cases.inputs).embedding, cases.folds(seed))
    record = AcceptanceRecord(
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        hospital=clinic.settings.hospital,
        wardround=__version__,
        seed=seed,
        model=candidates[0].sha256,
        name=candidates[0].name,
        statement=networks[0].statement,
        cases=cases.facts,
        candidates=tuple(
            CandidateRecord(
                name=candidate.name,
                sha256=candidate.sha256,
                role=candidate.role,
                raw=one.raw,
                local=one.local,
                less_asked={} if one is asked else one.less_asked(asked),
            )
            for candidate, (_, one) in zip(candidates, tested, strict=True)
        ),
        **asked.sections,
        unusual=None if reference is None else _unusual(reference, settings.unusual_share),
        watch=watch_record(cases, asked, settings, reference),
        subgroups=subgroup_records(cases, asked, columns),
    )
    return record, reference


def watch_record(
    cases: Cases, asked: TestedModel, settings: AcceptanceSettings, reference: FittedReference | None
) -> WatchRecord:
    """What later cases are compared with, of answers that were made without the case's own fold."""
    beyond = np.zeros(len(cases), bool) if reference is None else reference.own > reference.limit(settings.unusual_share)
    bins = {SCORE: asked.score_bins, **bins_of(cases.contract, cases.inputs, cases.sizes)}
    return WatchRecord(
        bins=counted(cases.contract, bins),
        cases=len(cases),
        cannot_tell=int((asked.untold | beyond).sum()),
        unusual=None if reference is None else int(beyond.sum()),
    )


def _unusual(reference: FittedReference, share: float) -> UnusualRecord:
    return UnusualRecord(reference=reference.reference.sha256, limit=reference.limit(share), share=share)
