"""The [external] section: where the external test set lies, on the machine of whoever holds it."""

from typing import Literal

from pydantic import Field, model_validator

from wardround.study.sections.section import Section


class ExternalSection(Section):
    """Where the external test set lies that the study names under [evaluation.external]."""

    dataset: str | None = Field(
        default=None, description="A data set by name (`wardround data list`): the test split that its publisher set apart."
    )
    path: str | None = Field(default=None, description="Or a path, relative to this file.")
    split: Literal["train", "validation", "test", "all"] = Field(
        default="test", description="With path: which of the splits that the source declares is the test set, or all records."
    )

    @model_validator(mode="after")
    def one_place(self) -> "ExternalSection":
        if (self.dataset is None) == (self.path is None):
            raise ValueError("name either a dataset or a path")
        return self
