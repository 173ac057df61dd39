"""Tokens of a record system: believed once, and only where everything fits."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from wardround.clinic.fhir.tokens import Tokens
from wardround.clinic.place.fhir_settings import HooksSection, IssuerSection
from wardround.values.errors import StudyError

AUDIENCE = "https://clinic.example/cds-services"
ISSUER = "https://his.example"


class Issuer:
    """A record system with a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "1"})
        self.path = folder / "keys.json"
        self.path.write_text(json.dumps(KeySet([self.key]).as_dict(private=False)), "utf-8")
        self.number = 0

    @property
    def section(self) -> HooksSection:
        return HooksSection(audience=AUDIENCE, issuers=(IssuerSection(issuer=ISSUER, keys=self.path),))

    def token(self, key: Any = None, algorithm: str = "ES256", **changes: Any) -> str:
        """A sound one; keyword arguments change claims, None takes one away."""
        self.number += 1
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 120, "jti": f"t{self.number}", **changes}
        held = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": algorithm, "kid": "1"}, held, key or self.key, algorithms=[algorithm])


def test_a_token_is_believed_once_and_only_where_everything_fits(tmp_path: Path) -> None:
    """Whoever reads one on its way could else call again, and whoever knows the public key could make one."""
    issuer = Issuer(tmp_path)
    tokens, now = Tokens(issuer.section), int(time.time())
    good = issuer.token()
    assert tokens.issuer(good) == ISSUER and tokens.issuer(good) is None
    public = json.dumps(issuer.key.as_dict(private=False)).encode()
    forged = [
        issuer.token(ECKey.generate_key("P-256")),
        issuer.token(OctKey.import_key(public), "HS256"),
        issuer.token(iss="https://other.example"),
        issuer.token(aud="https://elsewhere.example"),
        issuer.token(aud=None),
        issuer.token(exp=now - 100, iat=now - 200),
        issuer.token(iat=now + 300, exp=now + 400),
        issuer.token(exp=now + 86_400),
        issuer.token(exp=None),
        issuer.token(iat=None),
        issuer.token(jti=None),
        issuer.token(jti=""),
        issuer.token(jti=7),
        issuer.token(exp="soon"),
        "a.b.c",
        "",
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2hpcy5leGFtcGxlIn0.",
        "x" * 100_000,
    ]
    assert [token for token in forged if tokens.issuer(token) is not None] == []
    assert tokens.issuer(issuer.token(aud=["x", AUDIENCE])) == ISSUER


def test_a_token_is_not_believed_again_as_long_as_it_holds(tmp_path: Path) -> None:
    """The list of those that were seen is emptied by time, and not too early."""
    issuer, clock = Issuer(tmp_path), {"now": time.time()}
    tokens = Tokens(issuer.section, lambda: clock["now"])
    token = issuer.token()
    assert tokens.issuer(token) == ISSUER
    for later_s in range(0, 300, 10):
        clock["now"] = time.time() + later_s
        assert tokens.issuer(token) is None


@pytest.mark.parametrize("content", ["{}", "no json", '{"keys": []}', '{"keys": [{"kty": "XX"}]}'])
def test_keys_that_are_none_are_said_at_the_start(tmp_path: Path, content: str) -> None:
    """A clinic that would turn every call away had better not start."""
    issuer = Issuer(tmp_path)
    issuer.path.write_text(content, "utf-8")
    with pytest.raises(StudyError, match="no public keys"):
        Tokens(issuer.section)
