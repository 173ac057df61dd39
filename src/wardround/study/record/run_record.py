"""What one run was and gave: the one value that the coordinator fills and that reports, model cards and the registry read.

It is written as `record.json` in the run folder: canonical JSON, in which a figure that could not be computed is null and
mappings are in name order. A record of a simulation shows every hospital's own figures. In a deployment those stay at the
hospital: `sites`, `cross` and each round's `per_site` then hold only what a site's policy released.
"""

import platform
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from wardround.study.record.evaluation_record import Count, Evaluation, Figure, Sha256, as_figure, by_name
from wardround.study.record.fit_record import FitRecord
from wardround.study.record.personal_record import CandidateRecord, PairedRecord, PersonalRecord
from wardround.study.record.privacy_record import PrivacyRecord
from wardround.study.sections.evaluation import Decision, DecisionSetting
from wardround.study.sections.section import Section
from wardround.values.canonical import canonical_json
from wardround.values.errors import RunError
from wardround.values.version import __version__

__all__ = [
    "FORMAT",
    "CandidateRecord",
    "EvaluatedRecord",
    "Evaluation",
    "MachineRecord",
    "ModelRecord",
    "NetworkRecord",
    "PairedRecord",
    "PersonalRecord",
    "Pooled",
    "PrivacyRecord",
    "RoundRecord",
    "RunRecord",
    "SiteRecord",
    "SiteRound",
    "TotalsRecord",
    "VersionsRecord",
    "versions_here",
]

FORMAT: Literal[1] = 1


def _iso(moment: str) -> str:
    datetime.fromisoformat(moment)
    return moment


Item = TypeVar("Item")
ByName = Annotated[dict[str, Item], AfterValidator(by_name)]
Moment = Annotated[str, AfterValidator(_iso)]
Seconds = Annotated[float, BeforeValidator(as_figure), Field(ge=0)]


class VersionsRecord(Section):
    wardround: str = Field(description="Version of Wardround.")
    torch: str = Field(description="Version of PyTorch.")
    numpy: str = Field(description="Version of NumPy.")
    python: str = Field(description="Version of Python.")
    platform: str = Field(description="Operating system and processor family.")


def versions_here() -> VersionsRecord:
    """Of this process."""
    return VersionsRecord(
        wardround=__version__,
        torch=version("torch"),
        numpy=version("numpy"),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
    )


class MachineRecord(Section):
    cores: Count = Field(description="Processor cores the run could use.")


class NetworkRecord(Section):
    name: str = Field(description="Name of the network.")
    parameters: Count = Field(description="Numbers that are trained.")


class SiteRound(Section):
    """One site's part in one round, shown in simulation only."""

    train_loss: Figure = Field(description="Mean loss of the site's last local epoch, in nats; null if it was lost.")
    validation: Evaluation | None = Field(
        default=None, description="The shared model after this round on the site's validation patients."
    )


class RoundRecord(Section):
    """One round. `validation`, here and per site, is of the shared model AFTER this round's update."""

    round: Annotated[Count, Field(ge=1)] = Field(description="Number of the round, from 1.")
    seconds: Seconds = Field(description="Wall time of the round, in seconds.")
    counted: tuple[str, ...] = Field(description="Sites whose contribution is in this round's sum.")
    lost: ByName[str] = Field(default_factory=dict, description="Sites that were asked and not counted: reason code by site.")
    discarded: str = Field(default="", description="Why the round's sum was not used or was taken back; empty where it was used.")
    exchanges: Count = Field(default=1, description="Exchanges of messages that the round's sum took.")
    train_loss: Figure = Field(description="Mean loss of the last local epoch over all counted records, in nats.")
    validation: Evaluation | None = Field(
        default=None, description="The shared model after this round on all sites' validation patients."
    )
    bytes_out: Count = Field(default=0, description="Bytes from the coordinator to the sites.")
    bytes_in: Count = Field(default=0, description="Bytes from the sites to the coordinator.")
    per_site: ByName[SiteRound] = Field(default_factory=dict, description="Each site's own figures; in simulation only.")

    @model_validator(mode="after")
    def _no_site_is_both_counted_and_lost(self) -> "RoundRecord":
        if both := set(self.counted) & set(self.lost):
            raise ValueError(f"round {self.round} both counts and loses {', '.join(sorted(both))}")
        return self


