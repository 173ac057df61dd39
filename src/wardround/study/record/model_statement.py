"""What a model file says of itself: what goes in, what comes out, from which study. The same words stand in `model.onnx`, in
`model.safetensors` and in the model card.

It holds no time and no name of a run, so that equal models of equal studies are equal files.
"""

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from wardround.study.contract import DataContract
from wardround.study.declaration import Study, without_later_settings
from wardround.study.sections.evaluation import Decision, DecisionSetting
from wardround.study.sections.section import Section
from wardround.values.canonical import canonical_json
from wardround.values.errors import RunError
from wardround.values.version import __version__

METADATA_KEY = "wardround_model"
"""The one entry in the metadata of both files. (safetensors writes several entries in any order.)"""

INNER_VALUES_KEY = "wardround_inner_values"
"""In ONNX only: the names of the network's own input and of its scores before the sigmoid."""


class ModelStatement(Section):
    """Read back from a file by `from_json`. data.label says which values of the label mean positive and negative."""

    format: Literal[1] = Field(default=1, description="Version of this statement.")
    study_title: str = Field(description="The study's title.")
    study_hash: str = Field(description="Hash of the study's canonical bytes.")
    synthetic: bool = Field(description="True where any of the training data were generated: not for use on people.")
    holds_records: bool = Field(
        default=False,
        description="True where the file holds values of single patients, and not only what was learnt from all: it must never "
        "leave the hospital. Not written where it is false.",
    )
    output: str = Field(description="What the model gives for a record, in words.")
    threshold: DecisionSetting = Field(
        description="Probability at and above which a record is called positive, of several findings one of each in their order; "
        "null where the question has none."
    )
    data: DataContract = Field(description="The input contract: the study's [data] section.")
    wardround: str = Field(description="Version of Wardround that wrote the file.")

    @model_validator(mode="after")
    def _every_finding_has_a_threshold(self) -> "ModelStatement":
        findings = len(self.data.label.asked.findings)
        if isinstance(self.threshold, tuple) and len(self.threshold) != findings:
            raise ValueError(f"threshold: {findings} findings have one each, found {len(self.threshold)}")
        return self

    def to_json(self) -> str:
        """Canonical JSON: equal statements are equal texts."""
        left = set() if self.holds_records else {"holds_records"}
        return canonical_json(without_later_settings(self.model_dump(mode="json", exclude=left))).decode()

    @classmethod
    def from_json(cls, text: str, *, name: str) -> "ModelStatement":
        """Raises RunError where `text`, from the file `name`, is no statement that this version can read."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise RunError(
                f"{name} holds a statement that this version of Wardround cannot read",
                expected="format 1",
                found=error.errors(include_url=False, include_input=False)[0]["msg"],
                hint="use it with the version of Wardround that wrote it",
            ) from error


def statement_of(
    study: Study,
    threshold: Decision,
    *,
    output: str,
    synthetic: bool,
    holds_records: bool = False,
    agreed_hash: str = "",
) -> ModelStatement:
    """What a model of `study` says of itself. agreed_hash: of the study that all hospitals agreed on, where this one has a
    hospital's own question in it."""
    return ModelStatement(
        study_title=study.question.title,
        study_hash=agreed_hash or study.hash,
        synthetic=synthetic,
        holds_records=holds_records,
        output=output,
        threshold=threshold,
        data=study.data,
        wardround=__version__,
    )
