"""[finding] of clinic.toml: words and a code for what the model looks for, as reports of DICOM and FHIR need them."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from wardround.study.sections.section import Section

_SCHEME = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,15}")


def _words(text: str) -> str:
    if not (text.isascii() and text.isprintable() and "\\" not in text):
        raise ValueError("plain ASCII without a backslash, since films come in every character set")
    return text


Words = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_words)]


class FindingSection(Section):
    """How the finding of the model is called and coded where an answer leaves the clinic."""

    meaning: Words = Field(description="In words, for example Pneumonia.")
    code: Words = Field(description="For example 233604007.")
    scheme: Words = Field(description="Coding scheme designator of DICOM: SCT, LN, I10, or one of your own that begins with 99.")

    @model_validator(mode="after")
    def _code_fits(self) -> Self:
        if len(self.code) > 16 or not _SCHEME.fullmatch(self.scheme):
            raise ValueError("code has at most 16 signs (SH), scheme at most 16 capitals and digits")
        return self
