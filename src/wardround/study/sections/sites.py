"""The [sites] section: which hospitals take part and when a round counts."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from wardround.crypto.curve_points import is_signing_key
from wardround.study.sections.section import Section
from wardround.study.sections.site_name import SiteName


def _sound(key: str) -> str:
    if not is_signing_key(key):
        raise ValueError(
            "these 64 digits are no identity key: anybody could sign under it, or nobody. Ask the hospital for its public key, "
            "and compare it by telephone"
        )
    return key


IdentityKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), AfterValidator(_sound)]


class SitesSection(Section):
    """Which hospitals take part and when a round counts."""

    names: tuple[SiteName, ...] = Field(default=(), description="The hospitals. Empty: whoever is named when the study runs.")
    keys: dict[SiteName, IdentityKey] = Field(
        default_factory=dict,
        description="The public identity key of each hospital, 64 hexadecimal digits, compared out of band. A simulation makes "
        "its own.",
    )
    minimum: int = Field(default=2, ge=1, le=10_000, description="A round with fewer contributions than this stops the run.")

    @model_validator(mode="after")
    def names_are_different(self) -> "SitesSection":
        if len(set(self.names)) != len(self.names):
            raise ValueError("two sites have the same name")
        if self.keys and set(self.keys) != set(self.names):
            raise ValueError("sites.keys must hold exactly one key for each of sites.names")
        if len(set(self.keys.values())) != len(self.keys):
            raise ValueError("two sites have the same key: somebody would be counted twice")
        if self.names and self.minimum > len(self.names):
            raise ValueError(f"minimum is {self.minimum}, but only {len(self.names)} sites are named")
        return self