class SiteRecord(Section):
    """One site's data in counts, and two models on its own held-out test patients.

    Beside the fields below it holds what the task counts of the labels, each a whole number under its own name: `positives`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Count]

    patients: Count = Field(description="Patients.")
    images: Count = Field(description="Records: images or rows.")
    split_patients: ByName[Count] = Field(default_factory=dict, description="Patients in train, validation and test.")
    split_images: ByName[Count] = Field(default_factory=dict, description="Records in train, validation and test.")
    own: Evaluation | None = Field(default=None, description="The model trained on this site's data only.")
    federated: Evaluation | None = Field(default=None, description="The shared model.")
    paired: ByName[PairedRecord] = Field(
        default_factory=dict,
        description="The two models compared on the same patients, by metric key; empty if they were not.",
    )
    personal: PersonalRecord | None = Field(
        default=None, description="Which model the site keeps, and why; null where the study makes no personal models."
    )

    @property
    def label_counts(self) -> dict[str, int]:
        """What the task counts of this site's labels."""
        return dict(self.__pydantic_extra__)


class TotalsRecord(Section):
    """The data of all sites of the opening together, in counts, as their sum said it."""

    patients: Count = Field(description="Patients.")
    images: Count = Field(description="Records: images or rows.")
    split_patients: ByName[Count] = Field(default_factory=dict, description="Patients in train, validation and test.")
    split_images: ByName[Count] = Field(default_factory=dict, description="Records in train, validation and test.")
    labels: ByName[Count] = Field(default_factory=dict, description="What the task counts of the labels.")


class Pooled(Section):
    """Models on the held-out test patients of all sites together."""

    federated: Evaluation = Field(description="The shared model.")
    own: ByName[Evaluation] = Field(default_factory=dict, description="Each site's own-data-only model, by site.")


class ModelRecord(Section):
    sha256: Sha256 = Field(description="Hash of the safetensors file.")
    parameters: Count = Field(description="Numbers in the model.")
    files: ByName[str] = Field(description="File name within the run folder by kind: safetensors, onnx.")
    onnx_max_difference: Figure = Field(
        default=None, description="Largest difference between the probabilities of the ONNX file and of PyTorch."
    )
    threshold: DecisionSetting = Field(
        default=None,
        description="The number by which an output becomes a decision, of several findings one of each; null where there is "
        "none.",
    )


class EvaluatedRecord(Section):
    """The finished model that a run evaluated. It was there before the run, and the run did not change it."""

    content: Sha256 = Field(description="Hash of its arrays, as the study's evaluation.model names it.")
    sha256: Sha256 = Field(description="Hash of its safetensors file, by which a registry knows it.")
    study_title: str = Field(description="Title of the study that it was learned in, as its file says.")
    study_hash: str = Field(description="Hash of that study.")
    synthetic: bool = Field(description="True where any of the data that it learned from were generated.")
    runs: tuple[str, ...] = Field(default=(), description="The runs that made it, where this user's registry knows them.")
    parents: tuple[str, ...] = Field(default=(), description="The models that those runs started from, where it knows them.")


