"""Tokens (JWT, RFC 7519) with which a record system signs its CDS Hooks calls: its keys lie in a file here and are never fetched.

A token is believed once: signed by a key of its issuer, with an asymmetric algorithm, meant for this service, not expired, its
jti not seen before.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from wardround.clinic.place.fhir_settings import HooksSection
from wardround.values.errors import StudyError

ALGORITHMS = ["ES256", "ES384", "RS256", "RS384", "PS256", "PS384", "EdDSA"]
"""None of them takes the issuer's public key for a shared secret."""
LONGEST_LIFE_S = 300.0
"""CDS Hooks asks for tokens of five minutes at most."""
LEEWAY_S = 30.0
_LONGEST = 8192


class Tokens:
    """Of the issuers of a [hooks] section. StudyError where a file of keys cannot be read."""

    def __init__(self, section: HooksSection, clock: Callable[[], float] = time.time) -> None:
        self._audience, self._clock = section.audience, clock
        self._keys = {one.issuer: _key_set(one.keys) for one in section.issuers}
        self._seen: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def issuer(self, token: str) -> str | None:
        """Who signed a token that can be believed; None of any other. It says no more, so that a forger learns nothing."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        if len(token) > _LONGEST:
            return None
        for issuer, keys in self._keys.items():
            try:
                claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            except (JoseError, ValueError, KeyError, TypeError):
                continue
            if claims.get("iss") == issuer and self._holds(claims):
                return issuer
        return None

    def _holds(self, claims: dict[str, Any]) -> bool:
        audience, name = claims.get("aud"), claims.get("jti")
        begun, ends = claims.get("iat"), claims.get("exp")
        now = self._clock()
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            return False
        if not (isinstance(begun, int | float) and isinstance(ends, int | float)):
            return False
        if not (begun - LEEWAY_S <= now < ends + LEEWAY_S and ends - begun <= LONGEST_LIFE_S + LEEWAY_S):
            return False
        if not isinstance(name, str) or not name:
            return False
        with self._lock:
            self._seen = {one: until for one, until in self._seen.items() if until > now}
            mark = (str(claims["iss"]), name)
            if mark in self._seen:
                return False
            self._seen[mark] = ends + 2 * LEEWAY_S
        return True


def _key_set(path: Any) -> Any:
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        return KeySet.import_key_set(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
        raise StudyError(
            f"{path} holds no public keys",
            expected="a JSON Web Key Set",
            found=type(error).__name__,
            hint="ask the record system's people",
        ) from error
