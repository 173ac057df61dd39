"""[oidc] of clinic.toml: the hospital's own login (OpenID Connect), beside the accounts of this clinic."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from wardround.study.sections.section import Section
from wardround.values.network_address import service_url

Address = Annotated[str, Field(max_length=400), AfterValidator(service_url)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Role = Literal["doctor", "data-manager", "auditor", "administrator"]


class RoleSection(Section):
    """What the login says of a person, and what she may do here for it."""

    value: Name = Field(description="A group or role, as it stands in the claim.")
    role: Role = Field(description="doctor, data-manager, auditor or administrator.")


class OidcSection(Section):
    """The one login that is asked. Whoever it names gets the first of `roles` that fits, at every login anew; nobody else gets
    in by it."""

    issuer: Address = Field(description="Address of the login, as it stands in its tokens. No other is ever asked.")
    client_id: Name = Field(description="As this clinic is registered there.")
    secret_file: Path | None = Field(
        default=None, description="File that holds the client's secret, 0600; without it the clinic is a public client with PKCE."
    )
    address: Address = Field(
        description="How browsers reach this clinic, for example https://clinic.example; register ADDRESS/oidc/done as redirect."
    )
    tls_ca: Path | None = Field(default=None, description="File of the authority whose certificate it must show, PEM.")
    scopes: tuple[Name, ...] = Field(default=("openid", "profile"), description="What is asked for; openid is always among them.")
    role_claim: tuple[Name, ...] = Field(
        default=("groups",),
        min_length=1,
        description='Where the ID token names groups: one name, or the way through objects: ["realm_access", "roles"].',
    )
    name_claim: Name = Field(default="preferred_username", description="What a new account is called after.")
    roles: tuple[RoleSection, ...] = Field(min_length=1, max_length=100, description="Groups and their roles, the first first.")
    second_factor: Literal["clinic", "provider"] = Field(
        default="clinic", description="Who asks for the second factor: this clinic, or the login itself."
    )
    acr: tuple[Name, ...] = Field(
        default=(), description="Of a login that asks for the second factor: which contexts (acr) are believed; empty: any."
    )
    timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(default=10.0, description="Wait for an answer so long.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        if self.acr and self.second_factor != "provider":
            raise ValueError('acr says which second factors of the login are believed: write second_factor = "provider"')
        if self.address.rstrip("/").count("/") != 2:
            raise ValueError("address has no path: write https://HOST or https://HOST:PORT")
        return self

    @property
    def redirect(self) -> str:
        """Where the login sends browsers back to."""
        return f"{self.address.rstrip('/')}/oidc/done"
