"""The base of every section of a study file: frozen, strict, and nothing unknown passes."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A value. Every field carries a description, since the study reference is generated from the schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def changed(self, **settings: object) -> Self:
        """The same section with other settings, each replaced whole, all checked as in a file. ValueError where they do not fit.

        Pydantic's own copy would take any value: a section that was never checked.
        """
        written = {
            name: value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value
            for name, value in settings.items()
        }
        return type(self).model_validate_json(json.dumps({**self.model_dump(mode="json", by_alias=True), **written}))
