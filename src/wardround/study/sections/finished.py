"""The [model] section of a run file: where the finished model lies that a study evaluates."""

from pydantic import Field

from wardround.study.sections.section import Section


class FinishedSection(Section):
    """Where the finished model lies that the study names under evaluation.model."""

    path: str = Field(
        min_length=1,
        description="A run folder or a model.safetensors, relative to this file; or a model or run of this user's registry.",
    )
