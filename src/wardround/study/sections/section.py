"""The base of every section of a study file: frozen, strict, and nothing unknown passes."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A value. Every field carries a description, since the study reference is generated from the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
