"""The record of one acceptance: a hospital's own test of a model, signed by its clinic, never changed.

    AcceptanceRecord --canonical bytes--> id (their SHA-256, 16 digits), signature --write_atomic--> acceptances/ID.json

A record holds figures and what an answer needs: the local calibration, the threshold, the limits of `cannot tell`, and which
reference says what is unusual. It names no patient. What it says of single cases, it says in sums.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from wardround.clinic.kinds.limits import Correction, Limits
from wardround.clinic.place.clinic_place import ClinicPlace
from wardround.clinic.place.origin_record import OriginRecord
from wardround.crypto.identity import signed_by
from wardround.study.record.evaluation_record import Count, Evaluation, Figure, Sha256, by_name
from wardround.study.record.model_statement import ModelStatement
from wardround.study.record.personal_record import PairedRecord
from wardround.study.record.run_record import Moment
from wardround.study.sections.section import Section
from wardround.tasks.binary.conformal import ConformalLimits
from wardround.tasks.binary.local_map import LocalMap
from wardround.values.canonical import canonical_json, sha256_hex
from wardround.values.durable import sweep, write_atomic
from wardround.values.errors import RunError
from wardround.values.private_files import read_private

ID_DIGITS = 16
LATEST = "latest"
"""In place of a record's name: the one that was made last."""
_LARGEST = 1 << 26
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class CasesRecord(Section):
    """Which cases judged the model."""

    source: str = Field(description="What was named: a data set or the last part of a path.")
    sha256: Sha256 = Field(description="Hash over all cases, whatever their order: equal for equal cases.")
    cases: Count = Field(description="Labelled cases.")
    patients: Count = Field(description="Patients among them; as many as cases where the source names none.")
    positives: Count | None = Field(default=None, description="Cases with the finding; null of another question than yes or no.")
    counted: dict[str, Count] = Field(
        default_factory=dict, description="Of another question: cases of each class, grade or finding. Not written where empty."
    )
    unlabelled: Count = Field(default=0, description="Records without a label, which were not used.")
    left_out: Count = Field(default=0, description="Records that the contract leaves out.")
    repeated: Count = Field(default=0, description="Cases that are byte for byte a case before them; used once.")

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(write(self), "counted", self.counted)


class CalibrationRecord(Section):
    """How the model's probabilities become this hospital's. losses: mean log-loss, in nats, of cases that made no map."""

    chosen: LocalMap = Field(description="Made from all cases. Figures come from maps of other patients' cases.")
    losses: Annotated[dict[str, Figure], AfterValidator(by_name)] = Field(description="By the name of a map.")


class ConformalRecord(Section):
    """`cannot tell`: its limits, and what cases that did not make them saw."""

    limits: ConformalLimits = Field(description="On the model's own score.")
    measured: Evaluation = Field(description="coverage_positive, coverage_negative, cannot_tell; cross-fitted by patient.")


class TunedRecord(Section):
    """Another question than yes or no: how its answers become this hospital's, and when they tell something."""

    correction: Correction = Field(description="Made from all cases. Figures come from corrections of other patients' cases.")
    losses: Annotated[dict[str, Figure], AfterValidator(by_name)] = Field(
        description="The question's own loss, its mean over cases that made no correction, by form."
    )
    limits: Limits
    measured: Evaluation = Field(description="coverage, cannot_tell and more; cross-fitted by patient.")
    widest: Probability = Field(description="The share of the range that an interval may have and still tell something.")


class YesOrNo(Section):
    """What a record of a yes or no holds."""

    calibration: CalibrationRecord
    threshold: Probability
    threshold_rule: str
    conformal: ConformalRecord


class UnusualRecord(Section):
    """What is compared with the hospital's own cases to say that a record does not look like them."""

    reference: Sha256 = Field(description="Hash of the file in references/ that holds means and covariances, of no single case.")
    limit: float = Field(description="An unusual score above it is beyond.")
    share: Probability = Field(description="Share of the hospital's own cases that lies beyond.")


class WatchRecord(Section):
    """What later cases are compared with: of the cases that judged the model, how many lie in each public bin."""

    bins: Annotated[dict[str, tuple[Count, ...]], AfterValidator(by_name)] = Field(
        description="Figure -> cases in each bin: of the cross-fitted score, and of the input (clinic.answering.public_bins)."
    )
    cases: Count = Field(description="Cases that were counted.")
    cannot_tell: Count = Field(description="Of them, those that would have got `cannot tell`, unusual ones among them.")
    unusual: Count | None = Field(default=None, description="Of them, those beyond the limit; null without a reference.")