class RunRecord(Section):
    """One run, whole or so far (`finished` is null until it has ended)."""

    format: Literal[1] = Field(default=FORMAT, description="Version of this format.")
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="Name of the run, unique in a registry.")
    created: Moment = Field(description="Start, ISO 8601.")
    finished: Moment | None = Field(default=None, description="End, ISO 8601; null while the run is not finished.")
    study_title: str = Field(description="The study's title.")
    study_hash: Sha256 = Field(description="Hash of the study's canonical bytes.")
    study_toml: str = Field(description="The study file, as it was written.")
    parent_model: Sha256 | None = Field(default=None, description="Hash of the model that training started from, if any.")
    seed: int = Field(description="Seed of everything random that claims no privacy.")
    engine: str = Field(description="What moved the bytes: in_process, or network.")
    workers: Count = Field(description="Sites that could train at the same time.")
    synthetic: bool = Field(description="True where any of the data were generated: no figure then says anything of patients.")
    versions: VersionsRecord
    machine: MachineRecord
    network: NetworkRecord
    algorithm: str = Field(description="Name of the algorithm.")
    privacy_mode: str = Field(description="Privacy mode of the study.")
    privacy: PrivacyRecord | None = Field(default=None, description="What a private run promised and cost; null for the others.")
    summation_mode: str = Field(description="How contributions were summed: plain or masked.")
    start: Evaluation | None = Field(default=None, description="The model before round 1 on all sites' validation patients.")
    rounds: tuple[RoundRecord, ...] = Field(default=(), description="The rounds, in order from 1.")
    sites: ByName[SiteRecord] = Field(default_factory=dict, description="The sites by name.")
    hospitals: tuple[str, ...] = Field(
        default=(), description="Who opened the run, by name; empty in records of earlier releases, where `sites` has them all."
    )
    totals: TotalsRecord | None = Field(
        default=None, description="The data of all sites together; null where nothing was counted, as in a private study."
    )
    pooled: Pooled | None = Field(default=None, description="On the test patients of all sites together.")
    external: ByName[Evaluation] = Field(
        default_factory=dict, description="The shared model on test sets that are no hospital's, by name."
    )
    trained_on: ByName[ByName[Count]] = Field(
        default_factory=dict,
        description="How many training records of a site are also in an external test set: by its name, then by site. A site "
        "that is absent was not compared.",
    )
    cross: ByName[ByName[Evaluation]] = Field(
        default_factory=dict, description="Every model on every site's test patients: by model name, then by site."
    )
    model: ModelRecord | None = Field(default=None, description="The final model; null while there is none.")
    evaluated: EvaluatedRecord | None = Field(
        default=None, description="The finished model that was evaluated; null of a run that trained one."
    )
    threshold: DecisionSetting = Field(
        default=None, description="Of an evaluated model: the decision at which it was judged; null where there is none."
    )
    fit: FitRecord | None = Field(
        default=None, description="The regression that is the model; null of a run that trained a network, and not written then."
    )

    @model_validator(mode="after")
    def _rounds_are_in_order(self) -> "RunRecord":
        if [entry.round for entry in self.rounds] != list(range(1, len(self.rounds) + 1)):
            raise ValueError("rounds must be numbered 1, 2, 3 … without a gap")
        return self

    def to_json(self) -> bytes:
        """Canonical JSON. Equal records have equal bytes; `from_json` gives an equal record back."""
        return canonical_json(self.model_dump(mode="json", exclude={"fit"} if self.fit is None else set()))

    @classmethod
    def from_json(cls, data: bytes, *, name: str = "the run record") -> "RunRecord":
        """Raises RunError where `data` is no record of this format."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field_path = ".".join(str(part) for part in first["loc"]) or "the file"
            raise RunError(
                f"{name} is not a run record that this version of Wardround can read",
                expected=f"format {FORMAT}",
                found=f"{field_path}: {first['msg']}",
                hint="read it with the version of Wardround that wrote it, or run the study again",
            ) from error

    @property
    def decision(self) -> Decision:
        """By what the run's model decides; None where it decides nothing."""
        return self.threshold if self.model is None else self.model.threshold

    @property
    def took_part(self) -> tuple[str, ...]:
        """The names of the hospitals of the run, whether or not there are figures of each."""
        return self.hospitals or tuple(self.sites)

    @property
    def lost_sites(self) -> dict[str, int]:
        """For each site that was ever lost, in how many rounds."""
        names = sorted({name for entry in self.rounds for name in entry.lost})
        return {name: sum(name in entry.lost for entry in self.rounds) for name in names}