class CandidateRecord(Section):
    """One model on the same cases, calibrated and decided by the same rules, cross-fitted."""

    name: str = Field(description="As it was named.")
    sha256: Sha256 = Field(description="Of its ONNX file.")
    role: Literal["asked", "in service", "against"] = Field(description="asked: the one that this record is about.")
    raw: Evaluation = Field(description="As the model says it, at its own threshold.")
    local: Evaluation = Field(description="After local calibration, at the local threshold.")
    less_asked: Annotated[dict[str, PairedRecord], AfterValidator(by_name)] = Field(
        default_factory=dict, description="Its figure less that of the asked model, on the same cases."
    )


class SubgroupRecord(Section):
    """The asked model on one group of the cases."""

    column: str = Field(description="What divides the cases.")
    group: str = Field(description="A value of it, or a range.")
    cases: Count = Field(description="Cases of the group.")
    positives: Count | None = Field(default=None, description="Cases with the finding among them; null of another question.")
    few: bool = Field(description="True where there are too few to say anything; then there are no figures.")
    local: Evaluation | None = Field(default=None, description="After local calibration, at the local threshold.")


class CardItem(Section):
    """An item of TRIPOD+AI as the run record fills it; empty where a person has to."""

    number: str = Field(description="As the checklist counts.")
    name: str = Field(description="What it asks.")
    text: str = Field(default="", description="What is known; empty where nothing is.")
    required: bool = Field(default=False, description="Whether the model goes into service only with it.")


class AcceptanceRecord(Section):
    """Everything that is known of a model at this hospital before it answers for a patient."""

    format: Literal[1] = Field(default=1, description="Version of this format.")
    created: Moment = Field(description="When, ISO 8601, UTC.")
    hospital: str = Field(description="Whose cases these are.")
    wardround: str = Field(description="Version of Wardround.")
    seed: int = Field(description="Seed of the division into folds.")
    model: Sha256 = Field(description="Hash of the model's ONNX file, the name of its copy in models/.")
    name: str = Field(description="What the model was called when it was accepted.")
    statement: ModelStatement = Field(description="What the model says of itself.")
    cases: CasesRecord
    candidates: tuple[CandidateRecord, ...] = Field(min_length=1, description="The asked model first.")
    calibration: CalibrationRecord | None = Field(default=None, description="Of a yes or no; null of another question.")
    threshold: Probability | None = Field(
        default=None, description="The local one: called positive at and above it, on the calibrated probability; null likewise."
    )
    threshold_rule: str | None = Field(default=None, description="How it was chosen; null likewise.")
    prevalence: Probability | None = Field(default=None, description="Share with the finding that PPV and NPV are for.")
    conformal: ConformalRecord | None = Field(default=None, description="Of a yes or no; null of another question.")
    tuned: TunedRecord | None = Field(default=None, description="Of another question than yes or no; else not written.")
    unusual: UnusualRecord | None = Field(default=None, description="Null where too few cases were there to make a reference.")
    watch: WatchRecord | None = Field(default=None, description="Null in records of before: then nothing is said of drift.")
    subgroups: tuple[SubgroupRecord, ...] = Field(default=(), description="By column and group.")
    card: tuple[CardItem, ...] = Field(default=(), description="The items of the model card.")
    origin: OriginRecord | None = Field(
        default=None, description="Where the model comes from; null, and not signed, where no run of its study was known."
    )

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        binary = (self.calibration, self.threshold, self.threshold_rule, self.conformal)
        if any(part is None for part in binary) != (self.tuned is not None) or (self.tuned is not None and any(binary)):
            raise ValueError("a record holds what a yes or no is tuned to, or what another question is, and not both")
        if self.tuned is not None and self.tuned.limits.kind != self.statement.data.label.kind:
            raise ValueError("limits are of another kind of question than the model's")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(write(self), "tuned", self.tuned)

    @property
    def yes_or_no(self) -> YesOrNo:
        """What a yes or no is tuned to. RunError where the model answers another question."""
        calibration, threshold, rule, conformal = self.calibration, self.threshold, self.threshold_rule, self.conformal
        if calibration is None or threshold is None or rule is None or conformal is None:
            raise RunError(
                "This page takes answers of a yes or no, and this model answers another question",
                expected="a model of a yes or no",
                found=f'kind = "{self.statement.data.label.kind}"',
                hint="look at its answers on the pages of the clinic, or ask over /v1",
            )
        return YesOrNo.model_construct(calibration=calibration, threshold=threshold, threshold_rule=rule, conformal=conformal)

    @property
    def measured(self) -> Evaluation:
        """What answers with `cannot tell` do, cross-fitted by patient."""
        return self.yes_or_no.conformal.measured if self.tuned is None else self.tuned.measured

    @property
    def id(self) -> str:
        """The record's name: what it holds, in 16 digits."""
        return sha256_hex(self.content)[:ID_DIGITS]

    @property
    def content(self) -> bytes:
        """Canonical bytes: what is signed. A record without an origin keeps the name that it had before there were any."""
        return canonical_json(self.model_dump(mode="json", exclude={"origin"} if self.origin is None else None))

    @property
    def asked(self) -> CandidateRecord:
        """The accepted model's figures."""
        return self.candidates[0]


class SignedAcceptance(Section):
    """acceptances/ID.json."""

    record: AcceptanceRecord
    key: str = Field(pattern=r"^[0-9a-f]{64}$", description="The clinic's public key, Ed25519.")
    signature: str = Field(pattern=r"^[0-9a-f]{128}$", description="Over the record's canonical bytes.")


def _without(written: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    """Records from before there were other questions keep their bytes, their names and their signatures."""
    return written if value else {key: one for key, one in written.items() if key != name}


def keep_acceptance(clinic: ClinicPlace, record: AcceptanceRecord) -> str:
    """Signs the record and writes it, whole or not at all. Its id. A record that is there already stays as it is."""
    path = clinic.acceptances / f"{record.id}.json"
    if read_private(path, 1) is None:
        identity = clinic.identity
        signed = SignedAcceptance(record=record, key=identity.public, signature=identity.sign(record.content))
        write_atomic(path, canonical_json(signed.model_dump(mode="json")), private=True)
    sweep(clinic.acceptances)
    return record.id


def read_acceptance(clinic: ClinicPlace, name: str) -> AcceptanceRecord:
    """The record whose id begins with `name`, or the latest. RunError where there is none, several, or it is not what this clinic
    signed."""
    if name == LATEST:
        return _latest(clinic)
    names = [path.stem for path in _files(clinic) if path.stem.startswith(name)]
    if len(names) != 1 or not name:
        raise RunError(
            f"{'Several acceptance records begin' if names else 'No acceptance record begins'} with {name[:80]!r}",
            expected=f"the first letters of one record's name, or `{LATEST}`",
            hint=f"see: {clinic.command('history')}",
        )
    return _read(clinic, names[0])


def _latest(clinic: ClinicPlace) -> AcceptanceRecord:
    """Two of one moment are named, since a guess could put the wrong one in service."""
    records = acceptances(clinic)
    latest = [record for record in records if record.created == records[-1].created]
    if len(latest) != 1:
        raise RunError(
            "No model was accepted here" if not latest else "Several models were accepted at the same moment",
            expected="one latest acceptance",
            found=", ".join(record.id for record in latest),
            hint=f"test one: {clinic.command('accept MODEL --data PATH')}" if not latest else "name one of them",
        )
    return latest[0]


def acceptances(clinic: ClinicPlace) -> tuple[AcceptanceRecord, ...]:
    """All records, oldest first. RunError where one of them is not what this clinic signed."""
    records = [_read(clinic, path.stem) for path in _files(clinic)]
    return tuple(sorted(records, key=lambda record: (record.created, record.id)))


def _files(clinic: ClinicPlace) -> list[Path]:
    return sorted(clinic.acceptances.glob("*.json"))


def _read(clinic: ClinicPlace, name: str) -> AcceptanceRecord:
    path = clinic.acceptances / f"{name}.json"
    content = read_private(path, _LARGEST) or b""
    try:
        signed = SignedAcceptance.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _damaged(path, f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error
    record = signed.record
    if record.id != name:
        raise _damaged(path, "a record whose content is not what its name says")
    if signed.key != clinic.identity.public or not signed_by(signed.key, signed.signature, record.content):
        raise _damaged(path, "a signature that is not this clinic's")
    return record


def _damaged(path: Path, fault: str) -> RunError:
    return RunError(
        f"The acceptance record {path.name} cannot be trusted",
        expected="what this clinic signed",
        found=fault,
        hint="bring it back from a backup, or accept the model again",
    )
